#pragma once
// Every limit of the write-ahead log, with the reason. Readers refuse what is beyond.

#include <cstddef>
#include <cstdint>

namespace skald::store::wal {

// One push batch. Bodies are capped far below by the server; this bounds what a damaged length can
// make recovery skip, and keeps offsets in 32 bits.
inline constexpr std::uint32_t kPayloadBytesMax = 512U << 20;
// A segment is read whole at recovery.
inline constexpr std::uint64_t kSegmentBytesMax = 64ULL << 20;
// What a reader accepts: a segment plus one record of the largest size.
inline constexpr std::uint64_t kSegmentFileBytesMax = kSegmentBytesMax + kPayloadBytesMax + 4096;
// Small records of one group are joined up to this size before they are written.
inline constexpr std::uint32_t kJoinBytesMax = 64U << 10;
// A packed body that unpacks to less is not worth keeping apart from its lines.
inline constexpr std::size_t kPackedBodyMin = 4U << 10;
// A batch names at most this many streams, marks, and metadata pairs per entry: decoded counts are
// believed only up to here.
inline constexpr std::uint32_t kBatchStreamsMax = 4U << 20;
inline constexpr std::uint32_t kBatchMarksMax = 1U << 16;
inline constexpr std::uint32_t kLabelPairsMax = 1U << 12;

}  // namespace skald::store::wal
