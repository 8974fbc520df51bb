#include "proto/wire/push_encoder.h"

#include <snappy.h>
#include <zstd.h>

#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/base/unique_handle.h"
#include "proto/wire/push_fields.h"

namespace skald::wire {
namespace {

std::size_t varint_size(std::uint64_t value) noexcept {
  return static_cast<std::size_t>(70 - __builtin_clzll(value | 1)) / 7;
}

std::size_t field_size(std::size_t payload) noexcept {  // one-byte tag, length, payload
  return 1 + varint_size(payload) + payload;
}

struct SplitTime {  // as google.protobuf.Timestamp: nanoseconds are never negative
  std::int64_t seconds;
  std::int64_t nanos;
};

SplitTime split(model::TimestampNs time_ns) noexcept {
  SplitTime t{time_ns / base::kNsPerSecond, time_ns % base::kNsPerSecond};
  if (t.nanos < 0) {
    t.nanos += base::kNsPerSecond;
    --t.seconds;
  }
  return t;
}

std::size_t time_size(const SplitTime& t) noexcept {
  return (t.seconds != 0 ? 1 + varint_size(static_cast<std::uint64_t>(t.seconds)) : 0) +
         (t.nanos != 0 ? 1 + varint_size(static_cast<std::uint64_t>(t.nanos)) : 0);
}

std::size_t pair_size(const model::Labels::Pair& pair) noexcept {
  return field_size(pair.first.size()) + field_size(pair.second.size());
}

std::size_t entry_size(const model::EntryView& entry, const SplitTime& t) noexcept {
  std::size_t size = field_size(time_size(t)) + field_size(entry.line.size());
  if (entry.metadata != nullptr)
    for (const auto& pair : *entry.metadata) size += field_size(pair_size(pair));
  return size;
}

void put_tag(std::string& out, unsigned field, unsigned wire_type) {
  base::put_varint(out, field << 3 | wire_type);
}

void put_field(std::string& out, unsigned field, std::string_view bytes) {
  put_tag(out, field, kLengthDelimited);
  base::put_bytes(out, bytes);
}

}  // namespace

std::size_t encoded_entry_size(const model::EntryView& entry) noexcept {
  return field_size(entry_size(entry, split(entry.timestamp_ns)));
}

void append_entry(std::string& entries, const model::EntryView& entry) {
  const SplitTime t = split(entry.timestamp_ns);
  put_tag(entries, kStreamEntries, kLengthDelimited);
  base::put_varint(entries, entry_size(entry, t));
  put_tag(entries, kEntryTime, kLengthDelimited);
  base::put_varint(entries, time_size(t));
  if (t.seconds != 0) {
    put_tag(entries, kTimeSeconds, kVarint);
    base::put_varint(entries, static_cast<std::uint64_t>(t.seconds));
  }
  if (t.nanos != 0) {
    put_tag(entries, kTimeNanos, kVarint);
    base::put_varint(entries, static_cast<std::uint64_t>(t.nanos));
  }
  put_field(entries, kEntryLine, entry.line);
  if (entry.metadata == nullptr) return;
  for (const auto& pair : *entry.metadata) {
    put_tag(entries, kEntryMetadata, kLengthDelimited);
    base::put_varint(entries, pair_size(pair));
    put_field(entries, kPairName, pair.first);
    put_field(entries, kPairValue, pair.second);
  }
}

void append_stream(std::string& body, std::string_view labels_text, std::string_view entries) {
  put_tag(body, kRequestStreams, kLengthDelimited);
  base::put_varint(body, field_size(labels_text.size()) + entries.size());
  put_field(body, kStreamLabels, labels_text);
  body.append(entries);
}

void append_mark(std::string& body, const model::FileMark& mark) {
  std::string inner;
  put_field(inner, kMarkAgentId, mark.agent_id);
  put_field(inner, kMarkFileId, mark.file_id);
  put_tag(inner, kMarkStart, kVarint);
  base::put_varint(inner, mark.start_offset);
  put_tag(inner, kMarkEnd, kVarint);
  base::put_varint(inner, mark.end_offset);
  put_field(body, kRequestMarks, inner);
}

void append_batch(std::string& body, const model::PushBatch& batch) {
  std::string entries;
  for (const model::PushStream& stream : batch.streams) {
    entries.clear();
    for (const model::EntryView& entry : stream.entries) append_entry(entries, entry);
    append_stream(body, stream.labels.to_string(), entries);
  }
  for (const model::FileMark& mark : batch.marks) append_mark(body, mark);
}

void compress_snappy(std::string_view body, std::string& out) {
  snappy::Compress(body.data(), body.size(), &out);
}

struct ZstdCompressor::Impl {
  base::UniqueHandle<ZSTD_CCtx, ZSTD_freeCCtx> context{ZSTD_createCCtx()};
  int level = 1;
};

ZstdCompressor::ZstdCompressor(int level) : impl_(std::make_unique<Impl>()) {
  impl_->level = level;
}
ZstdCompressor::~ZstdCompressor() = default;
ZstdCompressor::ZstdCompressor(ZstdCompressor&&) noexcept = default;
ZstdCompressor& ZstdCompressor::operator=(ZstdCompressor&&) noexcept = default;

base::Status ZstdCompressor::compress(std::string_view body, std::string& out) {
  ZSTD_CCtx* context = impl_->context.get();
  if (context == nullptr) return base::internal("zstd: no memory for a compressor");
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, impl_->level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  out.resize(ZSTD_compressBound(body.size()));
  const std::size_t written =
      ZSTD_compress2(context, out.data(), out.size(), body.data(), body.size());
  if (ZSTD_isError(written) != 0)
    return base::internal(std::string("zstd: ") + ZSTD_getErrorName(written));
  out.resize(written);
  return {};
}

}  // namespace skald::wire
