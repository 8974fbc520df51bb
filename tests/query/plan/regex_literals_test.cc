#include "query/plan/regex_literals.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <algorithm>
#include <random>

namespace skald::query::plan {
namespace {

using Clauses = std::vector<std::vector<std::string>>;

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

bool holds(const RegexLiterals& literals, const std::string& line) {
  const std::string text = literals.fold_case ? lower(line) : line;
  return std::all_of(literals.clauses.begin(), literals.clauses.end(), [&](const auto& clause) {
    return std::any_of(clause.begin(), clause.end(), [&](const std::string& needle) {
      return text.find(needle) != std::string::npos;
    });
  });
}

TEST(RegexLiterals, FindsWhatEveryMatchContains) {
  const auto clauses = [](const char* pattern) { return required_literals(pattern).clauses; };
  EXPECT_EQ(clauses("abc"), (Clauses{{"abc"}}));
  EXPECT_EQ(clauses("Upstream(Timeout|Refused)"),
            (Clauses{{"UpstreamTimeout", "UpstreamRefused"}}));
  EXPECT_EQ(clauses("a.*bc"), (Clauses{{"a"}, {"bc"}}));
  EXPECT_EQ(clauses("error|warn"), (Clauses{{"error", "warn"}}));
  EXPECT_EQ(clauses("(foo)+bar"), (Clauses{{"foo"}, {"bar"}}));
  EXPECT_EQ(clauses("foo(bar)?"), (Clauses{{"foo"}}));
  EXPECT_EQ(clauses("a\\.b[0-9]+c"), (Clauses{{"a.b"}, {"c"}}));
  EXPECT_EQ(clauses("\u00e9?x"), (Clauses{{"x"}}));
  EXPECT_EQ(clauses("(?P<n>ab)c"), (Clauses{{"abc"}}));
}

TEST(RegexLiterals, ClaimsNothingWhereItDoesNotUnderstand) {
  for (const char* pattern : {".*", "a|.*", "(?s:a)b", "[ab]", "\\x61", "a*", "(|a)", "\\Qa\\E"})
    EXPECT_TRUE(required_literals(pattern).clauses.empty()) << pattern;
}

TEST(RegexLiterals, FoldingLeavesOutLettersThatFoldBeyondAscii) {
  const RegexLiterals literals = required_literals("(?i)ERROR_SINK");
  EXPECT_TRUE(literals.fold_case);
  EXPECT_EQ(literals.clauses, (Clauses{{"error_"}, {"in"}}));
}

std::string random_pattern(std::mt19937& random, int depth) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  std::string out;
  for (int pieces = 1 + pick(3); pieces > 0; --pieces) {
    switch (depth > 2 ? pick(4) : pick(7)) {
      case 0: out += "ab"; break;
      case 1: out += "k"; break;
      case 2: out += "[bc]"; break;
      case 3: out += "."; break;
      case 4: out += "(" + random_pattern(random, depth + 1) + ")"; break;
      case 5:
        out += "(?:" + random_pattern(random, depth + 1) + "|" + random_pattern(random, depth + 1) +
               ")";
        break;
      default: out += "c"; break;
    }
    const char* const quantifiers[] = {"", "", "", "*", "+", "?", "{2}", "{0,2}"};
    out += quantifiers[pick(8)];
  }
  return out;
}

TEST(RegexLiterals, EveryMatchingLineHoldsTheClauses) {
  std::mt19937 random(20260131);
  int matches = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::string pattern = (round % 3 == 0 ? "(?i)" : "") + random_pattern(random, 0);
    const RE2 regex(pattern, RE2::Quiet);
    ASSERT_TRUE(regex.ok()) << pattern;
    const RegexLiterals literals = required_literals(pattern);
    for (int i = 0; i < 8; ++i) {
      std::string line;
      for (auto n = random() % 12; n > 0; --n) line += "abckABCK\n"[random() % 9];
      if (!RE2::PartialMatch(line, regex)) continue;
      ++matches;
      EXPECT_TRUE(holds(literals, line)) << pattern << " on " << line;
    }
  }
  EXPECT_GT(matches, 1000);
}

}  // namespace
}  // namespace skald::query::plan
