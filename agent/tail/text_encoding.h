#pragma once
// Files that are not UTF-8: cut into lines before they are decoded, since a UTF-16 newline is two
// bytes and its bytes occur in other characters.

#include <cstdint>
#include <string>
#include <string_view>

namespace skald::agent {

enum class TextEncoding : unsigned char {
  kUtf8,
  kLatin1,
  kUtf16,  // by its byte order mark; big endian without one
  kUtf16Le,
  kUtf16Be,
};

// kUtf16 made definite by a file's first bytes.
TextEncoding resolve_encoding(TextEncoding encoding, std::string_view first_bytes) noexcept;
// Where the next newline's first byte is in `text`, whose first byte is at an even offset of its
// file; npos: none. `encoding` is definite.
std::size_t find_newline(TextEncoding encoding, std::string_view text, std::size_t from) noexcept;
inline std::size_t newline_bytes(TextEncoding encoding) noexcept {
  return encoding == TextEncoding::kUtf16Le || encoding == TextEncoding::kUtf16Be ? 2 : 1;
}
// Appends UTF-8, without a byte order mark. What is no character becomes U+FFFD.
void append_decoded(TextEncoding encoding, std::string_view text, std::string& out);

}  // namespace skald::agent
