// JsonValue: reading and writing.

#include <cmath>
#include <unordered_map>

#include "agent/parse/jmespath.h"
#include "agent/parse/json_scan.h"
#include "agent/parse/limits.h"
#include "proto/base/text_code.h"
#include "proto/base/utf8.h"
#include "proto/gotext/number.h"

namespace skald::agent {

namespace {

// Walks text that is_json_value() has accepted, so only the shape is looked at.
class TreeReader {
 public:
  explicit TreeReader(std::string_view text) : p_(text.data()), end_(p_ + text.size()) {}

  bool read(JsonValue& out, int depth) {
    if (depth > kJsonTreeDepthMax) return false;
    skip_space();
    switch (*p_) {
      case '{': return read_object(out, depth);
      case '[': return read_array(out, depth);
      case '"':
        out.type = JsonValue::Type::kString;
        read_string(out.string);
        return true;
      case 't':
      case 'f':
        out.type = JsonValue::Type::kBool;
        out.boolean = *p_ == 't';
        p_ += out.boolean ? 4 : 5;
        return true;
      case 'n': p_ += 4; return true;
      default: break;
    }
    const char* const start = p_;
    while (p_ < end_ && ((*p_ >= '0' && *p_ <= '9') || *p_ == '-' || *p_ == '+' || *p_ == '.' ||
                         *p_ == 'e' || *p_ == 'E')) {
      ++p_;
    }
    out.type = JsonValue::Type::kNumber;
    static_cast<void>(gotext::read_float(
        std::string_view(start, static_cast<std::size_t>(p_ - start)), out.number));
    return true;
  }

 private:
  void skip_space() {
    while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) ++p_;
  }
  void read_string(std::string& out) {
    const char* const start = ++p_;
    while (*p_ != '"') p_ += *p_ == '\\' ? 2 : 1;
    append_unescaped(std::string_view(start, static_cast<std::size_t>(p_ - start)), out);
    ++p_;
  }
  bool read_array(JsonValue& out, int depth) {
    out.type = JsonValue::Type::kArray;
    ++p_;
    skip_space();
    while (*p_ != ']') {
      if (!read(out.items.emplace_back(), depth + 1)) return false;
      skip_space();
      if (*p_ == ',') ++p_;
      skip_space();
    }
    ++p_;
    return true;
  }
  bool read_object(JsonValue& out, int depth) {
    out.type = JsonValue::Type::kObject;
    ++p_;
    skip_space();
    while (*p_ != '}') {
      std::string key;
      read_string(key);
      skip_space();
      ++p_;  // :
      JsonValue value;
      if (!read(value, depth + 1)) return false;
      out.fields.emplace_back(std::move(key), std::move(value));
      skip_space();
      if (*p_ == ',') ++p_;
      skip_space();
    }
    ++p_;
    drop_duplicates(out);
    return true;
  }
  // Of a key that occurs twice the last value stays, at the first one's place.
  static void drop_duplicates(JsonValue& out) {
    std::unordered_map<std::string_view, std::size_t> places;
    std::vector<std::pair<std::size_t, std::size_t>> moves;  // from, to
    for (std::size_t i = 0; i < out.fields.size(); ++i) {
      auto [known, added] = places.try_emplace(out.fields[i].first, i);
      if (!added) moves.emplace_back(i, known->second);
    }
    if (moves.empty()) return;
    std::vector<bool> gone(out.fields.size());
    for (const auto& [from, to] : moves) {
      out.fields[to].second = std::move(out.fields[from].second);
      gone[from] = true;
    }
    std::vector<JsonMember> kept;
    for (std::size_t i = 0; i < out.fields.size(); ++i) {
      if (!gone[i]) kept.push_back(std::move(out.fields[i]));
    }
    out.fields = std::move(kept);
  }

  const char* p_;
  const char* end_;
};

// encoding/json: plain decimals but for very small and very large numbers.
void append_number(double number, std::string& out) {
  const double size = std::fabs(number);
  if (size != 0 && (size < 1e-6 || size >= 1e21)) {
    std::string text = gotext::format_float(number, 'e');
    // e-09 becomes e-9
    const auto e = text.find("e-0");
    if (e != std::string::npos) text.erase(e + 2, 1);
    out += text;
  } else {
    gotext::append_float(out, number, 'f');
  }
}

}  // namespace

const JsonValue* JsonValue::find(std::string_view key) const noexcept {
  for (const auto& [name, value] : fields) {
    if (name == key) return &value;
  }
  return nullptr;
}

bool operator==(const JsonValue& a, const JsonValue& b) {
  if (a.type != b.type) return false;
  switch (a.type) {
    case JsonValue::Type::kNull: return true;
    case JsonValue::Type::kBool: return a.boolean == b.boolean;
    case JsonValue::Type::kNumber: return a.number == b.number;
    case JsonValue::Type::kString: return a.string == b.string;
    case JsonValue::Type::kArray: return a.items == b.items;
    case JsonValue::Type::kObject: break;
  }
  if (a.fields.size() != b.fields.size()) return false;
  for (const auto& [key, value] : a.fields) {
    const JsonValue* other = b.find(key);
    if (other == nullptr || !(value == *other)) return false;
  }
  return true;
}

base::Result<JsonValue> parse_json_tree(std::string_view text) {
  if (!is_json_value(text)) return base::invalid_argument("not a JSON value");
  JsonValue out;
  if (!TreeReader(text).read(out, 0)) return base::invalid_argument("JSON nested too deeply");
  return out;
}

void append_json_string(std::string_view text, std::string& out) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x80) {
      const base::Rune rune = base::decode_rune(text.substr(i));
      if (!rune.valid) {
        out += "\\ufffd";
      } else if (rune.value == 0x2028 || rune.value == 0x2029) {
        out += rune.value == 0x2028 ? "\\u2028" : "\\u2029";
      } else {
        out.append(text.substr(i, rune.width));
      }
      i += rune.width;
      continue;
    }
    ++i;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (c < 0x20 || c == '<' || c == '>' || c == '&') {
          out += "\\u00";
          base::append_hex(out, static_cast<char>(c));
        } else {
          out += static_cast<char>(c);
        }
    }
  }
  out += '"';
}

void append_json(const JsonValue& value, std::string& out) {
  switch (value.type) {
    case JsonValue::Type::kNull: out += "null"; break;
    case JsonValue::Type::kBool: out += value.boolean ? "true" : "false"; break;
    case JsonValue::Type::kNumber: append_number(value.number, out); break;
    case JsonValue::Type::kString: append_json_string(value.string, out); break;
    case JsonValue::Type::kArray: {
      out += '[';
      for (std::size_t i = 0; i < value.items.size(); ++i) {
        if (i > 0) out += ',';
        append_json(value.items[i], out);
      }
      out += ']';
      break;
    }
    case JsonValue::Type::kObject: {
      out += '{';
      bool first = true;
      for (const auto& [key, item] : value.fields) {
        if (!first) out += ',';
        first = false;
        append_json_string(key, out);
        out += ':';
        append_json(item, out);
      }
      out += '}';
      break;
    }
  }
}

}  // namespace skald::agent
