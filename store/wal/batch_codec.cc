#include "store/wal/batch_codec.h"

#include <cstring>
#include <utility>

#include "proto/base/bytes.h"
#include "proto/base/check.h"
#include "store/wal/limits.h"

namespace skald::store::wal {
namespace {

constexpr char kKindPush = 1;
constexpr std::size_t kVarintMax = 10;
static_assert(kEncodeBytesMax <= kPayloadBytesMax);

std::size_t labels_bytes_max(const model::Labels& labels) {
  std::size_t bytes = kVarintMax;
  for (const auto& [name, value] : labels) bytes += name.size() + value.size() + 2 * kVarintMax;
  return bytes;
}

}  // namespace

base::Status batch_too_large(std::size_t bytes) {
  return base::resource_exhausted("a push batch of " + std::to_string(bytes) +
                                  " bytes is larger than a WAL record may be (" +
                                  std::to_string(kEncodeBytesMax) + "); send smaller batches");
}

std::size_t BatchEncoder::bytes_max(std::string_view tenant, const model::PushBatch& batch) {
  std::size_t bytes = kRecordHeaderBytes + 1 + tenant.size() + 3 * kVarintMax;
  for (const auto& mark : batch.marks)
    bytes += mark.agent_id.size() + mark.file_id.size() + 4 * kVarintMax;
  for (const auto& stream : batch.streams) {
    bytes += labels_bytes_max(stream.labels) + 4;
    for (const auto& entry : stream.entries) {
      bytes += entry.line.size() + 1 + 2 * kVarintMax;
      if (entry.metadata != nullptr && !entry.metadata->empty())
        bytes += labels_bytes_max(*entry.metadata);
    }
  }
  return bytes;
}

BatchEncoder::BatchEncoder(std::string_view tenant, const model::PushBatch& batch,
                           std::size_t capacity) {
  auto record = std::make_shared<RecordBuffer>();
  record->bytes = std::unique_ptr<char[]>(new char[capacity]);  // not zeroed
  record->capacity = capacity;
  at_ = record->bytes.get() + kRecordHeaderBytes;
  out_.record = record;
  out_.tenant = tenant;
  out_.marks = batch.marks;
  out_.streams.reserve(batch.streams.size());
  std::size_t rows = 0;
  for (const auto& stream : batch.streams) rows += stream.entries.size();
  out_.rows.reserve(rows);

  *at_++ = kKindPush;
  put_bytes(tenant);
  put_varint(batch.marks.size());
  for (const auto& mark : batch.marks) {
    put_bytes(mark.agent_id);
    put_bytes(mark.file_id);
    put_varint(mark.start_offset);
    put_varint(mark.end_offset);
  }
  put_varint(batch.streams.size());
}

void BatchEncoder::put_varint(std::uint64_t value) noexcept {
  while (value >= 0x80) {
    *at_++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *at_++ = static_cast<char>(value);
}

void BatchEncoder::put_bytes(std::string_view bytes) noexcept {
  put_varint(bytes.size());
  if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
  at_ += bytes.size();
}

void BatchEncoder::put_labels(const model::Labels& labels) noexcept {
  put_varint(labels.size());
  for (const auto& [name, value] : labels) {
    put_bytes(name);
    put_bytes(value);
  }
}

void BatchEncoder::begin_stream(const model::Labels& labels) {
  out_.streams.push_back(labels);
  put_labels(labels);
  count_at_ = at_;
  at_ += 4;
  count_ = 0;
  previous_ns_ = 0;
}

void BatchEncoder::add(const model::EntryView& entry) {
  BatchRow row;
  row.timestamp_ns = entry.timestamp_ns;
  row.stream = static_cast<std::uint32_t>(out_.streams.size() - 1);
  row.flags = at_;
  const bool with_metadata = entry.metadata != nullptr && !entry.metadata->empty();
  *at_++ = with_metadata ? kRowMetadata : 0;
  // Unsigned subtraction wraps for hostile times; the decoder adds it back the same way.
  put_varint(base::zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(entry.timestamp_ns) -
                                                    static_cast<std::uint64_t>(previous_ns_))));
  previous_ns_ = entry.timestamp_ns;
  if (with_metadata) {
    put_labels(*entry.metadata);
    if (out_.metadata == nullptr) out_.metadata = std::make_shared<std::deque<model::Labels>>();
    if (out_.metadata->empty() || out_.metadata->back() != *entry.metadata)
      out_.metadata->push_back(*entry.metadata);
    row.metadata = &out_.metadata->back();
  }
  put_varint(entry.line.size());
  row.line = std::string_view(at_, entry.line.size());
  if (!entry.line.empty()) std::memcpy(at_, entry.line.data(), entry.line.size());
  at_ += entry.line.size();
  out_.rows.push_back(row);
  ++count_;
}

void BatchEncoder::end_stream() { std::memcpy(count_at_, &count_, 4); }

EncodedBatch BatchEncoder::finish() {
  RecordBuffer& record = *out_.record;
  record.size = static_cast<std::size_t>(at_ - record.bytes.get());
  CHECK_LE(record.size, record.capacity);
  out_.owner = out_.record;
  out_.owner_bytes = record.capacity;
  return std::move(out_);
}

namespace {

bool read_labels(base::ByteReader& reader, std::vector<model::Labels::Pair>& pairs) {
  const std::uint64_t count = reader.read_varint();
  if (count > kLabelPairsMax) return false;
  pairs.clear();
  for (std::uint64_t i = 0; i < count && !reader.failed(); ++i) {
    const std::string_view name = reader.read_bytes();
    const std::string_view value = reader.read_bytes();
    pairs.emplace_back(name, value);
  }
  return !reader.failed();
}

base::Status damaged(std::string_view what) {
  return base::corrupt("WAL record: " + std::string(what));
}

bool read_row(base::ByteReader& reader, EncodedBatch& out, std::uint64_t& previous_ns,
              std::vector<model::Labels::Pair>& pairs) {
  const auto flags = reader.read_le<char>();
  BatchRow row;
  row.stream = static_cast<std::uint32_t>(out.streams.size() - 1);
  previous_ns += static_cast<std::uint64_t>(base::unzigzag(reader.read_varint()));
  row.timestamp_ns = static_cast<model::TimestampNs>(previous_ns);
  if ((flags & kRowMetadata) != 0) {
    if (!read_labels(reader, pairs)) return false;
    model::Labels metadata = model::Labels::from_pairs(pairs);
    if (out.metadata == nullptr) out.metadata = std::make_shared<std::deque<model::Labels>>();
    if (out.metadata->empty() || out.metadata->back() != metadata)
      out.metadata->push_back(std::move(metadata));
    row.metadata = &out.metadata->back();
  }
  row.line = reader.read_bytes();
  if (reader.failed()) return false;
  if ((flags & kRowDropped) == 0) out.rows.push_back(row);
  return true;
}

}  // namespace

base::Result<EncodedBatch> decode_batch(std::string_view payload,
                                        std::shared_ptr<const void> owner) {
  base::ByteReader reader(payload);
  EncodedBatch out;
  out.owner = std::move(owner);
  out.owner_bytes = payload.size();
  if (reader.read_le<char>() != kKindPush) return damaged("unknown kind");
  out.tenant = reader.read_bytes();
  const std::uint64_t marks = reader.read_varint();
  if (marks > kBatchMarksMax) return damaged("too many file marks");
  for (std::uint64_t i = 0; i < marks && !reader.failed(); ++i) {
    model::FileMark mark;
    mark.agent_id = reader.read_bytes();
    mark.file_id = reader.read_bytes();
    mark.start_offset = reader.read_varint();
    mark.end_offset = reader.read_varint();
    out.marks.push_back(std::move(mark));
  }
  const std::uint64_t streams = reader.read_varint();
  if (streams > kBatchStreamsMax) return damaged("too many streams");
  std::vector<model::Labels::Pair> pairs;
  for (std::uint64_t s = 0; s < streams && !reader.failed(); ++s) {
    if (!read_labels(reader, pairs)) return damaged("labels of a stream");
    out.streams.push_back(model::Labels::from_pairs(pairs));
    const auto rows = reader.read_le<std::uint32_t>();
    std::uint64_t previous_ns = 0;
    for (std::uint32_t r = 0; r < rows; ++r)
      if (!read_row(reader, out, previous_ns, pairs)) return damaged("an entry is cut off");
  }
  if (reader.failed() || !reader.done()) return damaged("payload does not end where it should");
  return out;
}

}  // namespace skald::store::wal
