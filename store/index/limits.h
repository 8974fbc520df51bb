#pragma once
// Limits of the index file, with the reason.

#include <cstddef>
#include <cstdint>

namespace skald::store::index {

// Address space, not memory or disk: 10 million streams need about 2 GB.
inline constexpr std::size_t kMapBytes = 16ULL << 30;
// LMDB's own limit; tenant names and part names stay far below.
inline constexpr std::size_t kKeyBytesMax = 511;
// Deeper than LMDB's cursors go, a tree is damaged.
inline constexpr int kDepthMax = 32;
inline constexpr std::uint64_t kLabelPairsMax = 1U << 12;

}  // namespace skald::store::index
