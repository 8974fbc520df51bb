#include "query/plan/ip_match.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace skald::query::plan {
namespace {

std::vector<std::string> needles(std::string_view pattern) {
  const auto parsed = IpPattern::parse(pattern);
  return parsed.ok() ? parsed->needles() : std::vector<std::string>{"wrong"};
}

TEST(IpPattern, TellsWhatTextItsAddressesHave) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(needles("10.1.235.0/24"), Strings({"10.1.235."}));
  EXPECT_EQ(needles("10.0.0.0/8"), Strings({"10."}));
  EXPECT_EQ(needles("192.168.4.0/23"), Strings({"192.168.4.", "192.168.5."}));
  EXPECT_EQ(needles("192.168.4.7"), Strings({"192.168.4.7"}));
  EXPECT_EQ(needles("192.168.4.7-192.168.4.8"), Strings({"192.168.4.7", "192.168.4.8"}));
  EXPECT_EQ(needles("10.0.0.1-10.200.0.1"), Strings({"10."}));
  EXPECT_EQ(needles("0.0.0.0/0"), Strings());
  EXPECT_EQ(needles("10.0.0.1-12.0.0.1"), Strings({"10.", "11.", "12."}));
  EXPECT_EQ(needles("2001:db8::/32"), Strings());
}

TEST(IpPattern, FindsNothingWithoutOneOfItsNeedles) {
  std::mt19937 random(3);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const auto address = [&] {
    const auto part = [&] { return std::to_string(below(4) == 0 ? below(256) : below(12)); };
    return part() + "." + part() + "." + part() + "." + part();
  };
  int found = 0;
  for (int round = 0; round < 20'000; ++round) {
    const auto pattern = IpPattern::parse(
        below(2) == 0 ? address() + "/" + std::to_string(below(33)) : address() + "-" + address());
    if (!pattern.ok()) continue;
    const std::string line = "from " + address() + ":80, ::ffff:" + address() + " 0" + address();
    if (!pattern->found_in(line)) continue;
    ++found;
    const auto pieces = pattern->needles();
    EXPECT_TRUE(pieces.empty() || std::any_of(pieces.begin(), pieces.end(),
                                              [&](const std::string& piece) {
                                                return line.find(piece) != std::string::npos;
                                              }))
        << line;
  }
  EXPECT_GT(found, 1000);
}

}  // namespace
}  // namespace skald::query::plan
