#pragma once
// Regular expressions as programs over bytes, for texts that come in pieces (RE2 wants them whole).
// The construction is Thompson's (1968). Only which texts match is kept, not which way: greedy or
// not, and where groups are, does not matter here.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skald::query::plan {

using ByteBits = std::array<std::uint64_t, 4>;  // of byte b: bit b % 64 of word b / 64
inline bool has_byte(const ByteBits& bits, unsigned byte) {
  return (bits[byte / 64] >> (byte % 64)) & 1;
}

struct ByteProgram {
  struct Step {
    enum class Kind : std::uint8_t { kByte, kFork, kMatch } kind = Kind::kMatch;
    ByteBits bytes{};                 // kByte: goes to `next` on one of these
    std::uint32_t next = 0, or_ = 0;  // kFork: both
  };
  std::vector<Step> steps;
  std::uint32_t start = 0;
  bool anchored = false;  // matches begin where the text does
};

// `pattern` is valid RE2 syntax, and the texts will be valid UTF-8. Nothing: it has something that
// is not known here (other assertions than a leading ^, letters beyond ASCII in classes or with
// their cases, a size over the limit), or matches the empty text.
std::optional<ByteProgram> byte_program(std::string_view pattern);

// `literals` one after the other, with any bytes between them. None is empty.
ByteProgram byte_program(const std::vector<std::string>& literals);

}  // namespace skald::query::plan
