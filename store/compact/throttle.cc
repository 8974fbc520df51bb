#include "store/compact/throttle.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "proto/base/clock.h"

namespace skald::store::compact {
namespace {

constexpr std::int64_t kBurstNs = base::kNsPerSecond;
constexpr std::int64_t kNapNs = 20'000'000;  // how long a shutdown may have to wait

}  // namespace

void Throttle::spent(std::uint64_t bytes) {
  totals_.bytes += bytes;
  if (rate_ == 0) return;
  const base::Clock& clock = base::Clock::system();
  const std::int64_t start_ns = clock.monotonic_ns();
  free_at_ns_ = std::max(free_at_ns_, start_ns) +
                static_cast<std::int64_t>(static_cast<double>(bytes) / static_cast<double>(rate_) *
                                          static_cast<double>(base::kNsPerSecond));
  std::int64_t now_ns = start_ns;
  while (free_at_ns_ - now_ns > kBurstNs && (stopping_ == nullptr || !stopping_->load())) {
    std::this_thread::sleep_for(
        std::chrono::nanoseconds(std::min(kNapNs, free_at_ns_ - now_ns - kBurstNs)));
    now_ns = clock.monotonic_ns();
  }
  totals_.wait_ns += static_cast<std::uint64_t>(now_ns - start_ns);
}

}  // namespace skald::store::compact
