// The protobuf push request (PUSH.md), read in place.
#include <cstring>

#include "proto/base/clock.h"
#include "proto/wire/line_block.h"
#include "proto/wire/line_time.h"
#include "proto/wire/proto_reader.h"
#include "proto/wire/push_builder.h"

namespace skald::wire {
namespace {

base::Status malformed(const char* what) {
  return base::invalid_argument(std::string("malformed protobuf in ") + what);
}

struct TimeParts {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
};

// Of a message given twice the later one's fields win, those it lacks stay.
base::Status read_time(std::string_view message, TimeParts& time) {
  ProtoReader reader(message);
  while (reader.next()) {
    if (reader.is(kTimeSeconds, kVarint)) time.seconds = static_cast<std::int64_t>(reader.number());
    if (reader.is(kTimeNanos, kVarint)) time.nanos = static_cast<std::int32_t>(reader.number());
  }
  return reader.failed() ? malformed("a timestamp") : base::Status();
}

base::Status join_time(const TimeParts& time, model::TimestampNs& out) {
  if (time.nanos >= 0 && time.nanos < base::kNsPerSecond &&
      !__builtin_mul_overflow(time.seconds, base::kNsPerSecond, &out) &&
      !__builtin_add_overflow(out, time.nanos, &out)) [[likely]]
    return {};
  return base::invalid_argument("timestamp out of range: " + std::to_string(time.seconds) + " s, " +
                                std::to_string(time.nanos) + " ns");
}

base::Status read_pair(std::string_view message, model::Labels::Pair& out) {
  ProtoReader reader(message);
  while (reader.next()) {
    if (reader.is(kPairName, kLengthDelimited)) out.first.assign(reader.bytes());
    if (reader.is(kPairValue, kLengthDelimited)) out.second.assign(reader.bytes());
  }
  return reader.failed() ? malformed("structured metadata") : base::Status();
}

// The entry's time stands in its line, that many bytes before the end.
base::Status read_time_in_line(std::uint64_t bytes_before_end, model::EntryView& entry) {
  const auto time = bytes_before_end > entry.line.size()
                        ? std::nullopt
                        : read_line_time(entry.line.substr(
                              entry.line.size() - static_cast<std::size_t>(bytes_before_end)));
  if (!time)
    return base::invalid_argument("an entry's time is not in its line, " +
                                  std::to_string(bytes_before_end) + " bytes before the end");
  entry.timestamp_ns = *time;
  return {};
}

// Neighbouring entries often carry the same metadata: then they share one Labels.
class EntryReader {
 public:
  explicit EntryReader(PushBuilder& builder) : builder_(builder) {}

  base::Status read(std::string_view message, model::EntryView& entry) {
    raw_.clear();
    TimeParts parts;
    std::uint64_t time_in_line = 0;
    ProtoReader reader(message);
    while (reader.next()) {
      if (reader.is(kEntryTime, kLengthDelimited)) {
        SKALD_TRY(read_time(reader.bytes(), parts));
      } else if (reader.is(kEntryLine, kLengthDelimited)) {
        entry.line = reader.bytes();
      } else if (reader.is(kEntryMetadata, kLengthDelimited)) {
        if (raw_.size() >= kMetadataPairsMax)
          return base::invalid_argument("an entry has more than " +
                                        std::to_string(kMetadataPairsMax) + " metadata pairs");
        raw_.push_back(reader.bytes());
      } else if (reader.is(kEntryTimeInLine, kVarint)) {
        time_in_line = reader.number();
      }
    }
    if (reader.failed()) return malformed("an entry");
    SKALD_TRY(join_time(parts, entry.timestamp_ns));
    if (time_in_line != 0) SKALD_TRY(read_time_in_line(time_in_line, entry));
    return raw_.empty() ? base::Status() : read_metadata(entry);
  }

 private:
  base::Status read_metadata(model::EntryView& entry) {
    if (last_ == nullptr || raw_ != last_raw_) {
      std::vector<model::Labels::Pair> pairs(raw_.size());
      for (std::size_t i = 0; i < raw_.size(); ++i) SKALD_TRY(read_pair(raw_[i], pairs[i]));
      last_ = builder_.keep(model::Labels::from_pairs(std::move(pairs)));
      last_raw_ = raw_;
    }
    entry.metadata = last_;
    return {};
  }

  PushBuilder& builder_;
  std::vector<std::string_view> raw_, last_raw_;
  const model::Labels* last_ = nullptr;
};

// The times are put back into the body itself, which is the request's or the decompressor's own.
base::Status read_lines(std::string_view message, PushBuilder& builder) {
  std::string_view text, notes;
  ProtoReader reader(message);
  while (reader.next()) {
    if (reader.is(kLinesText, kLengthDelimited)) text = reader.bytes();
    if (reader.is(kLinesNotes, kLengthDelimited)) notes = reader.bytes();
  }
  if (reader.failed()) return malformed("a block of lines");
  builder.result().batch.body.reset();  // unpacked again, it would not say these lines
  LineBlockReader lines(const_cast<char*>(text.data()), text.size(), notes);
  std::string_view line;
  std::int64_t time_ns = 0;
  while (lines.next(line, time_ns)) {
    SKALD_TRY(builder.check_room());
    model::EntryView& entry = builder.add_entry();
    entry.line = line;
    entry.timestamp_ns = time_ns;
  }
  if (lines.failed()) return base::invalid_argument("a block of lines and its notes do not agree");
  return {};
}

base::Status read_stream(std::string_view message, PushBuilder& builder, EntryReader& entries) {
  if (!builder.begin_stream())
    return base::resource_exhausted("more than " + std::to_string(kStreamsMax) +
                                    " streams in one request");
  std::string_view labels;
  ProtoReader reader(message);
  while (reader.next()) {
    if (reader.is(kStreamEntries, kLengthDelimited)) {
      SKALD_TRY(builder.check_room());
      model::EntryView& entry = builder.add_entry();
      SKALD_TRY(entries.read(reader.bytes(), entry));
    } else if (reader.is(kStreamLines, kLengthDelimited)) {
      SKALD_TRY(read_lines(reader.bytes(), builder));
    } else if (reader.is(kStreamLabels, kLengthDelimited)) {
      labels = reader.bytes();
    }
  }
  if (reader.failed()) return malformed("a stream");
  builder.end_stream(labels);
  return {};
}

base::Status read_mark(std::string_view message, model::FileMark& mark) {
  ProtoReader reader(message);
  while (reader.next()) {
    if (reader.is(kMarkAgentId, kLengthDelimited)) mark.agent_id.assign(reader.bytes());
    if (reader.is(kMarkFileId, kLengthDelimited)) mark.file_id.assign(reader.bytes());
    if (reader.is(kMarkStart, kVarint)) mark.start_offset = reader.number();
    if (reader.is(kMarkEnd, kVarint)) mark.end_offset = reader.number();
  }
  if (reader.failed()) return malformed("a file mark");
  if (mark.agent_id.empty() || mark.file_id.empty() || mark.agent_id.size() > kMarkIdBytesMax ||
      mark.file_id.size() > kMarkIdBytesMax)
    return base::invalid_argument("file mark: agent_id and file_id must have 1 to " +
                                  std::to_string(kMarkIdBytesMax) + " bytes");
  if (mark.start_offset > mark.end_offset)
    return base::invalid_argument("file mark of '" + mark.file_id + "': start " +
                                  std::to_string(mark.start_offset) + " is behind end " +
                                  std::to_string(mark.end_offset));
  return {};
}

}  // namespace

base::Status decode_protobuf(std::string_view body, PushBuilder& builder) {
  EntryReader entries(builder);
  ProtoReader reader(body);
  while (reader.next()) {
    if (reader.is(kRequestStreams, kLengthDelimited)) {
      SKALD_TRY(read_stream(reader.bytes(), builder, entries));
    } else if (reader.is(kRequestMarks, kLengthDelimited)) {
      auto& marks = builder.result().batch.marks;
      if (marks.size() >= kMarksMax)
        return base::invalid_argument("more than " + std::to_string(kMarksMax) +
                                      " file marks in one request");
      SKALD_TRY(read_mark(reader.bytes(), marks.emplace_back()));
    }
  }
  return reader.failed() ? malformed("the push request") : base::Status();
}

}  // namespace skald::wire
