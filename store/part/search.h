#pragma once
// Byte search, plain and ASCII case-insensitive, by comparing the first and last byte of the needle
// against 16 positions at once (Mula, "SIMD-friendly algorithms for substring searching").

#include <array>
#include <cstdint>
#include <string_view>

namespace skald::store::part {

inline constexpr std::size_t kNotFound = static_cast<std::size_t>(-1);

// Position of the first occurrence at or after `from`; an empty needle is found at `from`.
std::size_t find_bytes(std::string_view text, std::string_view needle,
                       std::size_t from = 0) noexcept;
// The same, with A-Z of `text` read as a-z. The needle must be lower case.
std::size_t find_folded(std::string_view text, std::string_view needle,
                        std::size_t from = 0) noexcept;
bool equal_folded(std::string_view text, std::string_view lower) noexcept;

inline char fold_byte(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// What a value must satisfy for a needle to lie in (or across) it.
struct TextTest {
  enum class Op : std::uint8_t { kContains, kPrefix, kSuffix, kEquals };
  Op op = Op::kContains;
  bool fold = false;      // `text` is lower case
  std::string_view text;  // borrowed

  bool matches(std::string_view value) const noexcept;
};

// The set of bytes that occur in some values: proves that a needle is not among them.
class ByteSet {
 public:
  void add(std::string_view bytes) noexcept {
    for (const char c : bytes) add(static_cast<unsigned char>(c));
  }
  void add(unsigned char byte) noexcept { words_[byte / 64] |= std::uint64_t{1} << (byte % 64); }
  void add(const ByteSet& other) noexcept {
    for (int i = 0; i < 4; ++i) words_[i] |= other.words_[i];
  }
  bool has(unsigned char byte) const noexcept { return (words_[byte / 64] >> (byte % 64)) & 1; }
  // True if every byte of `text` (in either case, when folding) is in the set.
  bool covers(std::string_view text, bool fold) const noexcept;
  std::array<std::uint64_t, 4>& words() noexcept { return words_; }
  const std::array<std::uint64_t, 4>& words() const noexcept { return words_; }

 private:
  std::array<std::uint64_t, 4> words_{};
};

}  // namespace skald::store::part
