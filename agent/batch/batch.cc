#include "agent/batch/batch.h"

#include <snappy-sinksource.h>
#include <snappy.h>
#include <zstd.h>

#include <algorithm>

#include "proto/base/bytes.h"
#include "proto/base/check.h"
#include "proto/base/clock.h"
#include "proto/base/unique_handle.h"
#include "proto/wire/push_fields.h"

namespace skald::agent {
namespace {

std::size_t varint_size(std::uint64_t value) noexcept {
  return static_cast<std::size_t>(70 - __builtin_clzll(value | 1)) / 7;
}
std::size_t field_size(std::size_t payload) noexcept { return 1 + varint_size(payload) + payload; }

// A few header bytes on the stack.
class Scratch {
 public:
  void byte(unsigned value) noexcept { bytes_[size_++] = static_cast<char>(value); }
  void tag(unsigned field, unsigned type) noexcept { byte(field << 3 | type); }
  void varint(std::uint64_t value) noexcept {
    while (value >= 0x80) {
      byte(static_cast<unsigned>(value & 0x7F) | 0x80);
      value >>= 7;
    }
    byte(static_cast<unsigned>(value));
  }
  std::string_view view() const noexcept { return {bytes_, size_}; }

 private:
  char bytes_[80];  // at most 7 one-byte tags and 7 varints
  std::size_t size_ = 0;
};

struct SplitTime {
  explicit SplitTime(std::int64_t time_ns) noexcept
      : seconds(time_ns / base::kNsPerSecond), nanos(time_ns % base::kNsPerSecond) {
    if (nanos < 0) {
      nanos += base::kNsPerSecond;
      --seconds;
    }
    size = (seconds != 0 ? 1 + varint_size(static_cast<std::uint64_t>(seconds)) : 0) +
           (nanos != 0 ? 1 + varint_size(static_cast<std::uint64_t>(nanos)) : 0);
  }
  std::int64_t seconds, nanos;
  std::size_t size;
};

std::size_t pair_size(const std::pair<std::string_view, std::string_view>& pair) noexcept {
  return field_size(pair.first.size()) + field_size(pair.second.size());
}

}  // namespace

namespace {

// See limits.h for how these were chosen.
constexpr std::pair<ZSTD_cParameter, int> kZstdParameters[] = {{ZSTD_c_compressionLevel, 3},
                                                               {ZSTD_c_windowLog, kZstdWindowLog},
                                                               {ZSTD_c_strategy, ZSTD_dfast},
                                                               {ZSTD_c_hashLog, kZstdLongHashLog},
                                                               {ZSTD_c_chainLog, kZstdShortHashLog},
                                                               {ZSTD_c_minMatch, kZstdMinMatch},
                                                               {ZSTD_c_checksumFlag, 1}};

}  // namespace

char* BlockPool::take() {
  if (free_.empty()) {
    constexpr std::size_t kSlabBlocks = 16;
    slabs_.push_back(std::make_unique_for_overwrite<char[]>(kSlabBlocks * kBlockBytes));
    for (std::size_t i = kSlabBlocks; i-- > 0;) {
      all_.push_back(slabs_.back().get() + i * kBlockBytes);
      free_.push_back(all_.back());
    }
  }
  char* block = free_.back();
  free_.pop_back();
  return block;
}

void BlockChain::append_over_blocks(std::string_view bytes) {
  while (!bytes.empty()) {
    if (room_ == 0) {
      blocks_.push_back(pool_->take());
      at_ = blocks_.back();
      room_ = kBlockBytes;
    }
    const std::size_t count = std::min(room_, bytes.size());
    std::memcpy(at_, bytes.data(), count);
    at_ += count;
    room_ -= count;
    bytes.remove_prefix(count);
  }
}

std::size_t OpenBatch::add_stream(std::string labels_text) {
  streams_.emplace_back(std::move(labels_text), pool_);
  return streams_.size() - 1;
}

std::size_t OpenBatch::counted_bytes(std::string_view line, MetadataView metadata) noexcept {
  std::size_t bytes = line.size();
  for (const auto& [name, value] : metadata) bytes += name.size() + value.size();
  return bytes;
}

void OpenBatch::add(std::size_t number, std::int64_t timestamp_ns, std::string_view line,
                    MetadataView metadata) {
  Stream& stream = streams_[number];
  const bool in_block = for_skald_ && metadata.empty() && stream.entries.size() == 0 &&
                        add_to_block(stream, timestamp_ns, line);
  if (!in_block) add_entry(stream, timestamp_ns, line, metadata);
  bytes_ += counted_bytes(line, metadata);
  ++entries_;
}

bool OpenBatch::add_to_block(Stream& stream, std::int64_t timestamp_ns, std::string_view line) {
  const wire::LineBlockWriter::Placed placed = stream.block.add(line, timestamp_ns, stream.notes);
  if (!placed.held) return false;
  if (placed.before_end != 0) {
    char blank[wire::kTimeDigitsMax];
    const std::size_t at = line.size() - placed.before_end;
    std::memcpy(blank, line.data() + at, placed.digits_size);
    wire::blank_time(blank, placed.digits_size);
    stream.text.append(line.substr(0, at));
    stream.text.append({blank, placed.digits_size});
    line.remove_prefix(at + placed.digits_size);
  }
  stream.text.append(line);
  stream.text.append("\n");
  return true;
}

void OpenBatch::add_entry(Stream& stream, std::int64_t timestamp_ns, std::string_view line,
                          MetadataView metadata) {
  // The parts that differ from line to line stand together: compressors like that.
  Scratch time, head;
  std::size_t& time_at = stream.time_at;
  time_at = for_skald_ ? wire::find_line_time(line, timestamp_ns, time_at) : 0;
  if (time_at != 0) {
    time.varint(wire::kEntryTimeInLine << 3 | wire::kVarint);
    time.varint(time_at);
  } else {
    const SplitTime split(timestamp_ns);
    time.tag(wire::kEntryTime, wire::kLengthDelimited);
    time.varint(split.size);
    if (split.seconds != 0) {
      time.tag(wire::kTimeSeconds, wire::kVarint);
      time.varint(static_cast<std::uint64_t>(split.seconds));
    }
    if (split.nanos != 0) {
      time.tag(wire::kTimeNanos, wire::kVarint);
      time.varint(static_cast<std::uint64_t>(split.nanos));
    }
  }
  std::size_t size = time.view().size() + field_size(line.size());
  for (const auto& pair : metadata) size += field_size(pair_size(pair));
  head.tag(wire::kStreamEntries, wire::kLengthDelimited);
  head.varint(size);
  head.tag(wire::kEntryLine, wire::kLengthDelimited);
  head.varint(line.size());
  BlockChain& out = stream.entries;
  out.append(head.view());
  out.append(line);
  out.append(time.view());
  for (const auto& pair : metadata) {
    Scratch name, value;
    name.tag(wire::kEntryMetadata, wire::kLengthDelimited);
    name.varint(pair_size(pair));
    name.tag(wire::kPairName, wire::kLengthDelimited);
    name.varint(pair.first.size());
    out.append(name.view());
    out.append(pair.first);
    value.tag(wire::kPairValue, wire::kLengthDelimited);
    value.varint(pair.second.size());
    out.append(value.view());
    out.append(pair.second);
  }
}

// Sets the block's heads; the size of its field, 0 without lines.
std::size_t OpenBatch::close_block(Stream& stream) {
  if (stream.text.size() == 0) return 0;
  stream.text_head.clear();
  stream.notes_head.clear();
  base::put_varint(stream.text_head, wire::kStreamLines << 3 | wire::kLengthDelimited);
  base::put_varint(stream.text_head,
                   field_size(stream.text.size()) + field_size(stream.notes.size()));
  base::put_varint(stream.text_head, wire::kLinesText << 3 | wire::kLengthDelimited);
  base::put_varint(stream.text_head, stream.text.size());
  base::put_varint(stream.notes_head, wire::kLinesNotes << 3 | wire::kLengthDelimited);
  base::put_varint(stream.notes_head, stream.notes.size());
  return stream.text_head.size() + stream.text.size() + stream.notes_head.size() +
         stream.notes.size();
}

std::size_t OpenBatch::encoded_size(std::string_view marks) {
  std::size_t size = marks.size();
  for (Stream& stream : streams_) {
    const std::size_t entries = close_block(stream) + stream.entries.size();
    stream.head.clear();
    base::put_varint(stream.head, wire::kRequestStreams << 3 | wire::kLengthDelimited);
    base::put_varint(stream.head, field_size(stream.labels_text.size()) + entries);
    base::put_varint(stream.head, wire::kStreamLabels << 3 | wire::kLengthDelimited);
    base::put_bytes(stream.head, stream.labels_text);
    size += stream.head.size() + entries;
  }
  return size;
}

void OpenBatch::clear() {
  streams_.clear();
  bytes_ = 0;
  entries_ = 0;
}

struct BodyCompressor::Impl {
  base::UniqueHandle<ZSTD_CCtx, ZSTD_freeCCtx> zstd;
  std::string scratch;
};

BodyCompressor::BodyCompressor() : impl_(std::make_unique<Impl>()) {}
BodyCompressor::~BodyCompressor() = default;

base::Status BodyCompressor::compress(OpenBatch& batch, std::string_view marks, Encoding encoding,
                                      std::string& out) {
  return encoding == Encoding::kZstd ? compress_zstd(batch, marks, out)
                                     : compress_snappy(batch, marks, out);
}

base::Status BodyCompressor::compress_zstd(OpenBatch& batch, std::string_view marks,
                                           std::string& out) {
  if (impl_->zstd == nullptr) {
    impl_->zstd.reset(ZSTD_createCCtx());
    if (impl_->zstd == nullptr) return base::resource_exhausted("zstd: no memory");
    for (const auto& [parameter, value] : kZstdParameters)
      ZSTD_CCtx_setParameter(impl_->zstd.get(), parameter, value);
  }
  ZSTD_CCtx* const zstd = impl_->zstd.get();
  ZSTD_CCtx_reset(zstd, ZSTD_reset_session_only);
  ZSTD_CCtx_setPledgedSrcSize(zstd, batch.encoded_size(marks));
  std::string& scratch = impl_->scratch;
  std::size_t error = 0;
  std::size_t used = 0;
  const auto feed = [&](std::string_view piece, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    for (;;) {
      if (scratch.size() - used < ZSTD_CStreamOutSize() / 4) scratch.resize(used + (128U << 10));
      ZSTD_outBuffer to{scratch.data(), scratch.size(), used};
      const std::size_t left = ZSTD_compressStream2(zstd, &to, &in, directive);
      used = to.pos;
      if (ZSTD_isError(left) != 0) {
        error = left;
        return;
      }
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return;
    }
  };
  batch.for_each_piece(marks, [&](std::string_view piece) {
    if (error == 0) feed(piece, ZSTD_e_continue);
  });
  if (error == 0) feed({}, ZSTD_e_end);
  if (error != 0) return base::internal(std::string("zstd: ") + ZSTD_getErrorName(error));
  out.assign(scratch, 0, used);
  return {};
}

namespace {

class PiecesSource final : public snappy::Source {
 public:
  PiecesSource(const OpenBatch& batch, std::string_view marks) {
    batch.for_each_piece(marks, [this](std::string_view piece) {
      left_ += piece.size();
      if (!piece.empty()) pieces_.push_back(piece);
    });
  }
  std::size_t Available() const override { return left_; }
  const char* Peek(std::size_t* size) override {
    if (at_ == pieces_.size()) {
      *size = 0;
      return nullptr;
    }
    *size = pieces_[at_].size();
    return pieces_[at_].data();
  }
  void Skip(std::size_t count) override {
    left_ -= count;
    while (count > 0) {
      const std::size_t step = std::min(count, pieces_[at_].size());
      pieces_[at_].remove_prefix(step);
      count -= step;
      if (pieces_[at_].empty()) ++at_;
    }
  }

 private:
  std::vector<std::string_view> pieces_;
  std::size_t at_ = 0;
  std::size_t left_ = 0;
};

class StringSink final : public snappy::Sink {
 public:
  explicit StringSink(std::string& out) : out_(out) {}
  void Append(const char* bytes, std::size_t size) override { out_.append(bytes, size); }

 private:
  std::string& out_;
};

}  // namespace

base::Status BodyCompressor::compress_snappy(OpenBatch& batch, std::string_view marks,
                                             std::string& out) {
  impl_->scratch.reserve(snappy::MaxCompressedLength(batch.encoded_size(marks)) / 4);
  PiecesSource source(batch, marks);
  impl_->scratch.clear();
  StringSink sink(impl_->scratch);
  snappy::Compress(&source, &sink);
  out.assign(impl_->scratch);
  return {};
}

}  // namespace skald::agent
