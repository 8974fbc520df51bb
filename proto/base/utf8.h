#pragma once
// UTF-8 as Go reads it: an invalid byte is one rune U+FFFD of width 1.

#include <cstdint>
#include <string>
#include <string_view>

namespace skald::base {

struct Rune {
  char32_t value = 0;
  std::uint8_t width = 0;  // bytes; 0 only at the end of the text
  bool valid = false;      // false: value is U+FFFD and width is 1
};

constexpr char32_t kReplacementRune = 0xFFFD;

Rune decode_rune(std::string_view text) noexcept;
void append_rune(std::string& out, char32_t rune);  // out of range or surrogate: U+FFFD
bool is_valid_utf8(std::string_view text) noexcept;
// Every invalid byte replaced by U+FFFD.
std::string to_valid_utf8(std::string_view text);

}  // namespace skald::base
