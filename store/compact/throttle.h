#pragma once
// Holds merges back to a rate of I/O, so that they leave the disk to ingest and queries.
//
// Threads: one merge at a time; the totals may be read from anywhere.

#include <atomic>
#include <cstdint>

namespace skald::store::compact {

struct ThrottleTotals {
  std::atomic<std::uint64_t> bytes{0};    // read and written by merges, throttled or not
  std::atomic<std::uint64_t> wait_ns{0};  // that they were held back for
};

class Throttle {
 public:
  // 0 bytes per second: counts, never waits. `stopping` ends a wait early; may be null.
  Throttle(std::uint64_t bytes_per_second, ThrottleTotals& totals,
           const std::atomic<bool>* stopping)
      : rate_(bytes_per_second), totals_(totals), stopping_(stopping) {}

  // Accounts for I/O that was done, and waits until the rate allows for more. A second's worth may
  // come in one burst.
  void spent(std::uint64_t bytes);

 private:
  const std::uint64_t rate_;
  ThrottleTotals& totals_;
  const std::atomic<bool>* stopping_;
  std::int64_t free_at_ns_ = 0;  // monotonic: when all that was spent is paid for
};

}  // namespace skald::store::compact
