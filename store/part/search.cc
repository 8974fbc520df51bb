#include "store/part/search.h"

#include <emmintrin.h>

#include <cstring>

namespace skald::store::part {
namespace {

char upper_byte(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c; }

template <bool kFold>
bool same(const char* text, const char* needle, std::size_t size) noexcept {
  if constexpr (!kFold) {
    return std::memcmp(text, needle, size) == 0;
  } else {
    for (std::size_t i = 0; i < size; ++i)
      if (fold_byte(text[i]) != needle[i]) return false;
    return true;
  }
}

template <bool kFold>
__m128i equal_to(__m128i bytes, __m128i lower, __m128i upper) noexcept {
  const __m128i hits = _mm_cmpeq_epi8(bytes, lower);
  if constexpr (!kFold) return hits;
  return _mm_or_si128(hits, _mm_cmpeq_epi8(bytes, upper));
}

template <bool kFold>
std::size_t find(std::string_view text, std::string_view needle, std::size_t from) noexcept {
  if (from > text.size()) return kNotFound;
  if (needle.empty()) return from;
  if (text.size() - from < needle.size()) return kNotFound;
  const std::size_t size = needle.size();
  const std::size_t last_start = text.size() - size;
  const char* const data = text.data();
  const __m128i first_lower = _mm_set1_epi8(needle.front());
  const __m128i first_upper = _mm_set1_epi8(upper_byte(needle.front()));
  const __m128i last_lower = _mm_set1_epi8(needle.back());
  const __m128i last_upper = _mm_set1_epi8(upper_byte(needle.back()));
  std::size_t at = from;
  for (; at + 15 <= last_start; at += 16) {
    const __m128i head = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + at));
    const __m128i tail = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + at + size - 1));
    auto mask = static_cast<unsigned>(
        _mm_movemask_epi8(_mm_and_si128(equal_to<kFold>(head, first_lower, first_upper),
                                        equal_to<kFold>(tail, last_lower, last_upper))));
    for (; mask != 0; mask &= mask - 1) {
      const std::size_t hit = at + static_cast<unsigned>(__builtin_ctz(mask));
      if (same<kFold>(data + hit, needle.data(), size)) return hit;
    }
  }
  for (; at <= last_start; ++at)
    if (same<kFold>(data + at, needle.data(), size)) return at;
  return kNotFound;
}

}  // namespace

std::size_t find_bytes(std::string_view text, std::string_view needle, std::size_t from) noexcept {
  return find<false>(text, needle, from);
}

std::size_t find_folded(std::string_view text, std::string_view needle, std::size_t from) noexcept {
  return find<true>(text, needle, from);
}

bool equal_folded(std::string_view text, std::string_view lower) noexcept {
  return text.size() == lower.size() && same<true>(text.data(), lower.data(), lower.size());
}

bool TextTest::matches(std::string_view value) const noexcept {
  if (value.size() < text.size()) return false;
  switch (op) {
    case Op::kContains:
      return (fold ? find_folded(value, text) : find_bytes(value, text)) != kNotFound;
    case Op::kPrefix: value = value.substr(0, text.size()); break;
    case Op::kSuffix: value = value.substr(value.size() - text.size()); break;
    case Op::kEquals: break;
  }
  return fold ? equal_folded(value, text) : value == text;
}

bool ByteSet::covers(std::string_view text, bool fold) const noexcept {
  for (const char c : text) {
    if (has(static_cast<unsigned char>(c))) continue;
    if (!fold || !has(static_cast<unsigned char>(upper_byte(c)))) return false;
  }
  return true;
}

}  // namespace skald::store::part
