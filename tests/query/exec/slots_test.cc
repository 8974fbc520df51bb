#include <gtest/gtest.h>

#include <random>

#include "query/exec/range_state.h"

namespace skald::query {
namespace {

bool same(const Windows::Span& a, const Windows::Span& b) {
  return (a.empty() && b.empty()) || (a.first == b.first && a.last == b.last);
}

// The naive slot: walk outwards until the windows change.
TEST(Windows, SlotIsTheLargestRangeOfTimesWithTheSameWindows) {
  std::mt19937 random(5);
  const auto below = [&](unsigned n) { return static_cast<std::int64_t>(random() % n); };
  for (int round = 0; round < 2000; ++round) {
    Windows windows;
    windows.steps = {below(100), 1 + below(12), static_cast<std::uint32_t>(1 + below(6))};
    windows.range_ns = 1 + below(30);
    windows.offset_ns = below(9) - 4;
    const std::int64_t t = below(200) - 50;
    const Windows::Slot slot = windows.slot_of(t);
    EXPECT_TRUE(same(slot.points, windows.points_of(t)));
    ASSERT_TRUE(slot.holds(t));
    for (std::int64_t other = t - 60; other <= t + 60; ++other) {
      if (slot.holds(other)) {
        ASSERT_TRUE(same(windows.points_of(other), slot.points))
            << round << " " << t << " " << other;
      }
    }
    // Neighbours outside have other windows: the slot is as large as it can be.
    if (slot.low_ns > t - 60 && !slot.points.empty()) {
      EXPECT_FALSE(same(windows.points_of(slot.low_ns - 1), slot.points));
    }
    if (slot.high_ns < t + 60 && !slot.points.empty()) {
      EXPECT_FALSE(same(windows.points_of(slot.high_ns + 1), slot.points));
    }
  }
}

}  // namespace
}  // namespace skald::query
