#include "store/wal/wal_format.h"

#include <charconv>
#include <cstring>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"
#include "store/wal/limits.h"

namespace skald::store::wal {
namespace {

constexpr std::string_view kSegmentMagic = "SKALDWAL";
// Not ASCII, so that it is rare inside log lines.
constexpr char kRecordMagic[4] = {'\xF5', 'S', 'K', '\xFA'};

static_assert(kSegmentHeaderBytes == 8 + 4 + 4 + 3 * 8);
static_assert(kRecordHeaderBytes == 4 + 4 + 4 + 8);

template <typename T>
void store_le(char* at, T value) noexcept {
  std::memcpy(at, &value, sizeof(T));
}

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
  std::string rest;
  base::put_le(rest, header.first_sequence);
  base::put_le(rest, header.void_first);
  base::put_le(rest, header.void_end);
  std::string out(kSegmentMagic);
  base::put_le(out, kVersion);
  base::put_le(out, base::crc32c(rest));
  return out + rest;
}

base::Result<SegmentHeader> decode_segment_header(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes || bytes.substr(0, 8) != kSegmentMagic)
    return base::corrupt("not a WAL segment: its first 40 bytes are no segment header");
  base::ByteReader reader(bytes.substr(8, kSegmentHeaderBytes - 8));
  const auto version = reader.read_le<std::uint32_t>();
  if (version < kVersionMin || version > kVersion)
    return base::unsupported("WAL segment of version " + std::to_string(version) +
                             "; this build reads up to " + std::to_string(kVersion));
  const auto crc = reader.read_le<std::uint32_t>();
  if (crc != base::crc32c(bytes.substr(16, kSegmentHeaderBytes - 16)))
    return base::corrupt("WAL segment header: checksum does not match");
  SegmentHeader header;
  header.first_sequence = reader.read_le<std::uint64_t>();
  header.void_first = reader.read_le<std::uint64_t>();
  header.void_end = reader.read_le<std::uint64_t>();
  return header;
}

void finish_record(RecordBuffer& record, std::uint64_t sequence) noexcept {
  char* at = record.bytes.get();
  std::memcpy(at, kRecordMagic, 4);
  store_le(at + 8, static_cast<std::uint32_t>(record.size - kRecordHeaderBytes));
  store_le(at + 12, sequence);
  store_le(at + 4, base::crc32c(record.whole().substr(8)));
}

std::optional<RecordView> read_record(std::string_view bytes) noexcept {
  if (bytes.size() < kRecordHeaderBytes || std::memcmp(bytes.data(), kRecordMagic, 4) != 0)
    return std::nullopt;
  const auto length = base::load_le<std::uint32_t>(bytes.data() + 8);
  if (length > kPayloadBytesMax || length > bytes.size() - kRecordHeaderBytes) return std::nullopt;
  RecordView record;
  record.size = kRecordHeaderBytes + length;
  if (base::load_le<std::uint32_t>(bytes.data() + 4) !=
      base::crc32c(bytes.substr(8, record.size - 8)))
    return std::nullopt;
  record.sequence = base::load_le<std::uint64_t>(bytes.data() + 12);
  record.payload = bytes.substr(kRecordHeaderBytes, length);
  return record;
}

std::size_t find_record(std::string_view bytes, std::size_t from) noexcept {
  const std::string_view magic(kRecordMagic, 4);
  for (std::size_t at = bytes.find(magic, from); at != std::string_view::npos;
       at = bytes.find(magic, at + 1))
    if (read_record(bytes.substr(at))) return at;
  return std::string_view::npos;
}

std::string segment_name(std::uint64_t first_sequence) {
  char digits[17] = "0000000000000000";
  char reversed[17];
  const auto end = std::to_chars(reversed, reversed + 16, first_sequence, 16).ptr;
  const auto count = static_cast<std::size_t>(end - reversed);
  std::memcpy(digits + 16 - count, reversed, count);
  return std::string(digits, 16) + ".wal";
}

std::optional<std::uint64_t> parse_segment_name(std::string_view name) noexcept {
  if (name.size() != 20 || name.substr(16) != ".wal") return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 16, value, 16);
  if (error != std::errc() || end != name.data() + 16) return std::nullopt;
  return value;
}

}  // namespace skald::store::wal
