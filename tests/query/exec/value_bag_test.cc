#include "query/exec/value_bag.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace skald::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double of_sorted(double q, std::vector<double> values) {
  std::sort(values.begin(), values.end(),
            [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; });
  const double rank = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(std::floor(rank));
  const double weight = rank - std::floor(rank);
  return values[low] * (1 - weight) + values[std::min(low + 1, values.size() - 1)] * weight;
}

double of_bag(double q, const ValueBag& bag) {
  std::vector<std::span<const double>> runs;
  bag.append_runs(runs);
  class Endless final : public store::ScanMemory {
   public:
    bool take(std::uint64_t) noexcept override { return true; }
    void give_back(std::uint64_t) noexcept override {}
  } memory;
  return quantile(q, runs, memory);
}

void expect_like_sorting(const std::vector<double>& values) {
  ValueBag bag;
  for (const double value : values) bag.add(value);
  for (const double q : {0.0, 0.001, 0.25, 0.5, 0.95, 0.99999, 1.0}) {
    const double want = of_sorted(q, values), got = of_bag(q, bag);
    if (std::isnan(want))
      EXPECT_TRUE(std::isnan(got)) << q << " of " << values.size();
    else
      EXPECT_EQ(got, want) << q << " of " << values.size();
  }
}

TEST(Quantile, EqualsSortingWhateverTheSize) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(3, 1);
  for (const std::size_t size : {1, 2, 3, 100, 5'000, 70'000, 300'000}) {
    std::vector<double> values(size);
    for (double& value : values) value = latency(random);
    expect_like_sorting(values);
  }
}

TEST(Quantile, EqualsSortingWhenASampleMisleads) {
  std::vector<double> few_distinct(200'000), periodic(200'000), rising(200'000), odd(200'000);
  for (std::size_t i = 0; i < rising.size(); ++i) {
    few_distinct[i] = static_cast<double>(i % 3);
    periodic[i] = i % 48 == 24 ? 1e9 : static_cast<double>(i);  // the stride of the sample
    rising[i] = static_cast<double>(i);
    odd[i] = i % 5 == 0   ? kNan
             : i % 7 == 0 ? -std::numeric_limits<double>::infinity()
                          : static_cast<double>(i);
  }
  for (const auto& values : {few_distinct, periodic, rising, odd}) expect_like_sorting(values);
  expect_like_sorting(std::vector<double>(100'000, kNan));
}

TEST(Quantile, OutsideOfZeroToOneIsInfinite) {
  ValueBag bag;
  bag.add(5);
  EXPECT_EQ(of_bag(-0.1, bag), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(of_bag(1.1, bag), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(of_bag(0.5, ValueBag())));
}

TEST(ValueBag, MergesRunsOfEveryMaking) {
  ValueBag bag, other;
  for (int i = 0; i < 10; ++i) bag.add(i);
  const std::span<double> room = other.extend(10);
  for (int i = 0; i < 10; ++i) room[static_cast<std::size_t>(i)] = 10 + i;
  bag.merge(std::move(other));
  bag.add(20);
  EXPECT_EQ(of_bag(0, bag), 0);
  EXPECT_EQ(of_bag(0.5, bag), 10);
  EXPECT_EQ(of_bag(1, bag), 20);
}

}  // namespace
}  // namespace skald::query
