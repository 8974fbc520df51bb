#include "agent/tail/text_encoding.h"

#include "proto/base/utf8.h"

namespace skald::agent {

TextEncoding resolve_encoding(TextEncoding encoding, std::string_view first_bytes) noexcept {
  if (encoding != TextEncoding::kUtf16) return encoding;
  return first_bytes.starts_with("\xFF\xFE") ? TextEncoding::kUtf16Le : TextEncoding::kUtf16Be;
}

std::size_t find_newline(TextEncoding encoding, std::string_view text, std::size_t from) noexcept {
  if (newline_bytes(encoding) == 1) return text.find('\n', from);
  const std::size_t low = encoding == TextEncoding::kUtf16Le ? 0 : 1;  // where 0x0A stands
  for (std::size_t at = from; (at = text.find('\n', at)) != std::string_view::npos; ++at) {
    if (at % 2 != low) continue;
    const std::size_t other = low == 0 ? at + 1 : at - 1;
    if (other >= text.size()) return std::string_view::npos;  // its second byte is to come
    if (text[other] == '\0') return at - low;
  }
  return std::string_view::npos;
}

void append_decoded(TextEncoding encoding, std::string_view text, std::string& out) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  if (encoding == TextEncoding::kUtf8) {
    out += text;
    return;
  }
  if (encoding == TextEncoding::kLatin1) {
    for (std::size_t at = 0; at < text.size(); ++at) base::append_rune(out, byte(at));
    return;
  }
  const bool little = encoding == TextEncoding::kUtf16Le;
  const auto unit = [&](std::size_t at) -> char32_t {
    return little ? byte(at) | byte(at + 1) << 8 : byte(at) << 8 | byte(at + 1);
  };
  for (std::size_t at = 0; at < text.size(); at += 2) {
    if (at + 1 == text.size()) return base::append_rune(out, base::kReplacementRune);
    char32_t rune = unit(at);
    if (rune == 0xFEFF && at == 0) continue;
    if (rune >= 0xD800 && rune < 0xDC00 && at + 3 < text.size()) {
      const char32_t second = unit(at + 2);
      if (second >= 0xDC00 && second < 0xE000) {
        rune = 0x10000 + ((rune - 0xD800) << 10) + (second - 0xDC00);
        at += 2;
      }
    }
    base::append_rune(out, rune);
  }
}

}  // namespace skald::agent
