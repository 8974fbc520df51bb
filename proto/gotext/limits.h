#pragma once
// Bounds of this room. Templates come from queries, rule files and agent configuration.

#include <cstddef>
#include <cstdint>

namespace skald::gotext {

// Text of one template. LogQL's own cap on a query is 128 KiB.
constexpr std::size_t kTemplateTextMax = 256U << 10;
// Nested parentheses and control structures together: the parser and the executor recurse once per
// level, and worker threads may have small stacks.
constexpr int kTemplateNestingMax = 500;
// {{template}} calls under way. Each level holds a few executor frames.
constexpr int kTemplateDepthMax = 500;
// One execution's output: a log line is at most a few MiB; `repeat` and `indent` must not go on.
constexpr std::size_t kTemplateOutputMax = 8U << 20;
// Any single string a function builds.
constexpr std::size_t kFunctionOutputMax = 4U << 20;
// Nodes of one template's tree (some 400 bytes each): the largest real ones have a few hundred.
constexpr std::size_t kTemplateNodesMax = 20'000;
// What the functions of one execution make, together: many passes over the longest line.
constexpr std::uint64_t kTemplateMemoryMax = 24U << 20;
// Nodes evaluated per execution: seconds of work at the very worst. A string that a function made
// counts as one per so many bytes.
constexpr std::uint64_t kTemplateStepsMax = 10'000'000;
constexpr std::size_t kBytesPerStep = 16;
// Steps between two looks at whether to go on: some 50 microseconds. Bytes that a function reads or
// makes count as for kTemplateStepsMax.
constexpr std::uint64_t kStepsPerCheck = 1024;
// Small values' memory is asked for together.
constexpr std::uint64_t kMemoryPerAsk = 16U << 10;
// Width and precision in printf; Go's own limit.
constexpr int kFormatWidthMax = 1'000'000;
// Compiled regular expressions kept for functions such as regexReplaceAll, per process: as many as
// templates have, not as many as lines bring (a pattern may be made of the line).
constexpr std::size_t kRegexCacheMax = 40;
// Memory of one compiled expression: a few milliseconds of compiling.
constexpr std::int64_t kRegexMemoryMax = 1LL << 20;
// Bytes of one expression, as in a query.
constexpr std::size_t kRegexTextMax = 64U << 10;
// One search at its worst visits every instruction of the program at every byte, and carries the
// groups along: some 0.7 ns for each, and nothing interrupts it.
constexpr std::uint64_t kRegexVisitsMax = 128'000'000;
constexpr std::uint64_t kRegexVisitsPerStep = 64;
// Digits of an exact decimal number, in bits: chains of divf add to them with each operand.
constexpr int kDecimalBitsMax = 1 << 16;
// JSON nesting for fromJson; encoding/json's own limit is 10000.
constexpr int kJsonDepthMax = 500;
// Entries of a zone file's tables; the largest real zone has 250 transitions.
constexpr std::size_t kZoneFileMax = 1U << 20;

}  // namespace skald::gotext
