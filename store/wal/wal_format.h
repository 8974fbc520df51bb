#pragma once
// The bytes of a segment file (WAL.md): a header, then records. Pure functions over bytes.
//
// A RecordBuffer is written once and read twice: it goes to the file as it is, and afterwards the
// head's rows point into it. So a line is copied once on its way into the store.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proto/base/status.h"

namespace skald::store::wal {

inline constexpr std::uint32_t kVersion = 2;
inline constexpr std::uint32_t kVersionMin = 1;  // without packed bodies
inline constexpr std::size_t kSegmentHeaderBytes = 40;
inline constexpr std::size_t kRecordHeaderBytes = 20;

struct SegmentHeader {
  std::uint64_t first_sequence = 0;
  // Records of earlier segments with these sequences [void_first, void_end) were never
  // acknowledged (their write or sync failed) and do not count, even if they can be read.
  std::uint64_t void_first = 0;
  std::uint64_t void_end = 0;
};

std::string encode_segment_header(const SegmentHeader& header);
// kCorrupt, or kUnsupported for a version this build does not know.
base::Result<SegmentHeader> decode_segment_header(std::string_view bytes);

// Owns one record: header (filled by finish_record) and payload. Rows borrow from it.
struct RecordBuffer {
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;      // header and payload
  std::size_t capacity = 0;  // what it costs in memory

  std::string_view whole() const noexcept { return {bytes.get(), size}; }
  std::string_view payload() const noexcept { return whole().substr(kRecordHeaderBytes); }
};

// Writes the record's header: its checksum covers sequence, length and payload.
void finish_record(RecordBuffer& record, std::uint64_t sequence) noexcept;

struct RecordView {
  std::uint64_t sequence = 0;
  std::string_view payload;
  std::size_t size = 0;  // header and payload
};

// The record at the start of `bytes`, if there is a whole and undamaged one.
std::optional<RecordView> read_record(std::string_view bytes) noexcept;
// The offset of the next whole record at or after `from`, or npos. For recovery past damage.
std::size_t find_record(std::string_view bytes, std::size_t from) noexcept;

// "00000000000000ff.wal": named after the first sequence, so that names sort as they were written.
std::string segment_name(std::uint64_t first_sequence);
std::optional<std::uint64_t> parse_segment_name(std::string_view name) noexcept;

}  // namespace skald::store::wal
