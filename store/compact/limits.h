#pragma once
// Limits of compaction, with the reason.

#include <cstddef>
#include <cstdint>

namespace skald::store::compact {

// Raw bytes of lines in one merged part: bounds how long a merge takes and the space it needs
// beside its inputs.
inline constexpr std::uint64_t kMergedBytesMax = 1ULL << 30;
// Raw bytes of a row group. In the background memory comes first; when asked for (POST /flush,
// skaldctl), size does.
inline constexpr std::uint64_t kGroupBytesBackground = 32U << 20;
inline constexpr std::uint64_t kGroupBytesForeground = 64U << 20;
inline constexpr std::size_t kGroupRowsMax = 1U << 19;
// A merge takes an older part only if it is at most this many times as large as the newer ones
// together: so a row is rewritten O(log n) times.
inline constexpr std::uint64_t kSizeRatioMax = 4;
// In the background a merge waits until it is worth it.
inline constexpr std::size_t kPartsMinBackground = 8;
// Equal entries are recognised among this many newest rows of a merge (8 bytes each, twice).
inline constexpr std::size_t kRecentRows = 512U << 10;

}  // namespace skald::store::compact
