#pragma once
// LogQL text to tree. Pure functions, safe from any thread.
//
// Errors: kInvalidArgument in Loki's wording, which clients match on:
//   parse error at line 1, col 5: syntax error: unexpected NUMBER, expecting STRING
//   parse error : queries require at least one regexp or equality matcher ...
// Position (0-based line 0 included) is as Loki computes it. Texts over limits.h are refused.

#include <string>
#include <string_view>

#include "proto/base/status.h"
#include "proto/model/matcher.h"
#include "query/logql/ast.h"

namespace skald::query::logql {

// Parses and validates: at least one matcher of each selector must rule out the empty value.
base::Result<ExprPtr> parse(std::string_view text);

// A bare selector `{a="b"}`: kInvalidArgument for anything more ("only label matchers are
// supported"). `validate` false also accepts selectors that match everything, such as `{}`.
base::Result<model::Matchers> parse_matchers(std::string_view text, bool validate = true);

}  // namespace skald::query::logql
