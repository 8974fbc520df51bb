#include "tests/query/differential/naive_text.h"

#include <re2/re2.h>

#include "proto/base/utf8.h"

namespace skald::tests {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

std::string clean(std::string_view key) {
  std::string out;
  for (std::string_view rest = key; !rest.empty();) {
    const base::Rune rune = base::decode_rune(rest);
    const char32_t c = rune.value;
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    out += fine ? static_cast<char>(c) : '_';
    rest.remove_prefix(rune.width);
  }
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Undoes JSON's escapes, and \' where logfmt allows it.
std::optional<std::string> unescaped(std::string_view text, bool logfmt) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    const std::string from = logfmt ? "\"\\/'bfnrt" : "\"\\/bfnrt";
    const std::string to = logfmt ? "\"\\/'\b\f\n\r\t" : "\"\\/\b\f\n\r\t";
    if (const auto simple = from.find(text[i]); simple != std::string::npos) {
      out += to[simple];
      continue;
    }
    unsigned code = 0;
    // The random logs hold no surrogates.
    if (text[i] != 'u' || !re2::RE2::FullMatch(std::string(text.substr(i + 1, 4)),
                                               "([0-9a-fA-F]{4})", re2::RE2::Hex(&code)))
      return std::nullopt;
    base::append_rune(out, code);
    i += 4;
  }
  return out;
}

// Where the string that begins behind `from` ends: at its closing quote.
std::size_t closing_quote(std::string_view text, std::size_t from) {
  for (std::size_t i = from; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      return i;
  }
  return std::string_view::npos;
}

// Behind the bracket that closes the one at `from`.
std::size_t block_end(std::string_view text, std::size_t from, char open, char close) {
  int depth = 0;
  for (std::size_t i = from; i < text.size(); ++i) {
    if (text[i] == '"') {
      i = closing_quote(text, i + 1);
      if (i == std::string_view::npos) return i;
    } else if (text[i] == open) {
      ++depth;
    } else if (text[i] == close && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

bool is_scalar(const NaiveJsonValue& value) {
  if (value.type != NaiveJsonValue::Type::kToken) return true;
  return re2::RE2::FullMatch(std::string(value.raw),
                             "true|false|-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?");
}

bool is_json_array(std::string_view raw);

bool is_valid(const NaiveJsonValue& value) {
  if (value.type == NaiveJsonValue::Type::kObject) return naive_is_json_object(value.raw);
  if (value.type == NaiveJsonValue::Type::kArray) return is_json_array(value.raw);
  return is_scalar(value);
}

// The arrays of the random logs are flat: commas part the elements, each valid as a member is.
bool is_json_array(std::string_view raw) {
  const std::string_view inside = raw.substr(1, raw.size() - 2);
  if (trimmed(inside).empty()) return true;
  for (std::size_t at = 0; at <= inside.size();) {
    std::size_t end = at;
    while (end < inside.size() && inside[end] != ',') {
      if (inside[end] == '"') end = closing_quote(inside, end + 1);
      if (end == std::string_view::npos) return false;
      ++end;
    }
    const std::string member = "{\"a\":" + std::string(inside.substr(at, end - at)) + "}";
    if (!naive_is_json_object(member)) return false;
    at = end + 1;
  }
  return true;
}

}  // namespace

std::string naive_label_name(std::string_view key) {
  std::string text = trimmed(key);
  if (text.empty()) return text;
  return (is_digit(text[0]) ? "_" : "") + clean(text);
}

std::string naive_joined(const std::string& prefix, std::string_view key) {
  if (prefix.empty()) return naive_label_name(key);
  const std::string text = trimmed(key);
  return text.empty() ? prefix : prefix + "_" + clean(text);
}

std::string naive_without_bad_runes(const std::string& text) {
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const base::Rune rune = base::decode_rune(rest);
    out += rune.value == base::kReplacementRune ? std::string(" ")
                                                : std::string(rest.substr(0, rune.width));
    rest.remove_prefix(rune.width);
  }
  return out;
}

std::string NaiveJsonValue::text() const {
  if (type == Type::kToken) return std::string(raw);
  const auto plain = unescaped(raw, false);
  return plain ? naive_without_bad_runes(*plain) : "";
}

void NaiveJsonReader::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

bool NaiveJsonReader::fail() {
  malformed_ = true;
  return false;
}

bool NaiveJsonReader::open_object() {
  skip_space();
  if (at_ >= text_.size() || text_[at_] != '{') return fail();
  ++at_;
  skip_space();
  return at_ < text_.size() || fail();
}

bool NaiveJsonReader::next_member() {
  if (done_) return false;
  if (!first_) {
    skip_space();
    if (at_ >= text_.size()) return fail();
    if (text_[at_] == '}') return false;
    if (text_[at_] != ',') return fail();
    ++at_;
    skip_space();
    if (at_ >= text_.size()) return fail();
  }
  first_ = false;
  if (text_[at_] == '}') return false;
  if (text_[at_] != '"') return fail();
  const std::size_t quote = closing_quote(text_, at_ + 1);
  if (quote == std::string_view::npos) return fail();
  const auto key = unescaped(text_.substr(at_ + 1, quote - at_ - 1), false);
  if (!key) return fail();
  key_ = *key;
  at_ = quote + 1;
  skip_space();
  if (at_ >= text_.size() || text_[at_] != ':') return fail();
  ++at_;
  skip_space();
  return read_value();
}

bool NaiveJsonReader::read_value() {
  if (at_ >= text_.size()) return fail();
  const char c = text_[at_];
  if (c == '"') {
    const std::size_t quote = closing_quote(text_, at_ + 1);
    if (quote == std::string_view::npos) return fail();
    value_ = {NaiveJsonValue::Type::kString, text_.substr(at_ + 1, quote - at_ - 1)};
    at_ = quote + 1;
    return true;
  }
  if (c == '{' || c == '[') {
    const std::size_t end = block_end(text_, at_, c, c == '{' ? '}' : ']');
    if (end == std::string_view::npos) return fail();
    value_ = {c == '{' ? NaiveJsonValue::Type::kObject : NaiveJsonValue::Type::kArray,
              text_.substr(at_, end - at_)};
    at_ = end;
    return true;
  }
  const std::size_t begin = at_;
  while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != ',' && text_[at_] != '}' &&
         text_[at_] != ']')
    ++at_;
  const std::string_view token = text_.substr(begin, at_ - begin);
  if (token == "null")
    value_ = {NaiveJsonValue::Type::kNull, token};
  else if (token == "true" || token == "false" || is_digit(c) || c == '-')
    value_ = {NaiveJsonValue::Type::kToken, token};
  else
    return fail();
  return true;
}

bool naive_is_json_object(std::string_view text) {
  NaiveJsonReader reader(text);
  if (!reader.open_object()) return false;
  while (reader.next_member())
    if (!is_valid(reader.value())) return false;
  return !reader.malformed() && text.back() == '}';
}

std::optional<std::vector<std::string>> naive_path(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                      (is_digit(c) && !out.back().empty());
    if (c == '.')
      out.emplace_back();
    else if (fine)
      out.back() += c;
    else
      return std::nullopt;
  }
  for (const std::string& key : out)
    if (key.empty()) return std::nullopt;
  return out;
}

std::optional<NaiveJsonValue> naive_find(std::string_view object,
                                         const std::vector<std::string>& path) {
  NaiveJsonReader reader(object);
  if (!reader.open_object()) return std::nullopt;
  while (reader.next_member()) {
    if (reader.key() != path[0]) continue;
    if (path.size() == 1) return reader.value();
    if (reader.value().type != NaiveJsonValue::Type::kObject) continue;
    if (auto found = naive_find(reader.value().raw, {path.begin() + 1, path.end()})) return found;
  }
  return std::nullopt;
}

std::optional<NaiveLogfmtReader::Pair> NaiveLogfmtReader::skip() {
  failed_ = true;
  while (at_ < text_.size() && static_cast<unsigned char>(text_[at_]) > ' ') ++at_;
  return std::nullopt;
}

std::optional<std::string> NaiveLogfmtReader::quoted() {
  const std::size_t quote = closing_quote(text_, at_ + 1);
  const std::size_t begin = at_ + 1;
  at_ = quote == std::string_view::npos ? text_.size() : quote + 1;
  std::optional<std::string> out;
  if (quote != std::string_view::npos) {
    const std::string_view inside = text_.substr(begin, quote - begin);
    out = unescaped(inside, true);
    // Only a text with escapes is decoded, and then its bad runes are U+FFFD.
    if (inside.find('\\') == std::string_view::npos) out = std::string(inside);
  }
  failed_ = failed_ || !out;
  return out;
}

std::optional<NaiveLogfmtReader::Pair> NaiveLogfmtReader::next() {
  const auto garbage = [&] { return static_cast<unsigned char>(text_[at_]) <= ' '; };
  while (!at_end() && garbage()) ++at_;
  if (at_end()) return std::nullopt;
  Pair pair;
  const std::size_t begin = at_;
  while (!at_end() && !garbage() && text_[at_] != '=' && text_[at_] != '"') ++at_;
  pair.key = std::string(text_.substr(begin, at_ - begin));
  if (!at_end() && (text_[at_] == '"' || (text_[at_] == '=' && pair.key.empty()))) return skip();
  const bool has_value = !at_end() && text_[at_] == '=';
  if (naive_without_bad_runes(pair.key) != pair.key) {
    if (has_value) return skip();
    failed_ = true;
    return std::nullopt;
  }
  if (!has_value) return pair;
  ++at_;
  if (at_end() || garbage()) return pair;
  if (text_[at_] == '"') {
    const auto value = quoted();
    if (!value) return std::nullopt;
    pair.value = *value;
    return pair;
  }
  const std::size_t value_begin = at_;
  while (!at_end() && !garbage()) {
    if (text_[at_] == '=' || text_[at_] == '"') return skip();
    ++at_;
  }
  pair.value = std::string(text_.substr(value_begin, at_ - value_begin));
  return pair;
}

}  // namespace skald::tests
