#pragma once
// What every match of a regular expression must contain: a conjunction of disjunctions of
// literals, the prefilter of `|~`. The idea is that of Cox, "Regular Expression Matching with a
// Trigram Index" (2012), kept to literal runs: exact strings of a concatenation are multiplied out
// while they are few, and cut where the expression stops being literal.

#include <string>
#include <string_view>
#include <vector>

namespace skald::query::plan {

struct RegexLiterals {
  std::vector<std::vector<std::string>> clauses;  // empty: nothing is known
  bool fold_case = false;                         // clauses are ASCII lower case, compare folded
};

// `pattern` is valid RE2 syntax. Anything not understood only weakens the answer.
RegexLiterals required_literals(std::string_view pattern);

}  // namespace skald::query::plan
