#include "proto/base/clock.h"

#include <ctime>

namespace skald::base {
namespace {

std::int64_t read(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return static_cast<std::int64_t>(ts.tv_sec) * kNsPerSecond + ts.tv_nsec;
}

class SystemClock final : public Clock {
 public:
  std::int64_t wall_ns() const override { return read(CLOCK_REALTIME); }
  std::int64_t monotonic_ns() const override { return read(CLOCK_MONOTONIC); }
};

}  // namespace

const Clock& Clock::system() {
  static const SystemClock clock;
  return clock;
}

}  // namespace skald::base
