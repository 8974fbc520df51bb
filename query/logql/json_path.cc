#include "query/logql/json_path.h"

#include <cstdint>

#include "proto/base/utf8.h"
#include "proto/gotext/number.h"
#include "query/logql/limits.h"

namespace skald::query::logql {
namespace {

enum class Part : std::uint8_t { kEnd, kDot, kOpen, kClose, kString, kName, kIndex };

std::string_view part_name(Part part) {
  switch (part) {
    case Part::kEnd: return "$end";
    case Part::kDot: return "DOT";
    case Part::kOpen: return "LSB";
    case Part::kClose: return "RSB";
    case Part::kString: return "STRING";
    case Part::kName: return "FIELD";
    case Part::kIndex: return "INDEX";
  }
  return "";
}

// Of both kinds of expressions. What cannot be read ends the text: Loki's parsers then say
// `unexpected $end` if more had to come, and the scanner's fault only if not.
class Scanner {
 public:
  explicit Scanner(std::string_view expression) : text_(expression) {}

  // Names and quoted texts only; anything else is a fault.
  Part next_word() {
    text.clear();
    skip_space();
    const std::int32_t c = peek();
    if (c == 0) return Part::kEnd;
    if (is_name_start(c)) {
      while (is_name_start(peek()) || is_digit(peek())) text += text_[at_++];
      return Part::kName;
    }
    if (c != '"') return refuse("unexpected char ");
    ++at_;  // ends at a quote, or at a bracket
    while (peek() != 0 && peek() != '"' && peek() != ']') text += text_[at_++];
    if (peek() != 0) ++at_;
    return Part::kString;
  }

  Part next() {
    skip_space();
    if (is_digit(peek())) return index();
    switch (peek()) {
      case '[': ++at_; return Part::kOpen;
      case ']': ++at_; return Part::kClose;
      case '.': ++at_; return Part::kDot;
      default: return next_word();
    }
  }

  std::string text;   // of a name, string or index
  std::string fault;  // the scanner's last one

 private:
  static bool is_name_start(std::int32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }
  static bool is_digit(std::int32_t c) { return c >= '0' && c <= '9'; }
  static bool is_space(std::int32_t c) { return c == ' ' || c == '\t' || c == '\n'; }
  std::int32_t peek() const {
    return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : 0;
  }
  void skip_space() {
    while (is_space(peek())) ++at_;
  }

  Part refuse(std::string why) {
    fault = std::move(why);
    base::append_rune(fault, at_ < text_.size() ? base::decode_rune(text_.substr(at_)).value : 0);
    at_ = text_.size();
    return Part::kEnd;
  }

  // Must end at a space or a closing bracket; the end of the text is no end of a number.
  Part index() {
    text.clear();
    while (is_digit(peek())) text += text_[at_++];
    std::int64_t value = 0;
    if (peek() == '.')
      fault = "cannot use float as array index";
    else if (!is_space(peek()) && peek() != ']')
      return refuse("non-integer value: ");
    else if (gotext::read_int(text, 10, 64, value) == gotext::NumberError::kNone)
      return text = "[" + std::to_string(value) + "]", Part::kIndex;
    else
      fault = "strconv.Atoi: parsing \"" + text + "\": value out of range";
    at_ = text_.size();
    return Part::kEnd;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

base::Status unexpected(std::string_view got, std::string_view expected) {
  std::string message = "syntax error: unexpected " + std::string(got);
  if (!expected.empty()) message += ", expecting " + std::string(expected);
  return base::invalid_argument(message);
}

// `[0]` or `["c d"]`, after the bracket.
base::Result<std::string> bracket(Scanner& scanner) {
  const Part key = scanner.next();
  if (key != Part::kString && key != Part::kIndex)
    return unexpected(part_name(key), "STRING or INDEX");
  std::string out = std::move(scanner.text);
  const Part close = scanner.next();
  if (close != Part::kClose) return unexpected(part_name(close), "RSB");
  return out;
}

}  // namespace

base::Result<std::vector<std::string>> parse_json_path(std::string_view text) {
  Scanner scanner(text);
  std::vector<std::string> out;
  for (Part part = scanner.next(); part != Part::kEnd || out.empty(); part = scanner.next()) {
    const bool first = out.empty();
    if (part == Part::kOpen) {
      SKALD_TRY_ASSIGN(std::string segment, bracket(scanner));
      out.push_back(std::move(segment));
      continue;
    }
    if (!first) {
      if (part != Part::kDot) return unexpected(part_name(part), "");
      part = scanner.next();
    }
    if (part != Part::kName) return unexpected(part_name(part), first ? "LSB or FIELD" : "FIELD");
    out.push_back(std::move(scanner.text));
  }
  if (!scanner.fault.empty()) return base::invalid_argument(scanner.fault);
  if (out.size() > kJsonPathMax) return base::invalid_argument("the expression is too long");
  return out;
}

base::Result<std::vector<std::string>> parse_logfmt_key(std::string_view text) {
  Scanner scanner(text);
  std::vector<std::string> out;
  for (Part part = scanner.next_word(); part != Part::kEnd; part = scanner.next_word()) {
    if (part == Part::kName && !out.empty()) return unexpected("KEY", "");
    out.push_back(std::move(scanner.text));
  }
  if (out.empty()) return unexpected("$end", "STRING or KEY");
  if (!scanner.fault.empty()) return base::invalid_argument(scanner.fault);
  return out;
}

}  // namespace skald::query::logql
