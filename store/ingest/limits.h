#pragma once
// Limits of ingest, with the reason.

#include <cstddef>
#include <cstdint>

namespace skald::store::ingest {

// Rows per head chunk: the unit in which scans of the head share work.
inline constexpr std::uint32_t kChunkRowsMax = 8192;
inline constexpr std::uint32_t kChunkRowsMin = 64;  // a tenant with three lines costs 2 KB
// What a row costs beside its line: its place in the chunk, the record's framing, index and hash.
inline constexpr std::size_t kRowOverheadBytes = 64;
// Duplicates are recognised among at least this many newest entries (and up to twice as many).
inline constexpr std::size_t kRecentEntries = 256U << 10;
// Of these, the newest survive a restart through the checkpoint (8 bytes each).
inline constexpr std::size_t kRecentKept = 64U << 10;
// One group commit: bounds the time the first of a group waits.
inline constexpr std::size_t kGroupBytesMax = 32U << 20;
// Raw bytes per row group at a seal (part_writer.h says 16-32 MB).
inline constexpr std::size_t kSealGroupBytes = 32U << 20;
inline constexpr std::size_t kSealGroupRows = 1U << 19;
// Free space is asked at most this often; between, pushes add little.
inline constexpr std::int64_t kSpaceCheckNs = 200'000'000;
// A seal that failed (disk full, I/O) is tried again after this time.
inline constexpr std::int64_t kSealRetryNs = 1'000'000'000;

}  // namespace skald::store::ingest
