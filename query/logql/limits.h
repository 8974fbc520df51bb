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
// Bytes of one regular expression; RE2 has a memory budget on top of this.
constexpr std::size_t kRegexBytesMax = 64U << 10;
// Memory of one compiled expression (program and caches).
constexpr std::int64_t kRegexMemoryMax = 8LL << 20;
// Programs of all expressions of one query together. They are compiled up to four times (parser,
// selector, stages, plan), and each run needs a cache besides.
constexpr std::int64_t kRegexProgramsMax = 8LL << 20;
// Levels of an expression as in `json a="b.c[0]"`.
constexpr std::size_t kJsonPathMax = 128;

}  // namespace skald::query::logql
