#include "proto/model/go_quote.h"

#include "proto/base/text_code.h"
#include "proto/base/utf8.h"
#include "proto/model/labels.h"

namespace skald::model {
namespace {

void append_hex(std::string& out, char32_t value, int digits) {
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
    out += base::kHexDigits[(value >> shift) & 0xF];
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class Unquoter {
 public:
  explicit Unquoter(std::string_view body) : body_(body) {}

  base::Result<std::string> run() {
    std::string out;
    out.reserve(body_.size());
    while (!body_.empty()) {
      const char c = take();
      if (c == '"' || c == '\n') return bad("an unescaped quote or newline");
      if (c != '\\')
        out.push_back(c);
      else
        SKALD_TRY(escape(out));
    }
    return out;
  }

 private:
  base::Status escape(std::string& out) {
    if (body_.empty()) return bad("a backslash at the end");
    const char c = take();
    constexpr std::string_view kFrom = "abfnrtv\\\"";
    constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\\"";
    if (const auto at = kFrom.find(c); at != std::string_view::npos) {
      out.push_back(kTo[at]);
      return {};
    }
    if (c == 'x') return digits(out, 2, 16, true);
    if (c == 'u') return digits(out, 4, 16, false);
    if (c == 'U') return digits(out, 8, 16, false);
    if (c >= '0' && c <= '7') {
      body_ = {body_.data() - 1, body_.size() + 1};
      return digits(out, 3, 8, true);
    }
    return bad(std::string("the unknown escape \\") + c);
  }

  base::Status digits(std::string& out, int count, int radix, bool is_byte) {
    char32_t value = 0;
    for (int i = 0; i < count; ++i) {
      const int digit = body_.empty() ? -1 : hex_value(take());
      if (digit < 0 || digit >= radix) return bad("a malformed numeric escape");
      value = value * static_cast<char32_t>(radix) + static_cast<char32_t>(digit);
    }
    if (is_byte) {
      if (value > 0xFF) return bad("an octal escape above \\377");
      out.push_back(static_cast<char>(value));
      return {};
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
      return bad("an escape outside Unicode");
    base::append_rune(out, value);
    return {};
  }

  char take() {
    const char c = body_.front();
    body_.remove_prefix(1);
    return c;
  }
  static base::Status bad(const std::string& what) {
    return base::invalid_argument("invalid quoted string: " + what);
  }

  std::string_view body_;
};

}  // namespace

void append_go_escaped(std::string& out, char32_t r, QuoteStyle style) {
  if (r == static_cast<unsigned char>(style.quote) || r == '\\') {
    out += '\\';
    out += static_cast<char>(r);
    return;
  }
  if (is_print(r) && (!style.ascii_only || r < 0x80)) return base::append_rune(out, r);
  static constexpr std::string_view kFrom = "\a\b\f\n\r\t\v", kTo = "abfnrtv";
  if (r < 0x80) {
    if (const auto at = kFrom.find(static_cast<char>(r)); at != std::string_view::npos) {
      out += '\\';
      out += kTo[at];
      return;
    }
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

std::string go_quote(std::string_view text, QuoteStyle style) {
  std::string out;
  out.reserve(text.size() + 2);
  out += style.quote;
  while (!text.empty()) {
    const base::Rune rune = base::decode_rune(text);
    if (rune.valid) {
      append_go_escaped(out, rune.value, style);
    } else {
      out += "\\x";
      append_hex(out, static_cast<unsigned char>(text.front()), 2);
    }
    text.remove_prefix(rune.width);
  }
  return out += style.quote;
}

std::string go_quote(std::string_view text) { return go_quote(text, {}); }

base::Result<std::string> go_unquote(std::string_view quoted) {
  if (quoted.size() < 2 || quoted.front() != quoted.back())
    return base::invalid_argument("invalid quoted string: no pair of quotes");
  const std::string_view body = quoted.substr(1, quoted.size() - 2);
  if (quoted.front() == '"') return Unquoter(body).run();
  if (quoted.front() != '`' || body.find('`') != std::string_view::npos)
    return base::invalid_argument("invalid quoted string: unknown quotes");
  std::string out(body);
  std::erase(out, '\r');  // Go drops carriage returns from raw strings
  return out;
}

}  // namespace skald::model
