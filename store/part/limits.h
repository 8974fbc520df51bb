#pragma once
// Every limit of the part format and its code, with the reason. Readers refuse what is beyond.

#include <cstdint>

namespace skald::store::part {

// A push is capped far below; a line must fit a row group and 32-bit offsets.
inline constexpr std::uint64_t kLineBytesMax = 64U << 20;
// Ties are ranked with 20 bits inside a group.
inline constexpr unsigned kRankBits = 20;
inline constexpr std::uint32_t kRowGroupRowsMax = 1U << kRankBits;
// Bounds the memory of a merge: 32-bit offsets and two copies in flight.
inline constexpr std::uint64_t kRowGroupBytesMax = 512U << 20;
// Ranks carry the group's number in 12 bits.
inline constexpr std::uint32_t kRowGroupsMax = 4096;
inline constexpr std::uint32_t kStreamsMax = 1U << 22;

// A line with more scalar values, or nested deeper, is kept as text: it would make a shape of its
// own with columns nobody asks for.
inline constexpr std::uint32_t kShapeFieldsMax = 256;
inline constexpr std::uint32_t kJsonDepthMax = 64;
// Shapes per row group; the rest, and shapes of fewer rows than kShapeRowsMin, are text.
inline constexpr std::uint32_t kShapesMax = 256;

// Decoded size of one page: what a hostile length can make us allocate at once.
inline constexpr std::uint64_t kPageBytesMax = 1U << 30;
inline constexpr std::uint64_t kFooterBytesMax = 256U << 20;

}  // namespace skald::store::part
