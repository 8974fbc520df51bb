#include "proto/gotext/quote.h"

#include "proto/base/text_code.h"
#include "proto/base/utf8.h"
#include "proto/model/labels.h"

namespace skald::gotext {

std::string quote_rune(char32_t rune, bool ascii_only) {
  if (rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF)) rune = base::kReplacementRune;
  std::string out = "'";
  model::append_go_escaped(out, rune, {.quote = '\'', .ascii_only = ascii_only});
  return out += '\'';
}

std::string time_quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || byte < ' ') {
      out += "\\x";
      base::append_hex(out, c);
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out += '"';
}

bool can_backquote(std::string_view text) {
  while (!text.empty()) {
    const base::Rune rune = base::decode_rune(text);
    if (!rune.valid || rune.value == 0xFEFF) return false;
    if (rune.width == 1 &&
        ((rune.value < ' ' && rune.value != '\t') || rune.value == '`' || rune.value == 0x7F))
      return false;
    text.remove_prefix(rune.width);
  }
  return true;
}

base::Result<char32_t> parse_char_constant(std::string_view text) {
  const auto malformed = [&] {
    return base::invalid_argument("malformed character constant: " + std::string(text));
  };
  if (text.size() < 3 || text.back() != '\'') return base::invalid_argument("invalid syntax");
  const std::string_view body = text.substr(1, text.size() - 2);
  if (body[0] == '\'') return base::invalid_argument("invalid syntax");
  if (body[0] != '\\') {
    const base::Rune rune = base::decode_rune(body);
    if (rune.width != body.size()) return malformed();
    return rune.value;
  }
  // The escapes of a string, but \' instead of \".
  if (body == "\\'") return U'\'';
  if (body == "\\\"") return base::invalid_argument("invalid syntax");
  auto unquoted = model::go_unquote("\"" + std::string(body) + "\"");
  if (!unquoted.ok()) return base::invalid_argument("invalid syntax");
  const bool byte = body.size() == 4 && body[1] != 'u' && body[1] != 'U';  // \x.. and \ooo
  if (byte && unquoted->size() == 1)
    return static_cast<char32_t>(static_cast<unsigned char>((*unquoted)[0]));
  const base::Rune rune = base::decode_rune(*unquoted);
  if (rune.width != unquoted->size()) return malformed();
  return rune.value;
}

}  // namespace skald::gotext
