#include "query/api/level_detect.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace skald::query::api {
namespace {

constexpr int kJsonDepthMax = 2;                  // Loki's log_level_from_json_max_depth
constexpr std::size_t kScanBytesMax = 64U << 10;  // of a line, for the word scan

bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool iequals(std::string_view a, std::string_view lower) noexcept {
  return a.size() == lower.size() &&
         std::equal(a.begin(), a.end(), lower.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) == y;
         });
}

std::string_view known_level(std::string_view text) noexcept {  // empty if it is none
  static constexpr struct {
    std::string_view word, level;
  } kWords[] = {{"trace", "trace"},       {"trc", "trace"},   {"debug", "debug"},
                {"dbg", "debug"},         {"info", "info"},   {"inf", "info"},
                {"information", "info"},  {"warn", "warn"},   {"wrn", "warn"},
                {"warning", "warn"},      {"error", "error"}, {"err", "error"},
                {"critical", "critical"}, {"fatal", "fatal"}};
  if (text.size() < 3 || text.size() > 11) return {};
  for (const auto& known : kWords)
    if (iequals(text, known.word)) return known.level;
  return {};
}

bool is_field(std::string_view key, const std::vector<std::string>& fields) noexcept {
  return std::find(fields.begin(), fields.end(), key) != fields.end();
}

// Finds the first string under a level-like key. Tolerant: what is not JSON ends the search.
class JsonLevelScanner {
 public:
  JsonLevelScanner(std::string_view text, const std::vector<std::string>& fields)
      : text_(text), fields_(fields) {}

  std::string_view find() {
    skip_space();
    object(0);
    return found_;
  }

 private:
  bool object(int depth) {  // true: go on behind it
    if (!take('{')) return false;
    skip_space();
    if (take('}')) return true;
    while (true) {
      std::string_view key;
      skip_space();
      if (!string(key)) return false;
      skip_space();
      if (!take(':')) return false;
      skip_space();
      if (!member(key, depth)) return false;
      skip_space();
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }

  bool member(std::string_view key, int depth) {
    if (at_ >= text_.size()) return false;
    if (text_[at_] == '"') {
      std::string_view value;
      if (!string(value)) return false;
      if (!is_field(key, fields_)) return true;
      found_ = value;
      return false;
    }
    if (text_[at_] == '{' && depth + 1 < kJsonDepthMax) return object(depth + 1);
    if (text_[at_] == '{' || text_[at_] == '[') return skip_nested();
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '}') ++at_;
    return true;
  }

  bool skip_nested() {
    int open = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        std::string_view ignored;
        if (!string(ignored)) return false;
        continue;
      }
      if (c == '{' || c == '[') ++open;
      if (c == '}' || c == ']') --open;
      ++at_;
      if (open == 0) return true;
    }
    return false;
  }

  bool string(std::string_view& out) {  // escapes stay
    if (!take('"')) return false;
    const std::size_t start = at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return false;
    out = text_.substr(start, at_ - start);
    ++at_;
    return true;
  }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  std::string_view text_;
  const std::vector<std::string>& fields_;
  std::size_t at_ = 0;
  std::string_view found_;
};

// key=value and key="value"; of several level-like keys the one named first in `fields` wins.
std::string_view logfmt_level(std::string_view line, const std::vector<std::string>& fields) {
  std::string_view found;
  std::size_t best = fields.size();
  std::size_t at = 0;
  while (at < line.size() && best != 0) {
    while (at < line.size() && is_space(line[at])) ++at;
    const std::size_t key_at = at;
    while (at < line.size() && line[at] != '=' && !is_space(line[at])) ++at;
    const std::string_view key = line.substr(key_at, at - key_at);
    if (at >= line.size() || line[at] != '=') continue;
    std::size_t value_at = ++at;
    std::size_t value_end;
    if (at < line.size() && line[at] == '"') {
      value_at = ++at;
      while (at < line.size() && line[at] != '"') at += line[at] == '\\' ? 2 : 1;
      value_end = std::min(at, line.size());
      if (at < line.size()) ++at;
    } else {
      while (at < line.size() && !is_space(line[at])) ++at;
      value_end = at;
    }
    for (std::size_t i = 0; i < best; ++i) {
      if (key.size() != fields[i].size() ||
          !std::equal(key.begin(), key.end(), fields[i].begin(), [](char a, char b) {
            return std::tolower(static_cast<unsigned char>(a)) ==
                   std::tolower(static_cast<unsigned char>(b));
          }))
        continue;
      best = i;
      found = line.substr(value_at, value_end - value_at);
    }
  }
  return found;
}

constexpr std::string_view kLeft = " \t\n[({\"'=|";
constexpr std::string_view kRight = " \t\n[](){}:,!\"'=|";

std::size_t find_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != std::string_view::npos;
       at = text.find(word, at + 1)) {
    const bool left = at == 0 || kLeft.find(text[at - 1]) != std::string_view::npos;
    const std::size_t end = at + word.size();
    const bool right = end >= text.size() || kRight.find(text[end]) != std::string_view::npos;
    if (left && right) return at;
  }
  return std::string_view::npos;
}

std::string_view first_level_word(std::string_view line) {
  static constexpr struct {
    std::string_view word, level;
  } kWords[] = {{"trace", "trace"},       {"debug", "debug"}, {"fatal", "fatal"},
                {"critical", "critical"}, {"error", "error"}, {"err", "error"},
                {"warning", "warn"},      {"warn", "warn"},   {"info", "info"}};
  std::string lower(line.substr(0, kScanBytesMax));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::size_t first = lower.size();
  std::string_view level = "unknown";
  for (const auto& known : kWords) {
    const std::size_t at = find_word(lower, known.word);
    if (at == std::string_view::npos || at >= first) continue;
    first = at;
    level = known.level;
  }
  return level;
}

bool looks_like_json(std::string_view line) noexcept {
  while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
  while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
  return line.size() >= 2 && line.front() == '{' && line.back() == '}';
}

}  // namespace

std::string_view normalize_level(std::string_view level) noexcept {
  const std::string_view known = known_level(level);
  return known.empty() ? level : known;
}

std::string_view level_of_severity(std::string_view number) noexcept {
  int severity = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), severity);
  if (error != std::errc() || end != number.data() + number.size()) return "info";
  static constexpr std::string_view kLevels[] = {"trace", "debug", "info",
                                                 "warn",  "error", "fatal"};
  if (severity <= 0 || severity > 24) return "unknown";
  return kLevels[(severity - 1) / 4];
}

std::string_view detect_level(std::string_view line, const std::vector<std::string>& fields) {
  std::string_view found;
  if (looks_like_json(line))
    found = JsonLevelScanner(line, fields).find();
  else if (line.find('=') != std::string_view::npos)
    found = logfmt_level(line, fields);
  const std::string_view known = known_level(found);
  return known.empty() ? first_level_word(line) : known;
}

}  // namespace skald::query::api
