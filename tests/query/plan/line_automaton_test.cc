#include "query/plan/line_automaton.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <random>
#include <string>

namespace skald::query::plan {
namespace {

using Purpose = LineAutomaton::Purpose;

bool matches(const LineAutomaton& automaton, std::string_view text) {
  LineAutomaton::Run run(automaton);
  bool anew = false;
  return run.matched(run.feed(LineAutomaton::Run::kStart, text, anew));
}

// What of a text read in pieces is left to look at, as find_windows() does it. Empty: no match.
std::string window_of(const LineAutomaton& automaton, const std::vector<std::string>& pieces) {
  LineAutomaton::Run run(automaton);
  LineAutomaton::Run::State state = LineAutomaton::Run::kStart;
  std::string window;
  for (const std::string& piece : pieces) {
    if (run.final(state)) break;
    bool anew = false;
    state = run.feed(state, piece, anew);
    const bool from_start = automaton.reading().from_start;
    if (!from_start && anew) window.clear();
    if (from_start || !run.idle(state)) window += piece;
  }
  EXPECT_FALSE(run.lost());
  return run.matched(state) ? window : std::string();
}

// Pieces of expressions, of which RE2 takes most combinations.
std::string random_pattern(std::mt19937& random, int depth = 0) {
  static const std::vector<std::string> kAtoms{
      "a",           "b",   "k",     "s",      ".", "[ab]",   "[^a]", "\\d",
      "\\w",         "\\S", "\\.",   "\u00e9", " ", "[a-c-]", "[]x]", "1",
      "[[:alpha:]]", "\\W", "(?i)S", "(?s:.)", "{", "[^\\w ]"};
  static const std::vector<std::string> kRepeats{"*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?"};
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  std::string out;
  for (std::size_t n = 1 + pick(4); n > 0; --n) {
    std::string atom = kAtoms[pick(kAtoms.size())];
    if (depth < 2 && pick(5) == 0)
      atom = (pick(2) == 0 ? "(" : "(?:") + random_pattern(random, depth + 1) + ")";
    out += atom;
    if (pick(3) == 0) out += kRepeats[pick(kRepeats.size())];
  }
  if (depth < 2 && pick(6) == 0) out += "|" + random_pattern(random, depth + 1);
  if (depth == 0 && pick(10) == 0) out.insert(0, "^");
  return out;
}

std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> kPieces{"a", "b", "c", "k",      "K",      "S",
                                                "1", " ", ".", "\u00e9", "\u017f", "\u212a",
                                                "x", "]", "-", "\n",     "{",      "\U0001f600"};
  std::string out;
  for (std::size_t n = random() % 12; n > 0; --n) out += kPieces[random() % kPieces.size()];
  return out;
}

TEST(LineAutomaton, MatchesWhatRe2MatchesAndSeesTheSameMatchInTheWindow) {
  std::mt19937 random(20261125);
  int known = 0, found = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string pattern = random_pattern(random);
    const re2::RE2 regex("(" + pattern + ")", re2::RE2::Quiet);
    const auto match = LineAutomaton::of_regex(pattern, Purpose::kMatch);
    if (!regex.ok() || match == nullptr) continue;
    const auto windowed = LineAutomaton::of_regex(pattern, Purpose::kWindow);
    ASSERT_NE(windowed, nullptr);
    ++known;
    for (int k = 0; k < 12; ++k) {
      std::vector<std::string> pieces;
      std::string text;
      for (std::size_t n = random() % 6; n > 0; --n)
        text += pieces.emplace_back(random_text(random));
      std::string whole, part;
      const bool expected = re2::RE2::PartialMatch(text, regex, &whole);
      ASSERT_EQ(matches(*match, text), expected) << pattern << " in " << text;
      const std::string window = window_of(*windowed, pieces);
      ASSERT_EQ(re2::RE2::PartialMatch(window, regex, &part), expected)
          << pattern << " in " << text;
      ASSERT_EQ(part, whole) << pattern << " in " << text << " by " << window;
      found += expected ? 1 : 0;
    }
  }
  EXPECT_GT(known, 500);
  EXPECT_GT(found, known);
}

// Of the bytes of "ab1 .".
std::string random_value(std::mt19937& random) {
  std::string out;
  for (std::size_t n = random() % 5; n > 0; --n) out += "ab1 ."[random() % 5];
  return out;
}

TEST(LineAutomaton, IgnoresOnlyValuesThatMakeNoDifference) {
  ByteBits bytes{};
  for (const char c : std::string_view("ab1 .")) {
    const auto byte = static_cast<unsigned char>(c);
    bytes[byte / 64] |= std::uint64_t{1} << (byte % 64);
  }
  std::mt19937 random(7);
  int ignored = 0, begun_anew = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string pattern = random_pattern(random);
    const re2::RE2 regex("(" + pattern + ")", re2::RE2::Quiet);
    const auto automaton = LineAutomaton::of_regex(pattern, Purpose::kWindow);
    if (!regex.ok() || automaton == nullptr) continue;
    const std::string before = random_text(random), then = random_text(random);
    LineAutomaton::Run run(*automaton);
    bool anew = false;
    const auto state = run.feed(LineAutomaton::Run::kStart, before, anew);
    if (run.matched(state) || !run.ignores(state, bytes, then, false)) continue;
    ++ignored;
    const bool from_then_on = run.ignores(state, bytes, then, true);
    begun_anew += from_then_on ? 1 : 0;
    for (int k = 0; k < 8; ++k) {
      const std::string value = random_value(random), rest = then + random_text(random);
      std::string whole, part;
      const bool expected = re2::RE2::PartialMatch(before + value + rest, regex, &whole);
      EXPECT_EQ(re2::RE2::PartialMatch(before + rest, regex), expected)
          << pattern << " in " << before << "<" << value << ">" << rest;
      if (!from_then_on || pattern.starts_with("^")) continue;
      EXPECT_EQ(re2::RE2::PartialMatch(rest, regex, &part), expected) << pattern << " in " << rest;
      EXPECT_EQ(part, whole) << pattern << " in " << before << "<" << value << ">" << rest;
    }
  }
  EXPECT_GT(ignored, 100);
  EXPECT_GT(begun_anew, 50);
}

TEST(LineAutomaton, IsNotMadeOfWhatItDoesNotKnow) {
  for (const char* pattern : {"a$", "\\bx", "a*", "", "(?m)a", "[\u00e9]", "(?i)\u00e9", "(?i)[k]",
                              "(?i)\\w", "\\pL", "\\x61", "\\Qa\\E", "^a|b", "a{1000}", "x^"})
    EXPECT_EQ(LineAutomaton::of_regex(pattern, Purpose::kMatch), nullptr) << pattern;
}

TEST(LineAutomaton, WindowOfARegexIsTheRunOfPiecesAroundTheMatch) {
  const auto automaton =
      LineAutomaton::of_regex("\"event\": ?\"(?P<event>[a-z_]+)\"", Purpose::kWindow);
  ASSERT_NE(automaton, nullptr);
  EXPECT_EQ(
      window_of(*automaton, {"{\"a\": ", "1.5", ", \"event\": \"", "query", "\", \"b\": ", "7"}),
      ", \"event\": \"query\", \"b\": ");
  EXPECT_EQ(window_of(*automaton, {"{\"a\": ", "1.5", ", \"event\": \"", "QUERY", "\"}"}), "");
}

TEST(LineAutomaton, OfAPatternKnowsWhichLinesThatDoNotFitAreStillReadInPart) {
  const auto begun = [](std::string_view text, std::string_view line) {
    const auto pattern = logql::Pattern::for_parser(text);
    const auto automaton = LineAutomaton::of_pattern(*pattern);
    EXPECT_NE(automaton, nullptr);
    LineAutomaton::Run run(*automaton);
    bool anew = false;
    const auto state = run.feed(LineAutomaton::Run::kStart, line, anew);
    return std::string(run.matched(state) ? "whole" : run.begun(state) ? "begun" : "none");
  };
  EXPECT_EQ(begun("<_>ab<x>cd<_>", "..ab..cd.."), "whole");
  EXPECT_EQ(begun("<_>ab<x>cd<_>", "..ab..c"), "begun");
  EXPECT_EQ(begun("<_>ab<x>cd<_>", "..a.cd"), "none");
  // The rest of the line is a value.
  EXPECT_EQ(LineAutomaton::of_pattern(*logql::Pattern::for_parser("<_>ab<x>")), nullptr);
}

}  // namespace
}  // namespace skald::query::plan
