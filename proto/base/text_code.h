#pragma once
// Bytes as text: hexadecimal, base64 (RFC 4648, section 4), JSON strings (RFC 8259).

#include <string>
#include <string_view>

namespace skald::base {

inline constexpr char kHexDigits[] = "0123456789abcdef";
inline constexpr char kUpperHexDigits[] = "0123456789ABCDEF";

// The byte's two digits.
void append_hex(std::string& out, char byte, const char* digits = kHexDigits);
std::string hex_encode(std::string_view bytes);
std::string base64_encode(std::string_view bytes);  // padded

// With the quotes. Invalid UTF-8 becomes U+FFFD, because one bad byte would make a client refuse
// the whole text.
void append_json_string(std::string& out, std::string_view text);

}  // namespace skald::base
