#include "proto/model/matcher.h"

#include <re2/re2.h>

#include <algorithm>

namespace skald::model {
namespace {

// "a|b|c" without any other metacharacter.
std::vector<std::string> plain_alternatives(std::string_view pattern) {
  constexpr std::string_view kMeta = "\\.+*?()[]{}^$";
  std::vector<std::string> parts;
  std::string part;
  for (const char c : pattern) {
    if (kMeta.find(c) != std::string_view::npos) return {};
    if (c == '|') {
      parts.push_back(std::move(part));
      part.clear();
    } else {
      part.push_back(c);
    }
  }
  parts.push_back(std::move(part));
  return parts;
}

std::string_view op_text(Matcher::Op op) {
  switch (op) {
    case Matcher::Op::kEqual: return "=";
    case Matcher::Op::kNotEqual: return "!=";
    case Matcher::Op::kRegex: return "=~";
    case Matcher::Op::kNotRegex: return "!~";
  }
  return "=";
}

}  // namespace

base::Result<Matcher> Matcher::create(std::string name, Op op, std::string value) {
  Matcher matcher;
  matcher.name_ = std::move(name);
  matcher.op_ = op;
  matcher.value_ = std::move(value);
  if (op == Op::kRegex || op == Op::kNotRegex) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(true);
    options.set_max_mem(kRegexMemoryMax);
    auto regex = std::make_shared<re2::RE2>(matcher.value_, options);
    if (!regex->ok())
      return base::invalid_argument("invalid regular expression " + go_quote(matcher.value_) +
                                    " for label '" + matcher.name_ + "': " + regex->error());
    matcher.regex_ = std::move(regex);
    matcher.literals_ = plain_alternatives(matcher.value_);
  }
  return matcher;
}

bool Matcher::matches(std::string_view value) const {
  switch (op_) {
    case Op::kEqual: return value == value_;
    case Op::kNotEqual: return value != value_;
    default: break;
  }
  const bool found = literals_.empty()
                         ? re2::RE2::FullMatch(value, *regex_)
                         : std::find(literals_.begin(), literals_.end(), value) != literals_.end();
  return found == (op_ == Op::kRegex);
}

std::string Matcher::to_string() const {
  const bool classic = !name_.empty() && (name_[0] < '0' || name_[0] > '9') &&
                       name_.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == std::string::npos;
  return (classic ? name_ : go_quote(name_)) + std::string(op_text(op_)) + go_quote(value_);
}

bool matches_all(const Matchers& matchers, const Labels& labels) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&](const Matcher& matcher) { return matcher.matches(labels); });
}

}  // namespace skald::model
