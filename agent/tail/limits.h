#pragma once
// The bounds of the tailer, each with its reason.

#include <cstddef>
#include <cstdint>

#include "proto/base/clock.h"

namespace skald::agent {

// One read: large enough to run at memory speed, small enough to stay in the L2 cache.
constexpr std::size_t kReadBytes = 128U << 10;
// Longest line kept whole; a longer one is cut there and the rest of it skipped. Two of our
// users' 1 MB lines, and a fifth of the memory budget.
constexpr std::size_t kLineBytesMax = 2U << 20;
// What one file may hand on before the next one has its turn.
constexpr std::size_t kTurnBytes = 1U << 20;

// First bytes of a file that name it, besides device and inode.
constexpr std::size_t kHeadBytes = 256;
// Last bytes before the offset; compared at every read, so that a file that was truncated and has
// grown past the offset again is noticed.
constexpr std::size_t kTailBytes = 64;

// Files kept open although they are quiet: reopening costs a system call, an open one a descriptor.
constexpr std::size_t kOpenFilesMax = 256;
constexpr std::int64_t kIdleCloseNs = 30 * base::kNsPerSecond;

// A file that lost its name may still be written to by a process that has it open (a logger that
// waits for its SIGHUP); it is looked at this often and for this long after its last change.
constexpr std::int64_t kRotatedPollNs = 250 * base::kNsPerMs;
constexpr std::int64_t kRotatedGraceNs = 60 * base::kNsPerSecond;
// The clock that stamps files ticks in steps of up to 10 ms (CONFIG_HZ=100) and lags that much.
constexpr std::int64_t kFileTimeSlackNs = 10 * base::kNsPerMs;
// An unterminated last line of a rotated file is sent as it is after this much silence.
constexpr std::int64_t kPartialFlushNs = 2 * base::kNsPerSecond;

// A file in the disk queue that no target asks for is dropped: as long as positions are kept.
constexpr std::int64_t kSpillForgetNs = 24 * 3600 * base::kNsPerSecond;

// Bytes of events read from the kernel at once.
constexpr std::size_t kWatchEventBytes = 16U << 10;
// Watched directories: a wild pattern must not eat all of fs.inotify.max_user_watches.
constexpr std::size_t kWatchedDirectoriesMax = 16'384;
// Files of one agent. Beyond: not tailed, counted, one warning.
constexpr std::size_t kFilesMax = 100'000;

}  // namespace skald::agent
