#include "query/exec/sliding_quantile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace skald::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class Counted final : public store::ScanMemory {
 public:
  bool take(std::uint64_t bytes) noexcept override {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }
  void give_back(std::uint64_t bytes) noexcept override { left_ += bytes; }
  explicit Counted(std::uint64_t left) : left_(left) {}
  std::uint64_t left() const { return left_; }

 private:
  std::uint64_t left_;
};
constexpr std::uint64_t kPlenty = std::uint64_t{1} << 40;

using Slots = std::vector<std::vector<double>>;

double of_slots(double q, const Slots& slots, std::size_t first, std::size_t end,
                store::ScanMemory& memory) {
  std::vector<std::span<const double>> runs;
  for (std::size_t i = first; i < end; ++i) runs.emplace_back(slots[i]);
  return quantile(q, runs, memory);
}

// Windows of `width` slots over all of them, against a quantile of each window's values.
void expect_like_each_window_alone(const Slots& slots, std::size_t width) {
  for (const double q : {-0.5, 0.0, 0.01, 0.5, 0.95, 0.999, 1.0, 1.5}) {
    Counted memory(kPlenty);
    std::vector<ValueBag> bags(slots.size());
    SlidingQuantile window(q, memory);
    for (std::size_t i = 0; i < slots.size(); ++i) {
      for (const double value : slots[i]) bags[i].add(value);
      window.enter(bags[i]);
      if (i >= width) window.leave();
      const std::size_t first = i >= width ? i - width + 1 : 0;
      const double want = of_slots(q, slots, first, i + 1, memory), got = window.value();
      if (std::isnan(want))
        ASSERT_TRUE(std::isnan(got)) << q << " window " << i;
      else
        ASSERT_EQ(got, want) << q << " window " << i;
    }
    EXPECT_EQ(memory.left(), kPlenty);
  }
}

TEST(SlidingQuantile, EqualsEachWindowAlone) {
  std::mt19937_64 random(11);
  std::lognormal_distribution<double> latency(3, 1);
  for (const std::size_t size : {1, 7, 300}) {
    for (const std::size_t width : {1, 2, 20, 90}) {
      Slots slots(100);
      for (auto& slot : slots)
        for (std::size_t n = random() % (2 * size); n > 0; --n) slot.push_back(latency(random));
      expect_like_each_window_alone(slots, width);
    }
  }
}

TEST(SlidingQuantile, EqualsEachWindowAloneWhenSlotsAreUnlikeEachOther) {
  std::mt19937_64 random(12);
  Slots rising(60), equal(60), mixed(60);
  for (std::size_t i = 0; i < rising.size(); ++i) {
    for (std::size_t n = 0; n < 150; ++n) {
      rising[i].push_back(static_cast<double>(i * 1000 + n));
      equal[i].push_back(static_cast<double>(random() % 3));
      mixed[i].push_back(i % 2 == 0 ? -1e300 : static_cast<double>(random() % 1'000'000));
    }
    if (i % 7 == 0) mixed[i].assign(i, kNan);
    if (i % 5 == 0) equal[i].push_back(std::numeric_limits<double>::infinity());
    if (i % 9 == 0) equal[i].push_back(-std::numeric_limits<double>::infinity());
  }
  for (const std::size_t width : {1, 3, 40}) {
    expect_like_each_window_alone(rising, width);
    expect_like_each_window_alone(equal, width);
    expect_like_each_window_alone(mixed, width);
  }
}

TEST(SlidingQuantile, SortsNothingWithoutMemoryForASecondCopy) {
  Counted memory(10 * sizeof(double));
  ValueBag bag;
  for (int i = 0; i < 11; ++i) bag.add(11 - i);
  EXPECT_TRUE(bag.sort(memory).empty());
  Counted enough(11 * sizeof(double));
  EXPECT_EQ(bag.sort(enough).front(), 1);
  EXPECT_EQ(enough.left(), 11 * sizeof(double));
}

}  // namespace
}  // namespace skald::query
