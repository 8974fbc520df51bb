#pragma once
// Bounds of the row engine. Lines come from anybody.

#include <cstddef>
#include <cstdint>

namespace skald::query {

// Nested objects that `| json` enters; each level recurses once. Deeper ones count as malformed.
constexpr int kJsonDepthMax = 256;
// Output of one line_format or label_format template.
constexpr std::size_t kFormatOutputMax = 4U << 20;
// Processor time of a query's stages for each row and byte of its line: several times what long
// pipelines take. What is beyond is added up over the query, up to kOvertimeMaxNs: stages that
// take so much of few lines were written to. Of one look at the clock only a part counts.
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr std::int64_t kSlowdown = 1;
#else
constexpr std::int64_t kSlowdown = 5;  // of programs made for tests
#endif
constexpr std::int64_t kRowCpuNs = kSlowdown * 50'000;
constexpr std::int64_t kByteCpuNs = kSlowdown * 100;
constexpr std::int64_t kOvertimeMaxNs = kSlowdown * 400'000'000;
constexpr std::int64_t kOvertimePerLookNs = kOvertimeMaxNs / 4;
// Label names whose clean form a parser remembers (Loki's MaxInternedStrings).
constexpr std::size_t kInternedKeysMax = 1024;
// Evaluation points of one range query: Loki's and Prometheus' 11,000.
constexpr std::int64_t kStepsMax = 11'000;
// A range and its offset together: 73 years, so that times do not overflow.
constexpr std::int64_t kReachMaxNs = std::int64_t{1} << 61;
// Lines rebuilt from columns at once, per worker: a few megabytes of usual lines.
constexpr std::size_t kBatchRows = 8192;
constexpr std::uint64_t kBatchBytes = 4U << 20;
// The first rows of a block, whose lines may have any size.
constexpr std::size_t kFirstBatchRows = 256;
// Entries of a large log answer that are made again at once (EngineOptions::piece_bytes) are so
// many times more where they lie in so many blocks that there are fewer than kRowsPerVisit of each.
constexpr std::uint64_t kSparsePieces = 8;
constexpr std::size_t kRowsPerVisit = 256;
// Rows between two looks at deadline, cancellation, memory and processor time, at most. After so
// much time there is a look at every row.
constexpr std::uint32_t kRowsPerCheck = 64;
constexpr std::int64_t kSlowCheckNs = 1'000'000;
// Beyond this many distinct sets of structured metadata in a block, rows have theirs to themselves.
constexpr std::size_t kMetadataSetsMax = 4096;
// A query's share of the memory of all grows by so much more than it needs.
constexpr std::uint64_t kShareStepBytes = 256U << 10;
// Queries that hold no more may have the last eighth of that memory, too, and at least this of it.
constexpr std::uint64_t kSmallShareBytes = 4U << 20;
// Range aggregations that one scan feeds: they divide the memory of one query.
constexpr std::size_t kRangesPerScanMax = 32;

}  // namespace skald::query
