#pragma once
// A token bucket as golang.org/x/time/rate has it: starts full, refills at `rate` per second up to
// `burst`. The clock is the caller's; it may jump back (then nothing refills).

#include <algorithm>
#include <cstdint>

namespace skald::agent {

class TokenBucket {
 public:
  TokenBucket(double rate_per_second, double burst)
      : rate_(rate_per_second), burst_(burst), tokens_(burst) {}

  // Takes one token if there is one.
  bool allow(std::int64_t now_ns) {
    refill(now_ns);
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  // Takes one token, on credit if need be. Returns the time at which the credit is paid back; not
  // after `now_ns` if there was a token.
  std::int64_t reserve(std::int64_t now_ns) {
    refill(now_ns);
    tokens_ -= 1;
    if (tokens_ >= 0) return now_ns;
    return now_ns + static_cast<std::int64_t>(-tokens_ / rate_ * 1e9);
  }

 private:
  void refill(std::int64_t now_ns) {
    if (last_ns_ != 0 && now_ns > last_ns_) {
      tokens_ = std::min(burst_, tokens_ + rate_ * 1e-9 * static_cast<double>(now_ns - last_ns_));
    }
    last_ns_ = now_ns;
  }
  double rate_;
  double burst_;
  double tokens_;
  std::int64_t last_ns_ = 0;
};

}  // namespace skald::agent
