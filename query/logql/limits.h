#pragma once
// What a query text may be. Beyond: kInvalidArgument, before any memory is spent on it.

#include <cstddef>
#include <cstdint>

namespace skald::query::logql {

// Loki's own cap on the text ("input size too long").
constexpr std::size_t kQueryBytesMax = 128U << 10;
// Parentheses, functions and right-hand operands that may be open at once: bounds the recursion of
// the parser and of everything that walks the tree (about 0.5 KB of stack per level).
constexpr std::size_t kNestingMax = 250;
// Operands of one chain (`a or b or c`, `x + y + z`): such trees lean left, so walking them
// recurses once per operand.
constexpr std::size_t kChainMax = 2'000;
// Stages (line filters apart) and names in the lists of stages, groupings and matchings, of one
// query together: each costs something for every line or series.
constexpr std::size_t kItemsMax = 1'000;
// Range aggregations of one query: each keeps its own samples, and a scan feeds but a few.
constexpr std::size_t kRangesMax = 500;
// Bytes of one regular expression; RE2 has a memory budget on top of this.
constexpr std::size_t kRegexBytesMax = 64U << 10;
// Memory of one compiled expression (program and caches).
constexpr std::int64_t kRegexMemoryMax = 8LL << 20;
// Programs of all expressions of one query together. They are compiled up to four times (parser,
// selector, stages, plan), and each run needs a cache besides.
constexpr std::int64_t kRegexProgramsMax = 4LL << 20;
// Expressions of one query that do not compile and are still looked at.
constexpr std::int64_t kRefusedRegexesMax = 8;
// Expressions and patterns of one query: each is run on every line that reaches it.
constexpr std::size_t kTestsMax = 500;
// Groups of a `| regexp` or label_replace: where each begins and ends is carried along at every
// character.
constexpr int kRegexGroupsMax = 100;
// Levels of an expression as in `json a="b.c[0]"`.
constexpr std::size_t kJsonPathMax = 128;

}  // namespace skald::query::logql
