#include "query/exec/accumulators.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <vector>

namespace skald::query {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// The values in runs of random length, each with an accumulator, merged in random order.
template <typename Acc>
double in_any_order(std::vector<double> values, std::mt19937& random) {
  std::shuffle(values.begin(), values.end(), random);
  std::vector<Acc> parts(1);
  for (const double value : values) {
    if (random() % 9 == 0) parts.emplace_back();
    parts.back().add(0, value);
  }
  std::shuffle(parts.begin(), parts.end(), random);
  Acc all;
  for (const Acc& part : parts) all.merge(part);
  return all.value(false);
}

template <typename Acc>
double in_order(const std::vector<double>& values) {
  Acc out;
  for (const double value : values) out.add(0, value);
  return out.value(true);
}

template <typename Acc>
void expect_one_value(const std::vector<double>& values, std::mt19937& random) {
  const double first = in_any_order<Acc>(values, random);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(std::bit_cast<std::uint64_t>(in_any_order<Acc>(values, random)),
              std::bit_cast<std::uint64_t>(first));
  const double ordered = in_order<Acc>(values);
  EXPECT_NEAR(first, ordered, 1e-9 * std::abs(ordered));
}

TEST(Accumulators, SumsMeansAndVariancesDoNotDependOnTheOrder) {
  std::mt19937 random(7);
  std::lognormal_distribution<double> spread(0, 4);
  std::normal_distribution<double> near(1e6, 1);
  for (int round = 0; round < 20; ++round) {
    std::vector<double> values;
    values.reserve(500);
    for (int i = 0; i < 500; ++i)
      values.push_back(round % 2 == 0 ? spread(random) : std::round(near(random) * 1000) / 1000);
    expect_one_value<SumAcc>(values, random);
    expect_one_value<MeanAcc>(values, random);
    expect_one_value<VarianceAcc>(values, random);
  }
}

TEST(Accumulators, EqualValuesHaveNoVariance) {
  std::mt19937 random(7);
  for (const double value : {0.1, -17.3, 1e15 / 3, 2e-9, 1e200, 0.0})
    EXPECT_EQ(in_any_order<VarianceAcc>(std::vector<double>(1000, value), random), 0) << value;
}

TEST(Accumulators, InfinitiesAndNaNAreWhatTheyAreInOrder) {
  std::mt19937 random(7);
  EXPECT_EQ(in_any_order<SumAcc>({1, kInf, 2}, random), kInf);
  EXPECT_EQ(in_any_order<MeanAcc>({1, -kInf, 2}, random), -kInf);
  EXPECT_EQ(in_order<MeanAcc>({1, -kInf, 2}), -kInf);
  EXPECT_TRUE(std::isnan(in_any_order<SumAcc>({-kInf, kInf}, random)));
  EXPECT_TRUE(std::isnan(in_any_order<MeanAcc>({1, kInf, kNan}, random)));
  EXPECT_TRUE(std::isnan(in_any_order<VarianceAcc>({1, 2, kInf}, random)));
  EXPECT_EQ(in_any_order<MeanAcc>({1.5e308, 1.5e308, 1.5e308, 1.5e308}, random), 1.5e308);
  EXPECT_EQ(in_order<MeanAcc>({1.5e308, 1.5e308}), 1.5e308);
}

TEST(Accumulators, OneBlockIsRoundedWhereLokiRounds) {
  EXPECT_EQ(in_order<SumAcc>({0.1, 0.2, 0.3}), 0.1 + 0.2 + 0.3);
  EXPECT_EQ(in_order<SumAcc>({1e16, 1, -1e16}), 0);
}

TEST(Accumulators, OfEqualTimesTheOrderOfBlocksDecides) {
  const std::vector<std::pair<Found, double>> samples = {{{5, 1, 0}, 1}, {{5, 1, 0}, 2},
                                                         {{5, 1, 5}, 3}, {{5, 2, 0}, 4},
                                                         {{6, 0, 0}, 5}, {{6, 0, 6}, 6}};
  std::vector<std::size_t> blocks = {0, 2, 3, 4, 5};  // where each begins
  do {
    FirstAcc first;
    LastAcc last;
    for (const std::size_t begin : blocks) {
      for (std::size_t i = begin; i < (begin == 0 ? 2 : begin + 1); ++i) {
        FirstAcc one;
        one.add(samples[i].first, samples[i].second);
        first.merge(one);
        LastAcc other;
        other.add(samples[i].first, samples[i].second);
        last.merge(other);
      }
    }
    EXPECT_EQ(first.value, 1);
    EXPECT_EQ(last.value, 6);
  } while (std::next_permutation(blocks.begin(), blocks.end()));
}

}  // namespace
}  // namespace skald::query
