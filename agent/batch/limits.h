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
// zstd's parameters, chosen by a search over structlog JSON in 1 MB batches with two wishes: 8
// bytes in for one out, at more than 200 MB/s. The fast levels stop at 7.7 to 1; this greedy search
// with a small table reaches 8.1 and takes 0.9 MB of memory, beside the window
// (half a batch: twice that gains 0.5 %).
constexpr int kZstdWindowLog = 19;
constexpr int kZstdHashLog = 16;
constexpr int kZstdSearchLog = 4;
constexpr int kZstdMinMatch = 6;

}  // namespace skald::agent
