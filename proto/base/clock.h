#pragma once
// Time as a constructor argument, so that tests and simulations own it.

#include <cstdint>

namespace skald::base {

constexpr std::int64_t kNsPerUs = 1'000;
constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t wall_ns() const = 0;       // Unix time in nanoseconds; may jump
  virtual std::int64_t monotonic_ns() const = 0;  // never goes back; for ages and deadlines

  static const Clock& system();  // the machine's own; lives as long as the process
};

// A clock that moves only when told. Not synchronised: one thread moves it.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t wall_ns = 0) : wall_ns_(wall_ns) {}
  std::int64_t wall_ns() const override { return wall_ns_; }
  std::int64_t monotonic_ns() const override { return monotonic_ns_; }
  void advance_ns(std::int64_t delta_ns) {
    wall_ns_ += delta_ns;
    monotonic_ns_ += delta_ns;
  }
  void set_wall_ns(std::int64_t wall_ns) { wall_ns_ = wall_ns; }

 private:
  std::int64_t wall_ns_;
  std::int64_t monotonic_ns_ = 0;
};

}  // namespace skald::base
