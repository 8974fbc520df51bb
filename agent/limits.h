#pragma once
// The agent's own periods and bounds, each with its reason.

#include <cstddef>
#include <cstdint>

#include "proto/base/clock.h"

namespace skald::agent {

// A round of reading ends here, so that events, acknowledgements and flushes get their turn.
constexpr std::int64_t kReadRoundNs = 50 * base::kNsPerMs;
// After an event and before reading: a chatty writer's events become one round. Latency stays
// under a tenth of the shortest usual batchwait.
constexpr std::int64_t kEventNapNs = 10 * base::kNsPerMs;
constexpr std::int64_t kWantedScanNs = 200 * base::kNsPerMs;  // between scans that events ask for
constexpr std::int64_t kSyncPeriodMinNs = 100 * base::kNsPerMs;
constexpr std::int64_t kPollPeriodMinNs = 50 * base::kNsPerMs;
constexpr std::int64_t kCollectPeriodNs = 300 * base::kNsPerSecond;  // unused label sets
// Positions of files that are gone are kept this long: a volume may come back.
constexpr std::int64_t kForgetFilesNs = 24 * 3600 * base::kNsPerSecond;
constexpr std::int64_t kSeenRoundNs = 60 * base::kNsPerSecond;
// At a clean stop, an unterminated last line this old is sent as it is.
constexpr std::int64_t kShutdownPartialNs = 5 * base::kNsPerSecond;
// Source numbers of lines that come from no file: this plus the job's index.
constexpr std::uint64_t kPushedSources = std::uint64_t{1} << 62;
constexpr std::int64_t kPushWaitNs = 5 * base::kNsPerMs;  // between looks for room
constexpr std::uint64_t kConfigBytesMax = 16U << 20;

}  // namespace skald::agent
