#include "query/logql/json_path.h"

#include "proto/gotext/number.h"
#include "query/logql/limits.h"

namespace skald::query::logql {
namespace {

// `a.b[0]["c d"]`: fields, quoted keys and indexes.
class PathParser {
 public:
  explicit PathParser(std::string_view text) : text_(text) {}

  base::Result<std::vector<std::string>> run() {
    std::vector<std::string> out;
    bool want_field = true;  // at the start, or behind a dot
    for (skip_space(); at_ < text_.size(); skip_space()) {
      const char c = text_[at_];
      if (c == '[') {
        if (want_field && !out.empty()) return syntax("[", "FIELD");
        ++at_;
        SKALD_TRY_ASSIGN(std::string segment, bracket());
        out.push_back(std::move(segment));
        want_field = false;
      } else if (c == '.') {
        if (want_field) return syntax(".", out.empty() ? "" : "FIELD");
        ++at_;
        want_field = true;
      } else if (is_field_start(c)) {
        if (!want_field) return syntax("FIELD", "");
        std::string field;
        while (at_ < text_.size() && is_field(text_[at_])) field += text_[at_++];
        out.push_back(std::move(field));
        want_field = false;
      } else {
        return base::invalid_argument(std::string("unexpected char ") + c);
      }
    }
    if (want_field) return syntax("$end", out.empty() ? "" : "FIELD");
    if (out.size() > kJsonPathMax) return base::invalid_argument("the expression is too long");
    return out;
  }

 private:
  static bool is_field_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }
  static bool is_field(char c) { return is_field_start(c) || (c >= '0' && c <= '9'); }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n'))
      ++at_;
  }
  static base::Status syntax(std::string_view got, std::string_view expected) {
    std::string message = "syntax error: unexpected " + std::string(got);
    if (!expected.empty()) message += ", expecting " + std::string(expected);
    return base::invalid_argument(message);
  }

  base::Result<std::string> bracket() {
    skip_space();
    if (at_ >= text_.size()) return syntax("$end", "STRING or INDEX");
    std::string out;
    if (text_[at_] == '"') {
      // A quoted key ends at the quote, or at a bracket (so does Loki's scanner).
      ++at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != ']') out += text_[at_++];
      if (at_ < text_.size()) ++at_;
      SKALD_TRY(close());
      return out;
    }
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') out += text_[at_++];
    if (out.empty()) return syntax(std::string(1, text_[at_]), "STRING or INDEX");
    if (at_ < text_.size() && text_[at_] == '.')
      return base::invalid_argument("cannot use float as array index");
    std::int64_t index = 0;
    if (gotext::read_int(out, 10, 64, index) != gotext::NumberError::kNone)
      return base::invalid_argument("array index out of range");
    SKALD_TRY(close());
    return "[" + std::to_string(index) + "]";
  }

  base::Status close() {
    skip_space();
    if (at_ >= text_.size()) return syntax("$end", "RSB");
    if (text_[at_] != ']') return syntax(std::string(1, text_[at_]), "RSB");
    ++at_;
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

base::Result<std::vector<std::string>> parse_json_path(std::string_view text) {
  return PathParser(text).run();
}

}  // namespace skald::query::logql
