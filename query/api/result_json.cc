#include "query/api/result_json.h"

#include <algorithm>
#include <cstdio>
#include <unordered_map>

#include "query/api/json_out.h"
#include "query/exec/fold.h"

namespace skald::query::api {
namespace {

constexpr std::size_t kFlushBytes = 32U << 10;

class ResultWriter {
 public:
  ResultWriter(const QueryResult& result, bool categorize, model::Direction direction,
               net::BodySink& sink, const std::atomic<bool>* cancelled)
      : result_(result),
        categorize_(categorize),
        direction_(direction),
        sink_(sink),
        cancelled_(cancelled) {}

  base::Status write() {
    out_.append("{\"status\":\"success\",");
    if (!result_.warnings.empty()) {
      out_.append("\"warnings\":");
      append_json_strings(out_, result_.warnings);
      out_.push_back(',');
    }
    out_.append("\"data\":{\"resultType\":");
    SKALD_TRY(std::visit([this](const auto& data) { return write_data(data); }, result_.data));
    out_.append(",\"stats\":").append(stats_json(result_.stats)).append("}}");
    return sink_.write(out_);
  }

 private:
  base::Status flush_if_full() {
    if (out_.size() < kFlushBytes) return {};
    const base::Status status = sink_.write(out_);
    out_.clear();
    return status;
  }

  void begin_streams() {
    out_.append(categorize_ ? "\"streams\",\"encodingFlags\":[\"categorize-labels\"],\"result\":["
                            : "\"streams\",\"result\":[");
  }

  base::Status write_data(const LogPiecesPtr& data) {
    begin_streams();
    bool first_stream = true, first = true;
    SKALD_TRY(data->read(cancelled_, [&](const LogPieces::Piece& piece) -> base::Status {
      if (piece.begins != nullptr) {
        if (!first_stream) out_.append("]}");
        begin_stream(*piece.begins, first_stream);
        first = true;
      }
      return write_entries(piece.entries, first);
    }));
    out_.append(first_stream ? "]" : "]}]");
    return {};
  }

  base::Status write_data(const Streams& data) {
    begin_streams();
    bool first = true;
    if (categorize_) {
      for (const LogStream& stream : data.streams)
        SKALD_TRY(write_stream(stream.labels, stream.entries, first));
    } else {
      for (const FoldedStream& stream : fold_labels(data.streams, direction_))
        SKALD_TRY(write_stream(stream.labels(), stream.entries, first));
    }
    out_.push_back(']');
    return {};
  }

  static const LogEntry& entry_of(const LogEntry& entry) { return entry; }
  static const LogEntry& entry_of(const LogEntry* entry) { return *entry; }
  template <typename Entries>
  base::Status write_stream(const model::Labels& labels, const Entries& entries,
                            bool& first_stream) {
    begin_stream(labels, first_stream);
    bool first = true;
    SKALD_TRY(write_entries(entries, first));
    out_.append("]}");
    return {};
  }
  void begin_stream(const model::Labels& labels, bool& first_stream) {
    out_.append(first_stream ? "{\"stream\":" : ",{\"stream\":");
    first_stream = false;
    append_json_labels(out_, labels);
    out_.append(",\"values\":[");
  }
  template <typename Entries>
  base::Status write_entries(const Entries& entries, bool& first) {
    for (const auto& entry : entries) {
      if (!first) out_.push_back(',');
      first = false;
      append_entry_json(out_, entry_of(entry), categorize_);
      SKALD_TRY(flush_if_full());
    }
    return {};
  }

  void append_sample(const Sample& sample) {
    out_.push_back('[');
    append_seconds(out_, sample.timestamp_ms);
    out_.append(",\"");
    append_sample_value(out_, sample.value);
    out_.append("\"]");
  }

  base::Status write_data(const Matrix& data) {
    out_.append("\"matrix\",\"result\":[");
    bool first_series = true;
    for (const Series& series : data.series) {
      out_.append(first_series ? "{\"metric\":" : ",{\"metric\":");
      first_series = false;
      append_json_labels(out_, series.labels);
      out_.append(",\"values\":[");
      for (std::size_t i = 0; i < series.samples.size(); ++i) {
        if (i > 0) out_.push_back(',');
        append_sample(series.samples[i]);
        SKALD_TRY(flush_if_full());
      }
      out_.append("]}");
      SKALD_TRY(flush_if_full());
    }
    out_.push_back(']');
    return {};
  }

  base::Status write_data(const Vector& data) {
    out_.append("\"vector\",\"result\":[");
    bool first = true;
    for (const Series& series : data.series) {
      if (series.samples.empty()) continue;
      out_.append(first ? "{\"metric\":" : ",{\"metric\":");
      first = false;
      append_json_labels(out_, series.labels);
      out_.append(",\"value\":");
      append_sample(series.samples.front());
      out_.push_back('}');
      SKALD_TRY(flush_if_full());
    }
    out_.push_back(']');
    return {};
  }

  base::Status write_data(const Scalar& data) {
    out_.append("\"scalar\",\"result\":");
    append_sample(data.sample);
    return {};
  }

  const QueryResult& result_;
  const bool categorize_;
  const model::Direction direction_;
  net::BodySink& sink_;
  const std::atomic<bool>* const cancelled_;
  std::string out_;
};

}  // namespace

void append_entry_json(std::string& out, const LogEntry& entry, bool categorize) {
  out.append("[\"");
  append_integer(out, entry.timestamp_ns);
  out.append("\",");
  append_json_string(out, entry.line);
  if (categorize) {
    out.append(",{");
    if (!entry.metadata.empty()) {
      out.append("\"structuredMetadata\":");
      append_json_labels(out, entry.metadata);
    }
    if (!entry.parsed.empty()) {
      out.append(entry.metadata.empty() ? "\"parsed\":" : ",\"parsed\":");
      append_json_labels(out, entry.parsed);
    }
    out.push_back('}');
  }
  out.push_back(']');
}

model::Labels FoldedStream::labels() const {
  return folded(source->labels, first->metadata, first->parsed);
}

std::vector<FoldedStream> fold_labels(const std::vector<LogStream>& streams,
                                      model::Direction direction) {
  std::vector<FoldedStream> out;
  std::vector<bool> mixed;  // entries of several source streams: to be put in order again
  std::unordered_multimap<std::size_t, std::size_t> index;  // hash of the labels to a place in out
  const auto place_of = [&](const LogStream& stream, const LogEntry& entry) {
    const model::Labels labels = folded(stream.labels, entry.metadata, entry.parsed);
    const std::size_t hash = model::LabelsHash()(labels);
    const auto [begin, end] = index.equal_range(hash);
    for (auto known = begin; known != end; ++known)
      if (out[known->second].labels() == labels) return known->second;
    index.emplace(hash, out.size());
    out.push_back({&stream, &entry, {}});
    mixed.push_back(false);
    return out.size() - 1;
  };
  for (const LogStream& stream : streams) {
    const std::size_t before = out.size();
    const LogEntry* last = nullptr;
    std::size_t at = 0;
    for (const LogEntry& entry : stream.entries) {
      if (last == nullptr || last->metadata != entry.metadata || last->parsed != entry.parsed) {
        at = place_of(stream, entry);
        if (at < before) mixed[at] = true;
      }
      last = &entry;
      out[at].entries.push_back(&entry);
    }
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!mixed[i]) continue;
    const bool forward = direction == model::Direction::kForward;
    std::stable_sort(out[i].entries.begin(), out[i].entries.end(),
                     [forward](const LogEntry* a, const LogEntry* b) {
                       return forward ? a->timestamp_ns < b->timestamp_ns
                                      : a->timestamp_ns > b->timestamp_ns;
                     });
  }
  return out;
}

base::Status write_result(const QueryResult& result, bool categorize, model::Direction direction,
                          net::BodySink& sink, const std::atomic<bool>* cancelled) {
  return ResultWriter(result, categorize, direction, sink, cancelled).write();
}

std::string stats_json(const QueryStats& stats) {
  const double seconds = std::max(stats.exec_seconds, 1e-9);
  std::string out = "{\"summary\":{\"bytesProcessedPerSecond\":";
  append_unsigned(out,
                  static_cast<std::uint64_t>(static_cast<double>(stats.bytes_processed) / seconds));
  out.append(",\"linesProcessedPerSecond\":");
  append_unsigned(out,
                  static_cast<std::uint64_t>(static_cast<double>(stats.lines_processed) / seconds));
  const auto add = [&out](const char* name, std::uint64_t value) {
    out.append(",\"").append(name).append("\":");
    append_unsigned(out, value);
  };
  add("totalBytesProcessed", stats.bytes_processed);
  add("totalLinesProcessed", stats.lines_processed);
  char time[48];
  std::snprintf(time, sizeof time, ",\"execTime\":%.9f,\"queueTime\":0", stats.exec_seconds);
  out.append(time);
  add("subqueries", 0);
  add("totalEntriesReturned", stats.entries_returned);
  add("splits", 0);
  add("shards", 0);
  add("totalPostFilterLines", stats.post_filter_lines);
  add("totalStructuredMetadataBytesProcessed", 0);
  out.append("},\"querier\":{\"store\":{\"totalChunksRef\":");
  append_unsigned(out, stats.blocks + stats.blocks_skipped);
  add("totalChunksDownloaded", stats.blocks);
  out.append(",\"chunksDownloadTime\":0,\"chunk\":{\"headChunkBytes\":0");
  add("headChunkLines", 0);
  add("decompressedBytes", stats.bytes_decoded);
  add("decompressedLines", stats.lines_processed);
  add("compressedBytes", stats.bytes_read);
  add("totalDuplicates", 0);
  out.append("}}},\"ingester\":{\"totalReached\":0");
  add("totalChunksMatched", 0);
  add("totalBatches", 0);
  add("totalLinesSent", 0);
  out.append("}}");
  return out;
}

}  // namespace skald::query::api
