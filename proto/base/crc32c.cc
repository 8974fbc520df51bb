#include "proto/base/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace skald::base {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78U : 0U);
    table[i] = crc;
  }
  return table;
}

constexpr auto kTable = make_table();

std::uint32_t portable(const unsigned char* data, std::size_t size, std::uint32_t crc) {
  for (std::size_t i = 0; i < size; ++i) crc = kTable[(crc ^ data[i]) & 0xFF] ^ (crc >> 8);
  return crc;
}

#if defined(__x86_64__)
// The instruction takes three cycles but one can start in each: three runs of bytes at a time, and
// their checksums are joined by moving each over the zeros that stand for the bytes behind it.
constexpr std::size_t kRunBytes = 1024;

// shift[k][b]: the checksum with byte b at place k, moved over `bytes` zeros.
using ShiftTable = std::array<std::array<std::uint32_t, 256>, 4>;
constexpr ShiftTable make_shift(std::size_t bytes) {
  std::array<std::uint32_t, 32> bit{};  // of each bit alone
  for (unsigned i = 0; i < 32; ++i) {
    std::uint32_t crc = 1U << i;
    for (std::size_t n = 0; n < bytes; ++n) crc = kTable[crc & 0xFF] ^ (crc >> 8);
    bit[i] = crc;
  }
  ShiftTable shift{};
  for (unsigned k = 0; k < 4; ++k)
    for (unsigned b = 0; b < 256; ++b)
      for (unsigned i = 0; i < 8; ++i)
        if ((b >> i & 1) != 0) shift[k][b] ^= bit[k * 8 + i];
  return shift;
}

std::uint32_t shifted(const ShiftTable& shift, std::uint32_t crc) {
  return shift[0][crc & 0xFF] ^ shift[1][crc >> 8 & 0xFF] ^ shift[2][crc >> 16 & 0xFF] ^
         shift[3][crc >> 24];
}

__attribute__((target("sse4.2"))) std::uint32_t hardware(const unsigned char* data,
                                                         std::size_t size, std::uint32_t crc) {
  static const ShiftTable shift = make_shift(kRunBytes);
  for (; size >= 3 * kRunBytes; size -= 3 * kRunBytes, data += 3 * kRunBytes) {
    std::uint64_t a = crc, b = 0, c = 0;
    for (std::size_t i = 0; i < kRunBytes; i += 8) {
      std::uint64_t words[3];
      std::memcpy(&words[0], data + i, 8);
      std::memcpy(&words[1], data + kRunBytes + i, 8);
      std::memcpy(&words[2], data + 2 * kRunBytes + i, 8);
      a = _mm_crc32_u64(a, words[0]);
      b = _mm_crc32_u64(b, words[1]);
      c = _mm_crc32_u64(c, words[2]);
    }
    crc = shifted(shift, static_cast<std::uint32_t>(a)) ^ static_cast<std::uint32_t>(b);
    crc = shifted(shift, crc) ^ static_cast<std::uint32_t>(c);
  }
  std::uint64_t wide = crc;
  for (; size >= 8; size -= 8, data += 8) {
    std::uint64_t word;
    std::memcpy(&word, data, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<std::uint32_t>(wide);
  for (; size > 0; --size, ++data) crc = _mm_crc32_u8(crc, *data);
  return crc;
}
#endif

}  // namespace

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed) noexcept {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2");
  if (has_sse42) return ~hardware(data, bytes.size(), ~seed);
#endif
  return ~portable(data, bytes.size(), ~seed);
}

}  // namespace skald::base
