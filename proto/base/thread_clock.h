#pragma once
// Processor time of the calling thread: what work cost, however busy the machine was meanwhile.

#include <time.h>

#include <cstdint>

#include "proto/base/clock.h"

namespace skald::base {

// Only differences on one thread mean anything. Half a microsecond.
inline std::int64_t thread_cpu_ns() noexcept {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * kNsPerSecond + time.tv_nsec;
}

}  // namespace skald::base
