#pragma once
// Limits of the store as a whole, with the reason. Each room below has its own.

#include <cstdint>

namespace skald::store {

// How often the background threads look up, unless woken.
inline constexpr std::int64_t kSealPollMs = 100;
inline constexpr std::int64_t kMaintenancePollMs = 2'000;
// Time between two retention passes.
inline constexpr std::int64_t kRetentionEveryNs = 60LL * 1'000'000'000;
// A file of the data directory that is read whole (not a part, not a segment).
inline constexpr std::uint64_t kSmallFileBytesMax = 1U << 20;
// Findings of recovery and of check() that are kept.
inline constexpr std::size_t kFindingsMax = 1'000;

}  // namespace skald::store
