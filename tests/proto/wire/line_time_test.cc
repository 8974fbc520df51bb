#include "proto/wire/line_time.h"

#include <gtest/gtest.h>

#include "proto/wire/push_decoder.h"

namespace skald::wire {
namespace {

constexpr std::int64_t kNs = 1'000'000'000;

TEST(LineTime, ReadsTheFormsItNames) {
  const struct {
    std::string_view text;
    std::int64_t time_ns;
  } cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"2026-11-20T06:00:00.000726Z\"}", 1795154400 * kNs + 726000},
      {"2026-11-20 06:00:00,5", 1795154400 * kNs + 500'000'000},
      {"2026-11-20t08:30:00.123456789+02:30", 1795154400 * kNs + 123'456'789},
      {"2026-11-20T05:00:00-01:00 x", 1795154400 * kNs},
      {"2026-11-20T06:00:00.", 1795154400 * kNs},
      {"2024-02-29T00:00:00Z", 1709164800 * kNs},
      {"2261-12-31T23:59:59Z", 9214646399 * kNs},
  };
  for (const auto& c : cases) EXPECT_EQ(read_line_time(c.text), c.time_ns) << c.text;
}

TEST(LineTime, RefusesWhatIsNoTime) {
  for (const std::string_view text :
       {"", "2026-11-20T06:00:0", "2026-11-20T24:00:00Z", "2026-13-20T00:00:00Z",
        "2026-02-29T00:00:00Z", "2026-11-20X06:00:00Z", "1969-12-31T23:59:59Z",
        "2026-11-20T06:00:00.1234567890Z", "2262-01-01T00:00:00Z", "2026-11-20T06:00:00+24:00",
        "2026-11-20T06:00:60Z", "2026-1a-20T06:00:00Z", "1970-01-01T00:00:00+00:01"})
    EXPECT_FALSE(read_line_time(text).has_value()) << text;
}

TEST(LineTime, FindsExactlyTheTimeAskedFor) {
  const std::string line =
      R"({"was": "2026-11-19T06:00:00Z", "timestamp": "2026-11-20T06:00:00.000726Z", "n": "a-b-c"})";
  const std::int64_t time = 1795154400 * kNs + 726000;
  const std::size_t at = line.size() - line.find("2026-11-20");
  EXPECT_EQ(find_line_time(line, time, 0), at);
  EXPECT_EQ(find_line_time(line, time, at), at);
  EXPECT_EQ(find_line_time(line, time, 5000), at);
  EXPECT_EQ(find_line_time(line, time + 1, at), 0U);
  EXPECT_EQ(find_line_time("----", time, 0), 0U);
  EXPECT_EQ(find_line_time("", time, 3), 0U);
}

}  // namespace
}  // namespace skald::wire
