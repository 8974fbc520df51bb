#pragma once
// Regular expressions in queries: Go's syntax on RE2, and Loki's habit of replacing simple ones by
// text searches. The replacement is visible: `| label=~"abc.*"` becomes "contains abc", so that
// planner, printer and row engine must all ask here.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proto/base/status.h"

namespace re2 {
class RE2;
}

namespace skald::query::logql {

// Compiles Go's syntax. kInvalidArgument: does not compile, or is over the size or memory limit.
// `label`: the expression must match the whole text. Of an expression that gives two groups one
// name, as Go allows, no group has a name then; repeated_group() tells the first such name.
base::Result<std::shared_ptr<const re2::RE2>> compile_regex(std::string_view regex,
                                                            bool label = false);
std::optional<std::string> repeated_group(std::string_view regex);
base::Status check_regex(std::string_view regex);

// Whether the expression is found in the text, and where its groups are (group 0 is the whole
// match). A byte that is no UTF-8 is the character U+FFFD to it, as to Go: RE2's `.` alone would
// not take it. Groups are views into `text`, which has no need to be valid.
bool finds(const re2::RE2& regex, std::string_view text, std::span<std::string_view> groups = {});

// While one lives on a thread, equal expressions compiled there are one object: the parser, the
// plan and the stages of a query all ask for the same ones. Scopes nest; the innermost counts.
class RegexScope {
 public:
  RegexScope();
  ~RegexScope();
  RegexScope(const RegexScope&) = delete;
  RegexScope& operator=(const RegexScope&) = delete;

 private:
  friend base::Result<std::shared_ptr<const re2::RE2>> compile_regex(std::string_view, bool);
  std::unordered_map<std::string, std::shared_ptr<const re2::RE2>> compiled_;
  RegexScope* outer_;
};

struct TextTest {
  enum class Kind : std::uint8_t {
    kTrue,    // everything
    kExists,  // every text but the empty one
    kContains,
    kEqual,
  };
  Kind kind = Kind::kTrue;
  std::string text;  // kContains, kEqual; lower case if fold_case
  bool fold_case = false;
  bool matches(std::string_view subject) const;
};

// The tests of which one must hold, for a regular expression that Loki does not run as one.
// nullopt: run it. `label`: as in a label filter, where a plain literal means equality.
std::optional<std::vector<TextTest>> simplify_regex(std::string_view regex, bool label);

// Loki's containsLower: `needle` is lower case.
bool contains_folded(std::string_view subject, std::string_view needle);

}  // namespace skald::query::logql
