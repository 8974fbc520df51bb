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
// zstd: as fast as the ratio we promise (8 to 1 on structlog JSON) allows. The window spans half
// a default batch, which keeps the compressor under 2 MB.
constexpr int kZstdLevel = 3;
constexpr int kZstdWindowLog = 19;

}  // namespace skald::agent
