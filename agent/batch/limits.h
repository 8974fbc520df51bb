#pragma once
// The bounds of batching, each with its reason.

#include <cstddef>
#include <cstdint>

namespace skald::agent {

// Entries of a batch lie in blocks of this size, by stream. Small, so that a batch of many quiet
// streams does not take much more memory than it has bytes.
constexpr std::size_t kBlockBytes = 4U << 10;
// All open batches of a client together; beyond, the largest is sent early. Twice the default
// batch, and a fifth of the agent's memory budget.
constexpr std::size_t kOpenBytesMax = 2U << 20;
// Files in one batch: the store refuses more marks in a request.
constexpr std::size_t kBatchFilesMax = 4'000;
// Streams in one batch, as a hostile pipeline might make one per line.
constexpr std::size_t kBatchStreamsMax = 10'000;
// Entries in one batch: of short lines, whose notes would outgrow their text (LineBlock).
constexpr std::size_t kBatchEntriesMax = 100'000;
// zstd's parameters, chosen by a search over structlog JSON in 1 MB batches with two wishes: 8
// bytes in for one out, and speed. Lines come as blocks without their times
// (proto/wire/line_block.h), so a search by two small tables (of 7 and of 8 bytes) reaches 8.3 at
// over 500 MB/s; the greedy one reaches 9 at 200. It takes 0.4 MB, beside the window of half a
// batch: twice that gains 1 %.
constexpr int kZstdWindowLog = 19;
constexpr int kZstdLongHashLog = 15;
constexpr int kZstdShortHashLog = 14;
constexpr int kZstdMinMatch = 7;

}  // namespace skald::agent
