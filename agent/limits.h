#pragma once
// The agent's own periods and bounds, each with its reason.

#include <cstddef>
#include <cstdint>
#include <limits>

#include "proto/base/clock.h"

namespace skald::agent {

// A round of reading ends here, so that events, acknowledgements and flushes get their turn.
constexpr std::int64_t kReadRoundNs = 50 * base::kNsPerMs;
// After an event and before reading: a chatty writer's events become one round. Latency stays
// under a tenth of the shortest usual batchwait.
constexpr std::int64_t kEventNapNs = 10 * base::kNsPerMs;
constexpr std::int64_t kWantedScanNs = 200 * base::kNsPerMs;  // between scans that events ask for
// Between scans while every directory is watched and no event came: a safety net only.
constexpr std::int64_t kQuietScanNs = 60 * base::kNsPerSecond;
constexpr std::int64_t kSyncPeriodMinNs = 100 * base::kNsPerMs;
constexpr std::int64_t kPollPeriodMinNs = 50 * base::kNsPerMs;
constexpr std::int64_t kCollectPeriodNs = 300 * base::kNsPerSecond;  // unused label sets
// Positions of files that are gone are kept this long: a volume may come back.
constexpr std::int64_t kForgetFilesNs = 24 * 3600 * base::kNsPerSecond;
// And this many, the last seen ones: they are written again with every change of the positions.
constexpr std::size_t kGoneFilesMax = 1'000;
// At a clean stop, an unterminated last line this old is sent as it is.
constexpr std::int64_t kShutdownPartialNs = 5 * base::kNsPerSecond;
// Source numbers of lines that come from no file: this plus the job's index.
constexpr std::uint64_t kPushedSources = std::uint64_t{1} << 62;
constexpr std::int64_t kForeverNs = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kPushWaitNs = 5 * base::kNsPerMs;  // between looks for room
// A client that takes nothing holds up received lines of the others this long, once.
constexpr std::int64_t kStalledLaneWaitNs = base::kNsPerSecond;
// Between saves of how far a journal or an archive was delivered.
constexpr std::int64_t kCursorPeriodNs = base::kNsPerSecond;
// Cursors that wait for their entries' delivery: one per this many entries.
constexpr std::uint64_t kCursorEntries = 64;
// Compressed archives: looked for this often, decoded in pieces of this size, known by this many
// first bytes, and forgotten once they are gone for that long.
constexpr std::int64_t kArchiveScanNs = 10 * base::kNsPerSecond;
constexpr std::size_t kArchivePieceBytes = 32U << 10;
constexpr std::size_t kArchiveHeadBytes = 64;
constexpr std::int64_t kForgetArchivesNs = 3600 * base::kNsPerSecond;
constexpr std::uint64_t kConfigBytesMax = 16U << 20;

}  // namespace skald::agent
