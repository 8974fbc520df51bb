#pragma once
// Limits of the store as a whole, with the reason. Each room below has its own.

#include <cstdint>

namespace skald::store {

// How often the background threads look up, unless woken.
inline constexpr std::int64_t kSealPollMs = 20;
inline constexpr std::int64_t kMaintenancePollMs = 2'000;
// Time between two retention passes.
inline constexpr std::int64_t kRetentionEveryNs = 60LL * 1'000'000'000;
// The background merges only while less than this comes in between two looks (about 1 MB/s), or
// when so many parts wait that scans would suffer.
inline constexpr std::uint64_t kQuietBytes = 2U << 20;
inline constexpr std::size_t kPartsWaitingMax = 512;
// As in Loki: so long a delete request can be cancelled before the background applies it to files.
inline constexpr std::int64_t kDeleteCancelNs = 24LL * 3600 * 1'000'000'000;
// A file of the data directory that is read whole (not a part, not a segment).
inline constexpr std::uint64_t kSmallFileBytesMax = 1U << 20;
// Findings of recovery and of check() that are kept.
inline constexpr std::size_t kFindingsMax = 1'000;

}  // namespace skald::store
