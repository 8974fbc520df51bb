#include "proto/gotext/json.h"

#include <cmath>

#include "proto/base/text_code.h"
#include "proto/base/utf8.h"
#include "proto/gotext/format.h"
#include "proto/gotext/limits.h"
#include "proto/gotext/number.h"

namespace skald::gotext {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  bool document(Value& out) {
    skip();
    if (!value(out, 0)) return false;
    skip();
    return at_ == text_.size();
  }

 private:
  bool done() const { return at_ >= text_.size(); }
  void skip() {
    while (!done() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  bool eat(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

  bool value(Value& out, int depth) {
    if (done() || depth > kJsonDepthMax) return false;
    switch (text_[at_]) {
      case '{': return object(out, depth);
      case '[': return array(out, depth);
      case '"': {
        std::string text;
        if (!string(text)) return false;
        out = Value(std::move(text));
        break;
      }
      case 't':
        if (!word("true")) return false;
        out = Value(true);
        break;
      case 'f':
        if (!word("false")) return false;
        out = Value(false);
        break;
      case 'n':
        if (!word("null")) return false;
        out = Value::nil();
        return true;
      default:
        if (!number(out)) return false;
    }
    out.set_boxed(depth > 0);
    return true;
  }

  bool object(Value& out, int depth) {
    ++at_;
    std::vector<std::pair<std::string, Value>> entries;
    skip();
    if (!eat('}')) {
      do {
        skip();
        std::string key;
        Value item;
        if (!string(key)) return false;
        skip();
        if (!eat(':')) return false;
        skip();
        if (!value(item, depth + 1)) return false;
        entries.emplace_back(std::move(key), std::move(item));
        skip();
      } while (eat(','));
      if (!eat('}')) return false;
    }
    out = Value::map(std::move(entries));
    out.set_boxed(depth > 0);
    return true;
  }

  bool array(Value& out, int depth) {
    ++at_;
    std::vector<Value> items;
    skip();
    if (!eat(']')) {
      do {
        skip();
        Value item;
        if (!value(item, depth + 1)) return false;
        items.push_back(std::move(item));
        skip();
      } while (eat(','));
      if (!eat(']')) return false;
    }
    out = Value::list(std::move(items));
    out.set_boxed(depth > 0);
    return true;
  }

  bool number(Value& out) {
    const std::size_t start = at_;
    eat('-');
    if (done() || !is_digit(text_[at_])) return false;
    if (!eat('0'))
      while (!done() && is_digit(text_[at_])) ++at_;
    if (eat('.')) {
      if (done() || !is_digit(text_[at_])) return false;
      while (!done() && is_digit(text_[at_])) ++at_;
    }
    if (!done() && (text_[at_] | 0x20) == 'e') {
      ++at_;
      if (!eat('+')) eat('-');
      if (done() || !is_digit(text_[at_])) return false;
      while (!done() && is_digit(text_[at_])) ++at_;
    }
    double number = 0;
    if (read_float(text_.substr(start, at_ - start), number) == NumberError::kNone)
      out = Value(number);
    else
      out = Value::nil();  // out of range: encoding/json reports it and leaves nil
    return true;
  }

  bool hex4(char32_t& out) {
    out = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (done()) return false;
      const char c = text_[at_];
      const char lower = static_cast<char>(c | 0x20);
      if (is_digit(c))
        out = out * 16 + static_cast<char32_t>(c - '0');
      else if (lower >= 'a' && lower <= 'f')
        out = out * 16 + static_cast<char32_t>(lower - 'a' + 10);
      else
        return false;
    }
    return true;
  }

  bool unicode_escape(std::string& out) {
    char32_t rune = 0;
    if (!hex4(rune)) return false;
    if (rune >= 0xD800 && rune < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
      const std::size_t hold = at_;
      char32_t low = 0;
      at_ += 2;
      if (!hex4(low)) return false;
      if (low >= 0xDC00 && low < 0xE000)
        rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
      else
        at_ = hold;  // the second escape stands alone
    }
    base::append_rune(out, rune);  // a lone surrogate becomes U+FFFD
    return true;
  }

  bool escape(std::string& out) {
    if (done()) return false;
    switch (text_[at_++]) {
      case '"': out += '"'; return true;
      case '\\': out += '\\'; return true;
      case '/': out += '/'; return true;
      case 'b': out += '\b'; return true;
      case 'f': out += '\f'; return true;
      case 'n': out += '\n'; return true;
      case 'r': out += '\r'; return true;
      case 't': out += '\t'; return true;
      case 'u': return unicode_escape(out);
      default: return false;
    }
  }

  bool string(std::string& out) {
    if (!eat('"')) return false;
    while (!done()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '\\') {
        ++at_;
        if (!escape(out)) return false;
        continue;
      }
      const base::Rune rune = base::decode_rune(text_.substr(at_));
      base::append_rune(out, rune.value);
      at_ += rune.width;
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class JsonWriter {
 public:
  JsonWriter(std::string& out, JsonStyle style) : out_(out), style_(style) {}

  void write(const Value& value, int depth) {
    if (depth > kJsonDepthMax) {
      out_ += "null";
      return;
    }
    switch (value.kind()) {
      case Value::Kind::kComplex:
      case Value::Kind::kNone:
      case Value::Kind::kNil: out_ += "null"; return;
      case Value::Kind::kBool: out_ += value.as_bool() ? "true" : "false"; return;
      case Value::Kind::kInt:
      case Value::Kind::kDuration: out_ += std::to_string(value.as_int()); return;
      case Value::Kind::kFloat: return number(value.as_float());
      case Value::Kind::kString: return string(value.as_string());
      case Value::Kind::kTime: return string(format_rfc3339_nano(value.as_time().unix_ns()));
      case Value::Kind::kList: return list(value, depth);
      case Value::Kind::kObject: return object(value, depth);
    }
  }

 private:
  void newline(int depth) {
    if (style_.indent.empty()) return;
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += style_.indent;
  }

  void list(const Value& value, int depth) {
    if (value.as_list().empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    bool first = true;
    for (const Value& item : value.as_list()) {
      if (!first) out_ += ',';
      first = false;
      newline(depth + 1);
      write(item, depth + 1);
    }
    newline(depth);
    out_ += ']';
  }

  void object(const Value& value, int depth) {
    const auto entries = value.as_object().entries();
    if (entries.empty()) {
      out_ += "{}";
      return;
    }
    out_ += '{';
    bool first = true;
    for (const auto& [key, item] : entries) {
      if (!first) out_ += ',';
      first = false;
      newline(depth + 1);
      string(key);
      out_ += style_.indent.empty() ? ":" : ": ";
      write(item, depth + 1);
    }
    newline(depth);
    out_ += '}';
  }

  // ES6 form: exponents outside 1e-6 .. 1e21, without a padded exponent.
  void number(double v) {
    if (!std::isfinite(v)) {
      out_ += "null";
      return;
    }
    const double magnitude = std::fabs(v);
    const bool exponent = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
    std::string text = format_float(v, exponent ? 'e' : 'f', -1);
    if (const auto n = text.size();
        exponent && n >= 4 && text[n - 4] == 'e' && text[n - 3] == '-' && text[n - 2] == '0') {
      text[n - 2] = text[n - 1];
      text.pop_back();
    }
    out_ += text;
  }

  void string(std::string_view text) {
    out_ += '"';
    while (!text.empty()) {
      const base::Rune rune = base::decode_rune(text);
      const char32_t r = rune.value;
      if (r == '"' || r == '\\') {
        out_ += '\\';
        out_ += static_cast<char>(r);
      } else if (r == '\n') {
        out_ += "\\n";
      } else if (r == '\r') {
        out_ += "\\r";
      } else if (r == '\t') {
        out_ += "\\t";
      } else if (r == '\b') {
        out_ += "\\b";
      } else if (r == '\f') {
        out_ += "\\f";
      } else if (r < 0x20 || (style_.escape_html && (r == '<' || r == '>' || r == '&')) ||
                 r == 0x2028 || r == 0x2029) {
        out_ += "\\u";
        for (int shift = 12; shift >= 0; shift -= 4) out_ += base::kHexDigits[(r >> shift) & 15];
      } else if (!rune.valid) {
        out_ += "\\ufffd";
      } else {
        out_ += text.substr(0, rune.width);
      }
      text.remove_prefix(rune.width);
    }
    out_ += '"';
  }

  std::string& out_;
  JsonStyle style_;
};

}  // namespace

base::Result<Value> parse_json(std::string_view text) {
  Value value;
  if (!JsonReader(text).document(value)) return base::invalid_argument("invalid JSON");
  return value;
}

std::string to_json(const Value& value, JsonStyle style) {
  std::string out;
  JsonWriter(out, style).write(value, 0);
  return out;
}

}  // namespace skald::gotext
