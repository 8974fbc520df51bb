#include <algorithm>
#include <array>

#include "proto/base/utf8.h"
#include "query/exec/json_scan.h"
#include "query/exec/label_names.h"
#include "query/exec/stage.h"
#include "query/logql/json_path.h"

namespace skald::query {
namespace {

bool has_invalid_rune(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const base::Rune rune = base::decode_rune(text.substr(i));
    if (rune.value == base::kReplacementRune) return true;
    i += rune.width;
  }
  return false;
}

// Reads key=value pairs as Loki's fork of go-logfmt: what is malformed is skipped up to the next
// space, and remembered.
class Decoder {
 public:
  Decoder(std::string_view line, Arena& arena) : line_(line), arena_(arena) {}

  bool at_end() const { return at_ >= line_.size(); }
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }
  bool failed() const { return problem_ != Problem::kNone; }
  // Of the last thing malformed.
  std::string error() const {
    std::string out = "logfmt syntax error at pos " + std::to_string(problem_at_ + 1) + " : ";
    switch (problem_) {
      case Problem::kNone: return {};
      case Problem::kUnexpected: return out + "unexpected '" + unexpected_ + "'";
      case Problem::kKey: return out + "invalid key";
      case Problem::kValue: return out + "invalid quoted value";
      case Problem::kUnterminated: return out + "unterminated quoted value";
    }
    return out;
  }

  // False: nothing here, or something malformed. A value with escapes waits for unescape().
  bool scan() {
    key_ = value_ = {};
    escaped_ = false;
    while (at_ < line_.size() && is_garbage(line_[at_])) ++at_;
    if (at_end()) return false;
    const std::size_t begin = at_;
    bool multibyte = false;
    for (; at_ < line_.size(); ++at_) {
      const Class c = class_of(line_[at_]);
      if (c == Class::kPlain) continue;
      if (c == Class::kEquals) {
        if (at_ == begin) return unexpected();
        key_ = line_.substr(begin, at_ - begin);
        if (multibyte && has_invalid_rune(key_)) {
          fail(Problem::kKey);
          return skip();
        }
        ++at_;
        return scan_value();
      }
      if (c == Class::kQuote) return unexpected();
      if (c == Class::kGarbage) break;
      multibyte = true;
    }
    key_ = line_.substr(begin, at_ - begin);
    if (multibyte && has_invalid_rune(key_)) {
      fail(Problem::kKey);
      return false;
    }
    return true;
  }

  // False: the value has an escape that is none.
  bool unescape() {
    if (!escaped_) return true;
    escaped_ = false;
    if (unquote(value_)) return true;
    fail(Problem::kValue);
    return false;
  }

 private:
  enum class Problem : unsigned char { kNone, kUnexpected, kKey, kValue, kUnterminated };
  enum class Class : unsigned char { kPlain, kGarbage, kEquals, kQuote, kMultibyte };

  static constexpr std::array<Class, 256> kClasses = [] {
    std::array<Class, 256> out{};
    for (std::size_t c = 0; c < 256; ++c)
      out[c] = c <= ' ' ? Class::kGarbage : c >= 0x80 ? Class::kMultibyte : Class::kPlain;
    out['='] = Class::kEquals;
    out['"'] = Class::kQuote;
    return out;
  }();
  static Class class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }
  static bool is_garbage(char c) { return class_of(c) == Class::kGarbage; }

  bool scan_value() {
    if (at_end() || is_garbage(line_[at_])) return true;
    if (line_[at_] == '"') return scan_quoted();
    const std::size_t begin = at_;
    for (; at_ < line_.size(); ++at_) {
      const Class c = class_of(line_[at_]);
      if (c == Class::kEquals || c == Class::kQuote) return unexpected();
      if (c == Class::kGarbage) break;
    }
    value_ = line_.substr(begin, at_ - begin);
    return true;
  }

  bool scan_quoted() {
    const std::size_t begin = at_ + 1;
    for (std::size_t i = begin; i < line_.size(); ++i) {
      if (line_[i] == '\\') {
        escaped_ = true;
        ++i;
      } else if (line_[i] == '"') {
        at_ = i + 1;
        value_ = line_.substr(begin, i - begin);
        return true;
      }
    }
    at_ = line_.size();
    fail(Problem::kUnterminated);
    return false;
  }

  // JSON's escapes and \'. Invalid UTF-8 becomes U+FFFD.
  bool unquote(std::string_view text) {
    std::string out;
    while (!text.empty()) {
      const char c = text[0];
      if (c == '\\') {
        if (text.size() < 2) return false;
        static constexpr std::string_view kFrom = "\"\\/'bfnrt", kTo = "\"\\/'\b\f\n\r\t";
        if (const std::size_t i = kFrom.find(text[1]); i != std::string_view::npos) {
          out += kTo[i];
          text.remove_prefix(2);
        } else if (text[1] == 'u') {
          const int high = unit(text);
          if (high < 0) return false;
          text.remove_prefix(6);
          if (high < 0xD800 || high > 0xDFFF) {
            base::append_rune(out, static_cast<char32_t>(high));
          } else {
            const int low = unit(text);
            if (high < 0xDC00 && low >= 0xDC00 && low <= 0xDFFF) {
              base::append_rune(
                  out, static_cast<char32_t>(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)));
              text.remove_prefix(6);
            } else {
              base::append_rune(out, base::kReplacementRune);
            }
          }
        } else {
          return false;
        }
      } else if (c == '"') {
        return false;
      } else if (static_cast<unsigned char>(c) < 0x80) {
        out += c;
        text.remove_prefix(1);
      } else {
        const base::Rune rune = base::decode_rune(text);
        base::append_rune(out, rune.value);
        text.remove_prefix(rune.width);
      }
    }
    value_ = arena_.copy(out);
    return true;
  }

  static int unit(std::string_view text) {
    if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return -1;
    int out = 0;
    for (const char c : text.substr(2, 4)) {
      const int low = c | 0x20;
      if (c >= '0' && c <= '9')
        out = out * 16 + (c - '0');
      else if (low >= 'a' && low <= 'f')
        out = out * 16 + (low - 'a' + 10);
      else
        return -1;
    }
    return out;
  }

  void fail(Problem problem) {
    problem_ = problem;
    problem_at_ = at_;
  }
  bool unexpected() {
    fail(Problem::kUnexpected);
    unexpected_ = line_[at_];
    return skip();
  }
  bool skip() {
    while (at_ < line_.size() && !is_garbage(line_[at_])) ++at_;
    return false;
  }

  std::string_view line_;
  Arena& arena_;
  std::size_t at_ = 0;
  std::string_view key_, value_;
  bool escaped_ = false;
  Problem problem_ = Problem::kNone;
  std::size_t problem_at_ = 0;
  char unexpected_ = 0;
};

// ---- | logfmt ----

class LogfmtStage final : public Stage {
 public:
  explicit LogfmtStage(const logql::LogfmtParser& e)
      : strict_(e.strict), keep_empty_(e.keep_empty) {
    pairs_.clauses = {{"="}};
  }

  const store::LineFilter* reads_only() const override {
    return strict_ || keep_empty_ ? nullptr : &pairs_;
  }

  bool process(Row& row) const override {
    if (row.no_labels()) return true;
    Decoder decoder(row.line, row.arena);
    while (!decoder.at_end() && !row.arena.refused()) {
      if (!decoder.scan() || (strict_ && !decoder.unescape())) {
        if (strict_) break;
        continue;
      }
      std::string_view name = clean_label_name(decoder.key(), row.arena);
      // Of a name with the suffix of duplicates, hints know the name without it as well.
      if (name.empty() || !row.hints().should_extract(name)) continue;
      name = row.parsed_name(name);
      if (!row.hints().should_extract(name) || row.extracted(name)) continue;
      if (!decoder.unescape()) continue;
      const std::string_view value = json::replace_invalid(decoder.value(), row.arena);
      if (!keep_empty_ && value.empty()) continue;
      row.set(Category::kParsed, name, value);
      if (!row.should_continue(name)) return false;
      if (row.all_required_extracted()) break;
    }
    if (!strict_ || !decoder.failed()) return true;
    row.add_parser_error(kLogfmtError, decoder.error());
    return row.should_continue(kErrorLabel);
  }

 private:
  bool strict_, keep_empty_;
  store::LineFilter pairs_;  // lines that have a value
};

// ---- | logfmt a="b" ----

class LogfmtExpressionsStage final : public Stage {
 public:
  struct Item {
    std::string name;  // the label
    std::string key;   // of the line
  };
  LogfmtExpressionsStage(std::vector<Item> items, bool strict)
      : items_(std::move(items)), strict_(strict) {}

  bool process(Row& row) const override {
    if (row.no_labels()) return true;
    for (const Item& item : items_)
      if (!row.base_has(item.name) && !row.in_category(item.name, Category::kMetadata))
        row.set(Category::kParsed, item.name, {});
    Decoder decoder(row.line, row.arena);
    while (!decoder.at_end() && !row.arena.refused()) {
      if (!decoder.scan() || !decoder.unescape()) {
        if (strict_) break;
        continue;
      }
      const std::string_view key = clean_label_name(decoder.key(), row.arena);
      if (key.empty() || !wanted(row, key)) continue;
      std::string_view value = decoder.value();
      if (has_invalid_rune(value)) value = {};
      const Item* item = find(key);
      if (item == nullptr) continue;
      std::string_view name = item->name;
      if (row.base_has(name) || row.in_category(name, Category::kMetadata)) {
        name = row.arena.concat(name, kDuplicateSuffix);
        if (row.extracted(name) || !row.hints().should_extract(name)) break;
      }
      row.set(Category::kParsed, name, value);
      if (row.all_required_extracted()) break;
    }
    if (strict_ && decoder.failed()) row.add_parser_error(kLogfmtError, decoder.error());
    return true;
  }

 private:
  bool is_name(std::string_view text) const {
    return std::any_of(items_.begin(), items_.end(),
                       [&](const Item& item) { return item.name == text; });
  }
  // Whether Loki looks at this key of the line at all.
  bool wanted(const Row& row, std::string_view key) const {
    return is_name(key) || (row.hints().should_extract(key) && !row.extracted(key));
  }
  // The item whose expression is this key; else the item of that name.
  const Item* find(std::string_view key) const {
    for (const Item& item : items_)
      if (item.key == key) return &item;
    for (const Item& item : items_)
      if (item.name == key) return &item;
    return nullptr;
  }

  std::vector<Item> items_;
  bool strict_;
};

base::Result<std::string> parse_expression(std::string_view text) {
  SKALD_TRY_ASSIGN(const std::vector<std::string> parts, logql::parse_logfmt_key(text));
  // fmt.Sprintf("%v", parts...) of more than one part.
  std::string out = parts[0];
  if (parts.size() > 1) {
    out += "%!(EXTRA ";
    for (std::size_t i = 1; i < parts.size(); ++i)
      out += std::string(i > 1 ? ", " : "") + "string=" + parts[i];
    out += ")";
  }
  return out;
}

}  // namespace

std::unique_ptr<Stage> make_logfmt_stage(const logql::LogfmtParser& e) {
  return std::make_unique<LogfmtStage>(e);
}

base::Result<std::unique_ptr<Stage>> make_logfmt_expressions_stage(
    const logql::LogfmtExpressions& e) {
  std::vector<LogfmtExpressionsStage::Item> items;
  for (const logql::Extraction& extraction : e.extractions) {
    auto key = parse_expression(extraction.expression);
    if (!key.ok())
      return base::invalid_argument("cannot parse expression [" + extraction.expression +
                                    "]: " + std::string(key.status().message()));
    // Of one name written twice the last counts.
    std::erase_if(items, [&](const auto& item) { return item.name == extraction.identifier; });
    items.push_back({extraction.identifier, std::move(*key)});
  }
  return std::unique_ptr<Stage>(
      std::make_unique<LogfmtExpressionsStage>(std::move(items), e.strict));
}

}  // namespace skald::query
