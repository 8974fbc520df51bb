#include "store/wal/batch_codec.h"

#include <cstring>
#include <utility>

#include "proto/base/bytes.h"
#include "proto/base/check.h"
#include "proto/wire/decompress.h"
#include "proto/wire/limits.h"
#include "store/wal/limits.h"

namespace skald::store::wal {
namespace {

constexpr char kKindPush = 1;    // lines lie in the record
constexpr char kKindPacked = 2;  // lines lie in a packed body
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

// A packed body is taken when it is clearly shorter than the lines, when all of them lie in it, and
// when the head, which keeps the unpacked body alive, does not keep much else with it.
BatchEncoder::Plan BatchEncoder::plan(std::string_view tenant, const model::PushBatch& batch) {
  std::size_t head = kRecordHeaderBytes + 1 + tenant.size() + 6 * kVarintMax;
  for (const auto& mark : batch.marks)
    head += mark.agent_id.size() + mark.file_id.size() + 4 * kVarintMax;
  const std::string_view plain = batch.body ? batch.body->plain : std::string_view();
  const auto begin = reinterpret_cast<std::uintptr_t>(plain.data());
  std::size_t lines = 0;
  bool inside = batch.body && plain.size() >= kPackedBodyMin;
  for (const auto& stream : batch.streams) {
    head += labels_bytes_max(stream.labels) + 4;
    const model::Labels* last = nullptr;
    for (const auto& entry : stream.entries) {
      head += 1 + 3 * kVarintMax;
      lines += entry.line.size();
      const std::size_t at = reinterpret_cast<std::uintptr_t>(entry.line.data()) - begin;
      inside = inside && at <= plain.size() && entry.line.size() <= plain.size() - at;
      if (entry.metadata != nullptr && entry.metadata != last)
        head += labels_bytes_max(*entry.metadata);
      last = entry.metadata;
    }
  }
  if (inside && batch.body->packed.size() < lines / 4 * 3 && plain.size() < lines * 2)
    return {true, head + batch.body->packed.size()};
  return {false, head + lines};
}

BatchEncoder::BatchEncoder(std::string_view tenant, const model::PushBatch& batch,
                           const Plan& plan) {
  auto record = std::make_shared<RecordBuffer>();
  record->bytes = std::unique_ptr<char[]>(new char[plan.capacity]);  // not zeroed
  record->capacity = plan.capacity;
  at_ = record->bytes.get() + kRecordHeaderBytes;
  out_.record = record;
  out_.tenant = tenant;
  out_.marks = batch.marks;
  out_.streams.reserve(batch.streams.size());
  std::size_t rows = 0;
  for (const auto& stream : batch.streams) rows += stream.entries.size();
  out_.rows.reserve(rows);

  *at_++ = plan.packed ? kKindPacked : kKindPush;
  put_bytes(tenant);
  put_varint(batch.marks.size());
  for (const auto& mark : batch.marks) {
    put_bytes(mark.agent_id);
    put_bytes(mark.file_id);
    put_varint(mark.start_offset);
    put_varint(mark.end_offset);
  }
  if (plan.packed) {
    const model::PackedBody& body = *batch.body;
    *at_++ = static_cast<char>(body.coding);
    put_varint(body.plain.size());
    put_bytes(body.packed);
    plain_ = body.plain.data();
    out_.owner = body.owner;
    out_.owner_bytes = body.plain.size();
  } else {
    out_.owner = record;
    out_.owner_bytes = record->capacity;
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
  last_given_ = nullptr;
}

void BatchEncoder::put_metadata(const model::Labels& metadata, BatchRow& row) {
  if (&metadata == last_given_) {
    *row.flags = kRowSameMetadata;
    row.metadata = &out_.metadata->back();
    return;
  }
  last_given_ = &metadata;
  *row.flags = kRowMetadata;
  put_labels(metadata);
  if (out_.metadata == nullptr) out_.metadata = std::make_shared<std::deque<model::Labels>>();
  if (out_.metadata->empty() || out_.metadata->back() != metadata)
    out_.metadata->push_back(metadata);
  row.metadata = &out_.metadata->back();
}

void BatchEncoder::put_line(std::string_view line, BatchRow& row) noexcept {
  if (plain_ == nullptr) {
    put_varint(line.size());
    row.line = std::string_view(at_, line.size());
    if (!line.empty()) std::memcpy(at_, line.data(), line.size());
    at_ += line.size();
    return;
  }
  const std::size_t offset =
      line.empty() ? line_end_ : static_cast<std::size_t>(line.data() - plain_);
  put_varint(
      base::zigzag(static_cast<std::int64_t>(offset) - static_cast<std::int64_t>(line_end_)));
  put_varint(line.size());
  line_end_ = offset + line.size();
  row.line = line;
}

void BatchEncoder::add(const model::EntryView& entry) {
  BatchRow row;
  row.timestamp_ns = entry.timestamp_ns;
  row.stream = static_cast<std::uint32_t>(out_.streams.size() - 1);
  row.flags = at_;
  *at_++ = 0;
  // Unsigned subtraction wraps for hostile times; the decoder adds it back the same way.
  put_varint(base::zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(entry.timestamp_ns) -
                                                    static_cast<std::uint64_t>(previous_ns_))));
  previous_ns_ = entry.timestamp_ns;
  if (entry.metadata != nullptr && !entry.metadata->empty())
    put_metadata(*entry.metadata, row);
  else
    last_given_ = nullptr;
  put_line(entry.line, row);
  out_.rows.push_back(row);
  ++count_;
}

void BatchEncoder::end_stream() { std::memcpy(count_at_, &count_, 4); }

EncodedBatch BatchEncoder::finish() {
  RecordBuffer& record = *out_.record;
  record.size = static_cast<std::size_t>(at_ - record.bytes.get());
  CHECK_LE(record.size, record.capacity);
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

class RowReader {
 public:
  RowReader(base::ByteReader& reader, EncodedBatch& out) : reader_(reader), out_(out) {}

  void set_plain(std::string_view plain) {
    plain_ = plain;
    packed_ = true;
  }
  void begin_stream() {
    previous_ns_ = 0;
    metadata_ = nullptr;
  }
  bool read() {
    const auto flags = reader_.read_le<char>();
    BatchRow row;
    row.stream = static_cast<std::uint32_t>(out_.streams.size() - 1);
    previous_ns_ += static_cast<std::uint64_t>(base::unzigzag(reader_.read_varint()));
    row.timestamp_ns = static_cast<model::TimestampNs>(previous_ns_);
    if (!read_metadata(flags)) return false;
    row.metadata = metadata_;
    if (!read_line(row.line) || reader_.failed()) return false;
    if ((flags & kRowDropped) == 0) out_.rows.push_back(row);
    return true;
  }

 private:
  bool read_metadata(char flags) {
    if ((flags & kRowSameMetadata) != 0) return metadata_ != nullptr;
    metadata_ = nullptr;
    if ((flags & kRowMetadata) == 0) return true;
    if (!read_labels(reader_, pairs_)) return false;
    model::Labels metadata = model::Labels::from_pairs(pairs_);
    if (out_.metadata == nullptr) out_.metadata = std::make_shared<std::deque<model::Labels>>();
    if (out_.metadata->empty() || out_.metadata->back() != metadata)
      out_.metadata->push_back(std::move(metadata));
    metadata_ = &out_.metadata->back();
    return true;
  }
  bool read_line(std::string_view& line) {
    if (!packed_) {
      line = reader_.read_bytes();
      return true;
    }
    const std::uint64_t offset =
        line_end_ + static_cast<std::uint64_t>(base::unzigzag(reader_.read_varint()));
    const std::uint64_t size = reader_.read_varint();
    if (offset > plain_.size() || size > plain_.size() - offset) return false;
    line = plain_.substr(offset, size);
    line_end_ = offset + size;
    return true;
  }

  base::ByteReader& reader_;
  EncodedBatch& out_;
  std::string_view plain_;
  bool packed_ = false;
  std::uint64_t line_end_ = 0;
  std::uint64_t previous_ns_ = 0;
  const model::Labels* metadata_ = nullptr;  // of the row before in the stream
  std::vector<model::Labels::Pair> pairs_;
};

// The unpacked body becomes the batch's owner.
base::Status read_body(base::ByteReader& reader, EncodedBatch& out, std::string_view& plain) {
  const auto coding = static_cast<model::PackedBody::Coding>(reader.read_le<std::uint8_t>());
  const std::uint64_t size = reader.read_varint();
  const std::string_view packed = reader.read_bytes();
  if (reader.failed() || size > wire::kDecodedBytesMax) return damaged("packed body");
  auto buffer = std::make_shared<wire::Buffer>();
  wire::Decompressor decompressor;
  base::Status status;
  switch (coding) {
    case model::PackedBody::Coding::kSnappy:
      status = decompressor.snappy(packed, size, *buffer);
      break;
    case model::PackedBody::Coding::kZstd: status = decompressor.zstd(packed, size, *buffer); break;
    default: return damaged("unknown coding of the body");
  }
  if (!status.ok() || buffer->view().size() != size) return damaged("body does not unpack");
  plain = buffer->view();
  out.owner_bytes = buffer->capacity();
  out.owner = std::move(buffer);
  return {};
}

}  // namespace

base::Result<EncodedBatch> decode_batch(std::string_view payload,
                                        std::shared_ptr<const void> owner) {
  base::ByteReader reader(payload);
  EncodedBatch out;
  out.owner = std::move(owner);
  out.owner_bytes = payload.size();
  const char kind = reader.read_le<char>();
  if (kind != kKindPush && kind != kKindPacked) return damaged("unknown kind");
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
  RowReader row_reader(reader, out);
  if (kind == kKindPacked) {
    std::string_view plain;
    SKALD_TRY(read_body(reader, out, plain));
    row_reader.set_plain(plain);
  }
  const std::uint64_t streams = reader.read_varint();
  if (streams > kBatchStreamsMax) return damaged("too many streams");
  std::vector<model::Labels::Pair> pairs;
  for (std::uint64_t s = 0; s < streams && !reader.failed(); ++s) {
    if (!read_labels(reader, pairs)) return damaged("labels of a stream");
    out.streams.push_back(model::Labels::from_pairs(pairs));
    const auto rows = reader.read_le<std::uint32_t>();
    row_reader.begin_stream();
    for (std::uint32_t r = 0; r < rows; ++r)
      if (!row_reader.read()) return damaged("an entry is cut off");
  }
  if (reader.failed() || !reader.done()) return damaged("payload does not end where it should");
  return out;
}

}  // namespace skald::store::wal
