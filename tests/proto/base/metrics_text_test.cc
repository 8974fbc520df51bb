#include "proto/base/metrics_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

namespace skald::base {
namespace {

TEST(MetricsText, WritesFamiliesAndTheirSamples) {
  MetricsText out;
  out.family("x_seconds", "summary", "Time of x.");
  out.sample({{"user", "a"}, {"route", "/b"}}, 0.25, "_sum");
  out.sample({}, std::uint64_t{18446744073709551615U}, "_count");
  out.one("y", "gauge", "Number of y.", 2U);
  EXPECT_EQ(out.text(),
            "# HELP x_seconds Time of x.\n# TYPE x_seconds summary\n"
            "x_seconds_sum{user=\"a\",route=\"/b\"} 0.25\n"
            "x_seconds_count 18446744073709551615\n"
            "# HELP y Number of y.\n# TYPE y gauge\ny 2\n");
}

TEST(MetricsText, EscapesWhatWouldEndALabel) {
  MetricsText out;
  out.family("x", "gauge", "x.");
  out.sample({{"path", "C:\\new\n\"line\""}}, 1.0);
  EXPECT_EQ(out.text().substr(out.text().find("x{")), "x{path=\"C:\\\\new\\n\\\"line\\\"\"} 1\n");
}

TEST(MetricsText, WritesNumbersThatReadBackExactly) {
  const std::pair<double, const char*> cases[] = {
      {0, "0"},           {-3, "-3"},          {1732000000.123, "1732000000.123"},
      {0.1, "0.1"},       {1e21, "1e+21"},     {std::nan(""), "NaN"},
      {INFINITY, "+Inf"}, {-INFINITY, "-Inf"},
  };
  for (const auto& [value, text] : cases) EXPECT_EQ(metric_number(value), text);
}

}  // namespace
}  // namespace skald::base
