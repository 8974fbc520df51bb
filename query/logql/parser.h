#pragma once
// LogQL text to tree. Pure functions, safe from any thread.
//
// Errors: kInvalidArgument in Loki's wording, which clients match on:
//   parse error at line 1, col 5: syntax error: unexpected NUMBER, expecting STRING
//   parse error : queries require at least one regexp or equality matcher ...
// Position (0-based line 0 included) is as Loki computes it. Texts over limits.h are refused.

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/status.h"
#include "proto/model/matcher.h"
#include "query/logql/ast.h"
#include "query/logql/limits.h"

namespace skald::query::logql {

// What the regular expressions of several texts may cost together: give each parse the same one.
struct RegexBudget {
  std::int64_t programs_max = kRegexProgramsMax;  // bytes
  std::int64_t programs = 0;
  bool exhausted = false;
};

// Parses and validates: at least one matcher of each selector must rule out the empty value.
// `regexes` null: it has a budget of its own.
base::Result<ExprPtr> parse(std::string_view text, RegexBudget* regexes = nullptr);

// A bare selector `{a="b"}`: kInvalidArgument for anything more ("only label matchers are
// supported"). `validate` false also accepts selectors that match everything, such as `{}`.
base::Result<model::Matchers> parse_matchers(std::string_view text, bool validate = true,
                                             RegexBudget* regexes = nullptr);

}  // namespace skald::query::logql
