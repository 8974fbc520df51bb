#pragma once
// Limits of compaction, with the reason.

#include <cstddef>
#include <cstdint>

namespace skald::store::compact {

// Raw bytes of lines in one merged part: bounds how long a merge takes and the space it needs
// beside its inputs.
inline constexpr std::uint64_t kMergedBytesMax = 1ULL << 30;
// A merge holds the raw lines of a group, their rows, a copy of the values and the columns in work:
// measured, 4.4 times the raw bytes of the group. So its size is the memory allowed over this.
inline constexpr std::uint64_t kMemoryPerGroupByte = 5;
inline constexpr std::uint64_t kGroupBytesMin = 1U << 20;
inline constexpr std::size_t kGroupRowsMax = 1U << 19;
// A merge takes an older part only if it is at most this many times as large as the newer ones
// together: so a row is rewritten O(log n) times.
inline constexpr std::uint64_t kSizeRatioMax = 4;
// In the background a merge waits until it is worth it.
inline constexpr std::size_t kPartsMinBackground = 8;
// Equal entries are recognised among this many newest rows of a merge (8 bytes each, twice).
inline constexpr std::size_t kRecentRows = 512U << 10;

}  // namespace skald::store::compact
