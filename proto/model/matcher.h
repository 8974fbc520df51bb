#pragma once
// Label matchers: `name="v"`, `!=`, `=~`, `!~`. Used by selectors, the agent's match stage and the
// label index. Regular expressions are RE2, anchored at both ends, as in Loki.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/labels.h"

namespace re2 {
class RE2;
}

namespace skald::model {

class Matcher {
 public:
  enum class Op : unsigned char { kEqual, kNotEqual, kRegex, kNotRegex };

  // kInvalidArgument if a regular expression does not compile, with RE2's reason, or needs more
  // than the memory limit (kRegexMemoryMax).
  static base::Result<Matcher> create(std::string name, Op op, std::string value);

  const std::string& name() const noexcept { return name_; }
  Op op() const noexcept { return op_; }
  const std::string& value() const noexcept { return value_; }
  bool matches(std::string_view value) const;  // an absent label is the empty value
  bool matches(const Labels& labels) const { return matches(labels.get(name_)); }
  bool matches_empty() const { return matches(std::string_view()); }
  // For =~ of plain alternatives such as "a|b|c": these, else empty. Lets the index look up
  // instead of scanning all values.
  const std::vector<std::string>& literal_set() const noexcept { return literals_; }
  std::string to_string() const;  // name=~"v"

  static constexpr std::size_t kRegexMemoryMax = 8U << 20;

 private:
  Matcher() = default;
  std::string name_;
  Op op_ = Op::kEqual;
  std::string value_;
  std::shared_ptr<const re2::RE2> regex_;  // RE2 is thread-safe for matching
  std::vector<std::string> literals_;
};

using Matchers = std::vector<Matcher>;

bool matches_all(const Matchers& matchers, const Labels& labels);

}  // namespace skald::model
