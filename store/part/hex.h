#pragma once
// Lower-case hexadecimal text to bytes and back, eight bytes at a time, and UUIDs in their usual
// text form (8-4-4-4-12). Exact: what does not round-trip is refused.

#include <tmmintrin.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>

namespace skald::store::part {

// 16 characters to 8 bytes. False unless all are [0-9a-f].
inline bool hex_decode_8(const char* text, void* bytes) noexcept {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text));
  const __m128i digit = _mm_sub_epi8(raw, _mm_set1_epi8('0'));
  const __m128i alpha = _mm_sub_epi8(raw, _mm_set1_epi8('a'));
  const __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
  const __m128i is_alpha = _mm_cmpeq_epi8(_mm_min_epu8(alpha, _mm_set1_epi8(5)), alpha);
  if (_mm_movemask_epi8(_mm_or_si128(is_digit, is_alpha)) != 0xFFFF) return false;
  const __m128i nibbles =
      _mm_or_si128(_mm_and_si128(is_digit, digit),
                   _mm_andnot_si128(is_digit, _mm_add_epi8(alpha, _mm_set1_epi8(10))));
  const __m128i pairs = _mm_maddubs_epi16(nibbles, _mm_set1_epi16(0x0110));
  _mm_storel_epi64(static_cast<__m128i*>(bytes), _mm_packus_epi16(pairs, pairs));
  return true;
}

// 8 bytes to 16 characters.
inline void hex_encode_8(const void* bytes, char* text) noexcept {
  const __m128i raw = _mm_loadl_epi64(static_cast<const __m128i*>(bytes));
  const __m128i high = _mm_and_si128(_mm_srli_epi16(raw, 4), _mm_set1_epi8(0x0F));
  const __m128i low = _mm_and_si128(raw, _mm_set1_epi8(0x0F));
  const __m128i nibbles = _mm_unpacklo_epi8(high, low);
  const __m128i digits =
      _mm_setr_epi8('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f');
  _mm_storeu_si128(reinterpret_cast<__m128i*>(text), _mm_shuffle_epi8(digits, nibbles));
}

inline int hex_nibble(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Any even number of characters.
inline bool hex_decode(std::string_view text, char* bytes) noexcept {
  std::size_t i = 0;
  for (; i + 16 <= text.size(); i += 16)
    if (!hex_decode_8(text.data() + i, bytes + i / 2)) return false;
  for (; i < text.size(); i += 2) {
    const int high = hex_nibble(text[i]);
    const int low = hex_nibble(text[i + 1]);
    if ((high | low) < 0) return false;
    bytes[i / 2] = static_cast<char>(high << 4 | low);
  }
  return true;
}

inline void hex_encode(std::string_view bytes, char* text) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) hex_encode_8(bytes.data() + i, text + i * 2);
  for (; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    text[i * 2] = "0123456789abcdef"[byte >> 4];
    text[i * 2 + 1] = "0123456789abcdef"[byte & 15];
  }
}

inline constexpr std::size_t kUuidTextBytes = 36;

struct Uuid {
  std::uint64_t high = 0, low = 0;  // the 16 bytes in memory order
  friend bool operator==(const Uuid&, const Uuid&) = default;
};

inline bool parse_uuid(const char* text, Uuid& uuid) noexcept {  // 36 readable characters
  if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return false;
  char packed[32];
  std::memcpy(packed, text, 8);
  std::memcpy(packed + 8, text + 9, 4);
  std::memcpy(packed + 12, text + 14, 4);
  std::memcpy(packed + 16, text + 19, 4);
  std::memcpy(packed + 20, text + 24, 12);
  return hex_decode_8(packed, &uuid.high) && hex_decode_8(packed + 16, &uuid.low);
}

inline void write_uuid(const Uuid& uuid, char* text) noexcept {
  char packed[32];
  hex_encode_8(&uuid.high, packed);
  hex_encode_8(&uuid.low, packed + 16);
  std::memcpy(text, packed, 8);
  std::memcpy(text + 9, packed + 8, 4);
  std::memcpy(text + 14, packed + 12, 4);
  std::memcpy(text + 19, packed + 16, 4);
  std::memcpy(text + 24, packed + 20, 12);
  text[8] = text[13] = text[18] = text[23] = '-';
}

// Mixes 8-byte words by 64x64->128 multiplication. What senders choose is hashed with kTableSeed,
// so that nobody can prepare values that collide; tables compare in full all the same.
inline std::uint64_t mix_hash(std::uint64_t a, std::uint64_t b) noexcept {
  const auto product =
      static_cast<unsigned __int128>(a ^ 0x9E3779B97F4A7C15ULL) * (b ^ 0xD1B54A32D192ED03ULL);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed = 0) noexcept {
  std::uint64_t hash = seed ^ bytes.size();
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t word;
  for (; left >= 16; left -= 16, at += 16) {
    std::uint64_t other;
    std::memcpy(&word, at, 8);
    std::memcpy(&other, at + 8, 8);
    hash = mix_hash(hash ^ word, other);
  }
  if (left >= 8) {
    std::memcpy(&word, at, 8);
    hash = mix_hash(hash, word);
    at += 8;
    left -= 8;
  }
  word = 0;
  if (left > 0) std::memcpy(&word, at, left);
  return mix_hash(hash, word ^ (std::uint64_t{left} << 56));
}

// New in each process; never stored.
inline const std::uint64_t kTableSeed = [] {
  std::random_device random;
  return (std::uint64_t{random()} << 32) ^ random();
}();

}  // namespace skald::store::part
