#include "query/api/ingest.h"

#include <algorithm>
#include <deque>
#include <map>

#include "proto/wire/rfc3339.h"
#include "query/api/json_out.h"
#include "query/api/level_detect.h"
#include "query/api/stream_gate.h"

namespace skald::query::api {

constexpr std::size_t kTextsMax = 10;  // of refusals, told to the client

// Gathers refusals: how many of which kind, and a few texts without repetition.
class Refusals {
 public:
  explicit Refusals(IngestCounters& counters) : counters_(counters) {}
  void add(Refusal kind, std::uint64_t entries, std::string text) {
    counters_.refused[static_cast<std::size_t>(kind)].fetch_add(entries, std::memory_order_relaxed);
    any_ = true;
    if (texts_.size() < kTextsMax && std::find(texts_.begin(), texts_.end(), text) == texts_.end())
      texts_.push_back(std::move(text));
    else
      ++more_;
  }
  void limited(Refusal kind, std::uint64_t entries, std::string text) {
    any_limited_ = true;
    if (limit_text_.empty()) limit_text_ = text;
    counters_.refused[static_cast<std::size_t>(kind)].fetch_add(entries, std::memory_order_relaxed);
  }
  bool any() const { return any_; }
  bool any_limited() const { return any_limited_; }
  const std::string& limit_text() const { return limit_text_; }
  std::string text() const {
    std::string out;
    for (const std::string& text : texts_) {
      if (!out.empty()) out.append("; ");
      out.append(text);
    }
    if (more_ > 0) out.append("; and " + std::to_string(more_) + " more refusals");
    return out;
  }

 private:
  IngestCounters& counters_;
  bool any_ = false, any_limited_ = false;
  std::vector<std::string> texts_;
  std::string limit_text_;
  std::uint64_t more_ = 0;
};

namespace {

constexpr std::size_t kStreamTextMax = 2048;  // of one stream's labels in a refusal
constexpr std::string_view kDetectedLevel = "detected_level";
constexpr std::string_view kServiceName = "service_name";

std::string seconds_text(std::int64_t time_ns) {
  return wire::format_rfc3339(time_ns - time_ns % base::kNsPerSecond);
}

std::string stream_text(const model::Labels& labels) {
  return labels.to_string().substr(0, kStreamTextMax);
}

void discover_service_name(model::Labels& labels, const std::vector<std::string>& names) {
  if (names.empty() || labels.has(kServiceName)) return;
  for (const std::string& name : names) {
    const std::string value(labels.get(name));
    if (value.empty()) continue;
    labels.set(kServiceName, value);
    return;
  }
  labels.set(kServiceName, "unknown_service");
}

bool check_labels(const model::Labels& labels, const TenantLimits& limits, std::size_t entries,
                  Refusals& refusals) {
  if (labels.empty()) {
    refusals.add(Refusal::kMissingLabels, entries,
                 "error at least one label pair is required per stream");
    return false;
  }
  const std::size_t names = labels.size() - (labels.has(kServiceName) ? 1 : 0);
  if (names > limits.max_label_names_per_series) {
    refusals.add(Refusal::kTooManyLabels, entries,
                 "entry for stream '" + stream_text(labels) + "' has " + std::to_string(names) +
                     " label names; limit " + std::to_string(limits.max_label_names_per_series) +
                     " (limits_config.max_label_names_per_series)");
    return false;
  }
  for (const auto& [name, value] : labels) {
    if (name.size() > limits.max_label_name_length) {
      refusals.add(Refusal::kLabelName, entries,
                   "stream '" + stream_text(labels) + "' has label name too long: '" +
                       name.substr(0, kStreamTextMax) + "' (limits_config.max_label_name_length: " +
                       std::to_string(limits.max_label_name_length) + ")");
      return false;
    }
    if (value.size() > limits.max_label_value_length) {
      refusals.add(Refusal::kLabelValue, entries,
                   "stream '" + stream_text(labels) + "' has label value too long: '" +
                       value.substr(0, kStreamTextMax) + "' of label '" + name +
                       "' (limits_config.max_label_value_length: " +
                       std::to_string(limits.max_label_value_length) + ")");
      return false;
    }
  }
  return true;
}

std::string normalized_name(std::string_view name) {
  std::string out;
  if (!name.empty() && name.front() >= '0' && name.front() <= '9') out = "key_";
  for (const char c : name) {
    const bool fine =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    out.push_back(fine ? c : '_');
  }
  return out;
}

// One stream's entries: each is checked, and gets its detected level.
class EntryFilter {
 public:
  EntryFilter(const TenantLimits& limits, std::int64_t now_ns, Refusals& refusals,
              std::deque<model::Labels>& arena)
      : limits_(limits), refusals_(refusals), arena_(arena) {
    if (limits.reject_old_samples) oldest_ns_ = now_ns - limits.reject_old_samples_max_age_ns;
    if (limits.creation_grace_period_ns > 0) newest_ns_ = now_ns + limits.creation_grace_period_ns;
  }

  void run(model::PushStream& stream) {
    stream_ = &stream;
    stream_level_ = std::string_view();
    if (limits_.discover_log_levels && limits_.allow_structured_metadata)
      stream_level_ = normalize_level(level_field(stream.labels));
    std::size_t kept = 0;
    for (std::size_t i = 0; i < stream.entries.size(); ++i) {
      model::EntryView& entry = stream.entries[i];
      if (!check(entry)) continue;
      extend(entry);
      stream.entries[kept++] = entry;
    }
    stream.entries.resize(kept);
  }

 private:
  std::string name() const { return stream_text(stream_->labels); }

  bool check(model::EntryView& entry) {
    if (entry.timestamp_ns < oldest_ns_) {
      refusals_.add(Refusal::kTooOld, 1,
                    "entry for stream '" + name() +
                        "' has timestamp too old: " + seconds_text(entry.timestamp_ns) +
                        ", oldest acceptable timestamp is: " + seconds_text(oldest_ns_));
      return false;
    }
    if (entry.timestamp_ns > newest_ns_) {
      refusals_.add(Refusal::kTooNew, 1,
                    "entry for stream '" + name() +
                        "' has timestamp too new: " + seconds_text(entry.timestamp_ns));
      return false;
    }
    if (limits_.max_line_size != 0 && entry.line.size() > limits_.max_line_size) {
      if (!limits_.max_line_size_truncate) {
        refusals_.add(Refusal::kLineTooLong, 1,
                      "max entry size '" + std::to_string(limits_.max_line_size) +
                          "' bytes exceeded for stream '" + name() +
                          "' while adding an entry with length '" +
                          std::to_string(entry.line.size()) + "' bytes");
        return false;
      }
      entry.line = entry.line.substr(0, limits_.max_line_size);
    }
    return entry.metadata == nullptr || entry.metadata->empty() || check_metadata(*entry.metadata);
  }

  bool check_metadata(const model::Labels& metadata) {
    if (&metadata == checked_) return checked_fine_;
    checked_ = &metadata;
    checked_fine_ = false;
    std::size_t bytes = 0;
    for (const auto& [key, value] : metadata) bytes += key.size() + value.size();
    if (!limits_.allow_structured_metadata) {
      refusals_.add(Refusal::kMetadata, 1,
                    "stream '" + name() +
                        "' includes structured metadata, but this feature is disallowed. Please "
                        "see `limits_config.allow_structured_metadata`");
    } else if (limits_.max_structured_metadata_size != 0 &&
               bytes > limits_.max_structured_metadata_size) {
      refusals_.add(Refusal::kMetadata, 1,
                    "stream '" + name() + "' has structured metadata too large: '" +
                        std::to_string(bytes) + "' bytes, limit: '" +
                        std::to_string(limits_.max_structured_metadata_size) +
                        "' bytes. Please see `limits_config.max_structured_metadata_size`");
    } else if (limits_.max_structured_metadata_entries_count != 0 &&
               metadata.size() > limits_.max_structured_metadata_entries_count) {
      refusals_.add(Refusal::kMetadata, 1,
                    "stream '" + name() + "' has too many structured metadata labels: '" +
                        std::to_string(metadata.size()) + "', limit: '" +
                        std::to_string(limits_.max_structured_metadata_entries_count) +
                        "'. Please see `limits_config.max_structured_metadata_entries_count`");
    } else {
      checked_fine_ = true;
    }
    return checked_fine_;
  }

  std::string_view level_field(const model::Labels& labels) const {
    for (const std::string& field : limits_.log_level_fields)
      if (const std::string_view value = labels.get(field); !value.empty()) return value;
    return {};
  }

  // Gives the entry the metadata it is stored with.
  void extend(model::EntryView& entry) {
    const model::Labels* metadata = entry.metadata;
    if (metadata != nullptr && metadata->empty()) metadata = nullptr;
    std::string_view level;
    if (limits_.discover_log_levels && limits_.allow_structured_metadata)
      level = level_of(entry, metadata);
    if (metadata == last_metadata_ && level == last_level_ && have_last_) {
      entry.metadata = last_result_;
      return;
    }
    last_result_ = combined(metadata, level);
    last_metadata_ = metadata;
    last_level_ = level;
    have_last_ = true;
    entry.metadata = last_result_;
  }

  std::string_view level_of(const model::EntryView& entry, const model::Labels* metadata) const {
    if (metadata != nullptr) {
      if (const auto given = metadata->get(kDetectedLevel); !given.empty())
        return normalize_level(given);
    }
    if (!stream_level_.empty()) return stream_level_;
    if (metadata != nullptr) {
      if (const auto field = level_field(*metadata); !field.empty()) return normalize_level(field);
      if (const auto severity = metadata->get("severity_number"); !severity.empty())
        return level_of_severity(severity);
    }
    return detect_level(entry.line, limits_.log_level_fields);
  }

  const model::Labels* combined(const model::Labels* metadata, std::string_view level) {
    if (metadata == nullptr && level.empty()) return nullptr;
    std::vector<model::Labels::Pair> pairs;
    if (metadata != nullptr)
      for (const auto& [key, value] : *metadata) pairs.emplace_back(normalized_name(key), value);
    model::Labels labels = model::Labels::from_pairs(std::move(pairs));
    if (!level.empty()) labels.set(kDetectedLevel, level);
    const auto found = made_.find(labels);
    if (found != made_.end()) return found->second;
    const model::Labels* kept = &arena_.emplace_back(std::move(labels));
    if (made_.size() < kMadeMax) made_.emplace(*kept, kept);
    return kept;
  }

  static constexpr std::size_t kMadeMax = 256;  // results worth looking up
  const TenantLimits& limits_;
  Refusals& refusals_;
  std::deque<model::Labels>& arena_;
  std::int64_t oldest_ns_ = INT64_MIN, newest_ns_ = INT64_MAX;
  const model::PushStream* stream_ = nullptr;
  std::string_view stream_level_;
  const model::Labels* checked_ = nullptr;
  bool checked_fine_ = false;
  const model::Labels* last_metadata_ = nullptr;
  std::string_view last_level_;
  const model::Labels* last_result_ = nullptr;
  bool have_last_ = false;
  std::map<model::Labels, const model::Labels*> made_;
};

std::uint64_t bytes_of(const model::PushStream& stream) {
  std::uint64_t bytes = 0;
  for (const model::EntryView& entry : stream.entries) bytes += entry.line.size();
  return bytes;
}

}  // namespace

std::string_view refusal_name(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::kInvalidLabels: return "invalid_labels";
    case Refusal::kMissingLabels: return "missing_labels";
    case Refusal::kTooManyLabels: return "max_label_names_per_series";
    case Refusal::kLabelName: return "label_name_too_long";
    case Refusal::kLabelValue: return "label_value_too_long";
    case Refusal::kTooOld: return "greater_than_max_sample_age";
    case Refusal::kTooNew: return "too_far_in_future";
    case Refusal::kLineTooLong: return "line_too_long";
    case Refusal::kMetadata: return "structured_metadata";
    case Refusal::kStreamLimit: return "stream_limit";
    case Refusal::kRateLimited: return "rate_limited";
    case Refusal::kStreamRate: return "per_stream_rate_limit";
    case Refusal::kCount: break;
  }
  return "other";
}

Ingest::Ingest(store::Store& store, const base::Clock& clock) : store_(store), clock_(clock) {}
Ingest::~Ingest() = default;

StreamGate& Ingest::gate(const std::string& tenant) {
  StreamGate* gate;
  {
    std::lock_guard lock(gates_mutex_);
    auto& slot = gates_[tenant];
    if (slot == nullptr) slot = std::make_unique<StreamGate>();
    gate = slot.get();
  }
  gate->seed(store_, tenant, clock_.wall_ns());
  return *gate;
}

std::uint64_t Ingest::active_streams() const {
  std::lock_guard lock(gates_mutex_);
  std::uint64_t active = 0;
  for (const auto& [tenant, gate] : gates_) active += gate->active();
  return active;
}

// Checks labels and entries, adds what Loki adds. Returns entries and bytes left.
Ingest::Sizes Ingest::prepare(const TenantLimits& limits, wire::DecodedPush& push,
                              std::deque<model::Labels>& arena, Refusals& refusals) {
  EntryFilter filter(limits, clock_.wall_ns(), refusals, arena);
  Sizes sizes;
  for (model::PushStream& stream : push.batch.streams) {
    if (!check_labels(stream.labels, limits, stream.entries.size(), refusals)) {
      stream.entries.clear();
      continue;
    }
    discover_service_name(stream.labels, limits.discover_service_name);
    filter.run(stream);
    sizes.bytes += bytes_of(stream);
    sizes.entries += stream.entries.size();
  }
  return sizes;
}

void Ingest::admit(StreamGate& gate, const std::string& tenant, const TenantLimits& limits,
                   wire::DecodedPush& push, Refusals& refusals) {
  const std::int64_t now_ns = clock_.monotonic_ns();
  for (model::PushStream& stream : push.batch.streams) {
    if (stream.entries.empty()) continue;
    const std::uint64_t size = bytes_of(stream);
    switch (gate.admit(stream.labels.hash(), size, limits, now_ns)) {
      case StreamGate::Verdict::kPass: continue;
      case StreamGate::Verdict::kTooManyStreams:
        refusals.limited(Refusal::kStreamLimit, stream.entries.size(),
                         "maximum active stream limit exceeded when trying to create stream " +
                             stream_text(stream.labels) +
                             ", reduce the number of active streams (reduce labels or reduce label "
                             "values), or raise limits_config.max_global_streams_per_user (" +
                             std::to_string(limits.max_global_streams_per_user) + "), user: '" +
                             tenant + "'");
        break;
      case StreamGate::Verdict::kTooFast:
        refusals.limited(Refusal::kStreamRate, stream.entries.size(),
                         "Per stream rate limit exceeded (limit: " +
                             std::to_string(limits.per_stream_rate_limit) +
                             "B/sec) while attempting to ingest for stream '" +
                             stream_text(stream.labels) + "' totaling " + std::to_string(size) +
                             "B, consider splitting a stream via additional labels or raise "
                             "limits_config.per_stream_rate_limit");
        break;
    }
    stream.entries.clear();
  }
}

IngestAnswer Ingest::append(const std::string& tenant, const TenantLimits& limits,
                            wire::DecodedPush& push) {
  counters_.requests.fetch_add(1, std::memory_order_relaxed);
  if (!push.any_stream && push.batch.marks.empty())
    return {422, "error at least one valid stream is required for ingestion"};
  Refusals refusals(counters_);
  for (std::string& text : push.refused) refusals.add(Refusal::kInvalidLabels, 0, std::move(text));
  counters_.refused[0].fetch_add(push.refused_entries, std::memory_order_relaxed);

  StreamGate& gate = this->gate(tenant);
  std::deque<model::Labels> arena;
  const Sizes sizes = prepare(limits, push, arena, refusals);
  if (!gate.take_tenant(sizes.bytes, limits, clock_.monotonic_ns())) {
    const auto rate = static_cast<std::uint64_t>(limits.ingestion_rate_mb * (1 << 20));
    counters_.refused[static_cast<std::size_t>(Refusal::kRateLimited)].fetch_add(sizes.entries);
    return {429, "ingestion rate limit exceeded for user " + tenant +
                     " (limit: " + std::to_string(rate) +
                     " bytes/sec) while attempting to ingest '" + std::to_string(sizes.entries) +
                     "' lines totaling '" + std::to_string(sizes.bytes) +
                     "' bytes, reduce log volume or raise limits_config.ingestion_rate_mb"};
  }
  admit(gate, tenant, limits, push, refusals);
  // A batch with file marks is stored whole or not at all: its mark must not pass a line that the
  // agent will be asked to send again.
  if (refusals.any_limited() && !push.batch.marks.empty()) return {429, refusals.limit_text()};
  return store(tenant, push, sizes, refusals);
}

IngestAnswer Ingest::store(const std::string& tenant, wire::DecodedPush& push, const Sizes& sizes,
                           Refusals& refusals) {
  auto& streams = push.batch.streams;
  std::erase_if(streams, [](const model::PushStream& s) { return s.entries.empty(); });
  if (!streams.empty() || !push.batch.marks.empty()) {
    auto result = store_.append(tenant, push.batch);
    if (!result.ok()) {
      if (result.status().code() == base::Code::kConflict) return {409, marks_json(tenant, push)};
      return {500, {}, std::move(result).status()};
    }
    counters_.entries.fetch_add(result->appended, std::memory_order_relaxed);
    counters_.bytes.fetch_add(sizes.bytes, std::memory_order_relaxed);
    counters_.duplicates.fetch_add(result->duplicates, std::memory_order_relaxed);
    if (result->too_old > 0)
      refusals.add(Refusal::kTooOld, result->too_old, result->too_old_message);
  }
  if (refusals.any_limited()) return {429, refusals.limit_text()};
  if (refusals.any()) return {400, refusals.text()};
  return {};
}

std::string Ingest::marks_json(const std::string& tenant, const wire::DecodedPush& push) {
  return marks_to_json(store_.marks(tenant, push.batch.marks.front().agent_id));
}

std::string marks_to_json(const std::vector<model::FileMark>& marks) {
  std::string out = "[";
  for (const model::FileMark& mark : marks) {
    if (out.size() > 1) out.push_back(',');
    out.append("{\"file_id\":");
    append_json_string(out, mark.file_id);
    out.append(",\"end_offset\":");
    append_unsigned(out, mark.end_offset);
    out.push_back('}');
  }
  return out + "]";
}

}  // namespace skald::query::api
