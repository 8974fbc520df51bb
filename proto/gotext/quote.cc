#include "proto/gotext/quote.h"

#include "proto/base/utf8.h"
#include "proto/gotext/unicode.h"
#include "proto/model/labels.h"

namespace skald::gotext {
namespace {

void append_hex(std::string& out, char32_t value, int digits) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += kHex[(value >> shift) & 0xF];
}

void append_escaped(std::string& out, char32_t r, QuoteStyle style) {
  if (r == static_cast<unsigned char>(style.quote) || r == '\\') {
    out += '\\';
    out += static_cast<char>(r);
    return;
  }
  if (is_print(r) && (!style.ascii_only || r < 0x80)) return base::append_rune(out, r);
  switch (r) {
    case '\a': out += "\\a"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\v': out += "\\v"; return;
    default: break;
  }
  if (r < ' ' || r == 0x7F) {
    out += "\\x";
    append_hex(out, r, 2);
  } else if (r < 0x10000) {
    out += "\\u";
    append_hex(out, r, 4);
  } else {
    out += "\\U";
    append_hex(out, r, 8);
  }
}

}  // namespace

std::string quote(std::string_view text, QuoteStyle style) {
  std::string out(1, style.quote);
  while (!text.empty()) {
    const base::Rune rune = base::decode_rune(text);
    if (!rune.valid) {
      out += "\\x";
      append_hex(out, static_cast<unsigned char>(text[0]), 2);
    } else {
      append_escaped(out, rune.value, style);
    }
    text.remove_prefix(rune.width);
  }
  return out += style.quote;
}

std::string quote_rune(char32_t rune, bool ascii_only) {
  if (rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF)) rune = base::kReplacementRune;
  std::string out = "'";
  append_escaped(out, rune, {.quote = '\'', .ascii_only = ascii_only});
  return out += '\'';
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
