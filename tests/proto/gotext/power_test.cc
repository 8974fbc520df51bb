#include <gtest/gtest.h>

#include <cmath>

#include "proto/gotext/number.h"

namespace skald::gotext {
namespace {

// Recorded from Go 1.26: where C rounds otherwise.
TEST(Power, WholePowersAreRoundedAsInGo) {
  struct Case {
    double base, exponent, power;
  };
  const Case cases[] = {{10, 100, 0x1.249ad2594c37ep+332}, {10, -100, 0x1.bff2ee48e052ep-333},
                        {10, 23, 0x1.52d02c7e14af6p+76},   {1.1, 50, 0x1.d5903bbcbf5cbp+06},
                        {0.3, -7, 0x1.1dc7944f21207p+12},  {1.0001, 1e+06, 0x1.330ab10a1c0d6p+144},
                        {-7.7, 13, -0x1.3783f2f3cc7acp+38}};
  for (const Case& c : cases) EXPECT_EQ(power(c.base, c.exponent), c.power) << c.base << c.exponent;
}

TEST(Power, EdgesAreThoseOfC) {
  EXPECT_EQ(power(2, 0.5), std::sqrt(2.0));
  EXPECT_EQ(power(4, -0.5), 0.5);
  EXPECT_EQ(power(-2, 3), -8);
  EXPECT_TRUE(std::isnan(power(-2, 0.3)));
  EXPECT_EQ(power(0, -1), INFINITY);
  EXPECT_EQ(power(10, 400), INFINITY);
  EXPECT_EQ(power(10, -400), 0);
  EXPECT_EQ(power(2, -1074), 0x1p-1074);
  EXPECT_EQ(power(1, NAN), 1);
}

}  // namespace
}  // namespace skald::gotext
