#pragma once
// Comparing and copying values: most have fewer than 16 bytes, and there a call costs more than
// the work.

#include <cstdint>
#include <cstring>
#include <string_view>

namespace skald::store::part {

namespace short_bytes {
template <typename Word>
Word load(const char* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof(Word));
  return word;
}
// Both ends, which overlap: 1 to 2 words of bytes.
template <typename Word>
bool equal_ends(const char* a, const char* b, std::size_t size) noexcept {
  const std::size_t last = size - sizeof(Word);
  return ((load<Word>(a) ^ load<Word>(b)) | (load<Word>(a + last) ^ load<Word>(b + last))) == 0;
}
template <typename Word>
void copy_ends(char* to, const char* from, std::size_t size) noexcept {
  const std::size_t last = size - sizeof(Word);
  const Word head = load<Word>(from), tail = load<Word>(from + last);
  std::memcpy(to, &head, sizeof(Word));
  std::memcpy(to + last, &tail, sizeof(Word));
}
}  // namespace short_bytes

inline bool equal_bytes(const char* a, const char* b, std::size_t size) noexcept {
  if (size > 16) return std::memcmp(a, b, size) == 0;
  if (size >= 8) return short_bytes::equal_ends<std::uint64_t>(a, b, size);
  if (size >= 4) return short_bytes::equal_ends<std::uint32_t>(a, b, size);
  if (size >= 2) return short_bytes::equal_ends<std::uint16_t>(a, b, size);
  return size == 0 || *a == *b;
}

inline bool equal_bytes(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && equal_bytes(a.data(), b.data(), a.size());
}

// The ranges must not overlap.
inline void copy_bytes(char* to, const char* from, std::size_t size) noexcept {
  if (size > 16)
    std::memcpy(to, from, size);
  else if (size >= 8)
    short_bytes::copy_ends<std::uint64_t>(to, from, size);
  else if (size >= 4)
    short_bytes::copy_ends<std::uint32_t>(to, from, size);
  else if (size >= 2)
    short_bytes::copy_ends<std::uint16_t>(to, from, size);
  else if (size == 1)
    *to = *from;
}

}  // namespace skald::store::part
