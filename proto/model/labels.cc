#include "proto/model/labels.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace skald::model {
namespace {

bool name_less(const Labels::Pair& pair, std::string_view name) { return pair.first < name; }

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Cursor over the text form; errors carry the column (1-based, in bytes).
class LabelsParser {
 public:
  explicit LabelsParser(std::string_view text) : text_(text) {}

  base::Result<Labels> parse() {
    skip_space();
    if (!take('{')) return error("expected '{'");
    std::vector<Labels::Pair> pairs;
    skip_space();
    while (!take('}')) {
      if (!pairs.empty()) {
        if (!take(',')) return error("expected ',' or '}'");
        skip_space();
        if (take('}')) break;  // Go's parser allows a trailing comma
      }
      SKALD_TRY_ASSIGN(Labels::Pair pair, parse_pair());
      pairs.push_back(std::move(pair));
      skip_space();
    }
    skip_space();
    if (at_ != text_.size()) return error("unexpected text after '}'");
    std::sort(pairs.begin(), pairs.end());
    for (std::size_t i = 1; i < pairs.size(); ++i)
      if (pairs[i].first == pairs[i - 1].first)
        return base::invalid_argument("duplicate label name '" + pairs[i].first + "'");
    return Labels::from_pairs(std::move(pairs));
  }

 private:
  base::Result<Labels::Pair> parse_pair() {
    const std::size_t start = at_;
    while (at_ < text_.size() &&
           (is_name_start(text_[at_]) || (at_ > start && text_[at_] >= '0' && text_[at_] <= '9')))
      ++at_;
    if (at_ == start) return error("expected a label name");
    std::string name(text_.substr(start, at_ - start));
    skip_space();
    if (!take('=')) return error("expected '=' after label name '" + name + "'");
    skip_space();
    const std::size_t quote_at = at_;
    if (at_ >= text_.size() || (text_[at_] != '"' && text_[at_] != '`'))
      return error("expected a quoted value for label '" + name + "'");
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote)
      at_ += (quote == '"' && text_[at_] == '\\') ? 2 : 1;
    if (at_ >= text_.size()) return error("the value of label '" + name + "' has no closing quote");
    ++at_;
    SKALD_TRY_ASSIGN(std::string value, go_unquote(text_.substr(quote_at, at_ - quote_at)));
    return Labels::Pair(std::move(name), std::move(value));
  }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  base::Status error(const std::string& what) const {
    return base::invalid_argument("column " + std::to_string(at_ + 1) + ": " + what);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Labels::Labels(std::initializer_list<Pair> pairs) : Labels(from_pairs(std::vector<Pair>(pairs))) {}

Labels Labels::from_result(std::vector<Pair> pairs) {
  std::sort(pairs.begin(), pairs.end(),
            [](const Pair& a, const Pair& b) { return a.first < b.first; });
  Labels out;
  out.pairs_ = std::move(pairs);
  return out;
}

Labels Labels::from_pairs(std::vector<Pair> pairs) {
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.first < b.first; });
  Labels labels;
  labels.pairs_.reserve(pairs.size());
  for (Pair& pair : pairs) {
    if (!labels.pairs_.empty() && labels.pairs_.back().first == pair.first)
      labels.pairs_.back() = std::move(pair);
    else
      labels.pairs_.push_back(std::move(pair));
  }
  std::erase_if(labels.pairs_, [](const Pair& pair) { return pair.second.empty(); });
  return labels;
}

std::string_view Labels::get(std::string_view name) const noexcept {
  const auto it = std::lower_bound(pairs_.begin(), pairs_.end(), name, name_less);
  if (it == pairs_.end() || it->first != name) return {};
  return it->second;
}

bool Labels::has(std::string_view name) const noexcept { return !get(name).empty(); }

void Labels::set(std::string_view name, std::string_view value) {
  if (value.empty()) return erase(name);
  const auto it = std::lower_bound(pairs_.begin(), pairs_.end(), name, name_less);
  if (it != pairs_.end() && it->first == name)
    it->second = value;
  else
    pairs_.emplace(it, name, value);
}

void Labels::erase(std::string_view name) {
  const auto it = std::lower_bound(pairs_.begin(), pairs_.end(), name, name_less);
  if (it != pairs_.end() && it->first == name) pairs_.erase(it);
}

std::uint64_t Labels::hash() const noexcept {
  // Lengths go in too, so that ("ab","c") and ("a","bc") differ.
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (const auto& [name, value] : pairs_) {
    const std::uint64_t sizes[2] = {name.size(), value.size()};
    XXH3_64bits_update(&state, sizes, sizeof sizes);
    XXH3_64bits_update(&state, name.data(), name.size());
    XXH3_64bits_update(&state, value.data(), value.size());
  }
  return XXH3_64bits_digest(&state);
}

std::string Labels::to_string() const {
  std::string text = "{";
  for (const auto& [name, value] : pairs_) {
    if (text.size() > 1) text += ", ";
    text += name;
    text += '=';
    text += go_quote(value);
  }
  text += '}';
  return text;
}

base::Result<Labels> parse_labels(std::string_view text) { return LabelsParser(text).parse(); }

bool is_label_name(std::string_view name, bool allow_colon) noexcept {
  if (name.empty()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool digit = c >= '0' && c <= '9';
    if (!(is_name_start(c) || (digit && i > 0) || (allow_colon && c == ':'))) return false;
  }
  return true;
}

}  // namespace skald::model
