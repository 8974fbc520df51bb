#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/parse/stage.h"
#include "tests/agent/parse/harness.h"

namespace skald::agent {
namespace {

using ::testing::ElementsAre;

struct TimeCase {
  const char* format;  // of the timestamp stage; a location may follow after '|'
  const char* text;
  const char* expected;  // RFC 3339; "-": fails, so the time of reading stays
};

constexpr TimeCase kCases[] = {
    {"RFC3339", "2025-11-24T15:00:00Z", "2025-11-24T15:00:00Z"},
    {"RFC3339", "2025-11-24T15:00:00.123Z",
     "2025-11-24T15:00:00.123Z"},  // fraction not in the layout
    {"RFC3339", "2025-11-24T15:00:00,5Z", "2025-11-24T15:00:00.5Z"},
    {"RFC3339", "2025-11-24T15:00:00+02:30", "2025-11-24T12:30:00Z"},
    {"RFC3339", "2025-11-24T15:00:00-05:00", "2025-11-24T20:00:00Z"},
    {"RFC3339", "2025-11-24 15:00:00Z", "-"},
    {"RFC3339", "2025-02-30T15:00:00Z", "-"},
    {"RFC3339", "2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"},
    {"RFC3339", "2025-11-24T15:00:00", "-"},
    {"RFC3339", "2025-11-24T15:00:00Zx", "-"},
    {"RFC3339", "2025-11-24T24:00:00Z", "-"},
    {"RFC3339Nano", "2025-11-24T15:00:00.123456789Z", "2025-11-24T15:00:00.123456789Z"},
    {"RFC3339Nano|America/New_York", "2025-11-24T15:00:00Z", "2025-11-24T15:00:00Z"},
    {"RFC1123", "Mon, 24 Nov 2025 15:00:00 UTC", "2025-11-24T15:00:00Z"},
    {"RFC1123Z", "Mon, 24 Nov 2025 15:00:00 +0100", "2025-11-24T14:00:00Z"},
    {"RFC822Z", "24 Nov 25 15:00 +0000", "2025-11-24T15:00:00Z"},
    {"RFC850", "Monday, 24-Nov-25 15:00:00 UTC", "2025-11-24T15:00:00Z"},
    {"ANSIC", "Mon Nov 24 15:00:00 2025", "2025-11-24T15:00:00Z"},
    {"UnixDate", "Mon Nov 24 15:00:00 UTC 2025", "2025-11-24T15:00:00Z"},
    {"RubyDate", "Mon Nov 24 15:00:00 +0000 2025", "2025-11-24T15:00:00Z"},
    {"Unix", "1763996400", "2025-11-24T15:00:00Z"},
    {"Unix", "1763996400.5", "2025-11-24T15:00:00.5Z"},
    {"Unix", "1763996400.1234567891", "2025-11-24T15:00:00.123456789Z"},
    {"Unix", "1.763996400e9", "-"},
    {"UnixMs", "1763996400123", "2025-11-24T15:00:00.123Z"},
    {"UnixUs", "1763996400123456", "2025-11-24T15:00:00.123456Z"},
    {"UnixNs", "1763996400123456789", "2025-11-24T15:00:00.123456789Z"},
    {"UnixMs", "1763996400123.5", "-"},
    {"2006-01-02 15:04:05", "2025-11-24 15:00:00", "2025-11-24T15:00:00Z"},
    {"2006-01-02 15:04:05", "2025-11-24 15:00:00,250", "2025-11-24T15:00:00.25Z"},
    {"2006-01-02 15:04:05|America/New_York", "2025-11-24 15:00:00", "2025-11-24T20:00:00Z"},
    {"2006-01-02 15:04:05.000", "2025-11-24 15:00:00.125", "2025-11-24T15:00:00.125Z"},
    {"2006-01-02T15:04:05.999999Z07:00", "2025-11-24T15:00:00.061054Z",
     "2025-11-24T15:00:00.061054Z"},
    {"02/Jan/2006:15:04:05 -0700", "24/Nov/2025:15:00:00 +0100", "2025-11-24T14:00:00Z"},
    {"Jan _2 15:04:05", "Nov  4 15:00:00", "2025-11-04T15:00:00Z"},  // no year: the current one
    {"20060102150405", "20251124150000", "2025-11-24T15:00:00Z"},
};

class TimestampCase : public ::testing::TestWithParam<TimeCase> {};

TEST_P(TimestampCase, IsReadAsGoDoes) {
  const TimeCase& c = GetParam();
  std::string format = c.format;
  std::string location;
  if (const auto bar = format.find('|'); bar != std::string::npos) {
    location = ", location: " + format.substr(bar + 1);
    format.resize(bar);
  }
  const std::string stages =
      "- regex: {expression: '^(?P<t>.*)$'}\n- timestamp: {source: t, format: '" + format + "'" +
      location + "}";
  std::string expected = R"({job="j"} )";
  if (c.expected[0] != '-') expected += "@" + std::string(c.expected) + " ";
  EXPECT_THAT(run_lines(stages, {c.text}), ElementsAre(expected + c.text));
}

INSTANTIATE_TEST_SUITE_P(Formats, TimestampCase, ::testing::ValuesIn(kCases));

TEST(TimestampStage, YearlessTimesAroundNewYear) {
  Harness harness(
      "- regex: {expression: '^(?P<t>.*)$'}\n- timestamp: {source: t, format: 'Jan _2 15:04:05'}");
  harness.line("Dec 31 23:59:59", 1'767'225'600'000'000'000);  // read 2026-01-01
  harness.line("Jan  1 00:00:01", 1'767'225'599'000'000'000);  // read 2025-12-31
  EXPECT_THAT(harness.take(), ElementsAre(R"({job="j"} @2025-12-31T23:59:59Z Dec 31 23:59:59)",
                                          R"({job="j"} @2026-01-01T00:00:01Z Jan  1 00:00:01)"));
}

TEST(TimestampStage, FallbackFormatsAreTriedInOrder) {
  EXPECT_THAT(
      run_lines("- regex: {expression: '^(?P<t>.*)$'}\n"
                "- timestamp: {source: t, format: RFC3339, fallback_formats: [UnixMs, Unix]}",
                {"1763996400000"}),
      ElementsAre(R"({job="j"} @2025-11-24T15:00:00Z 1763996400000)"));
}

constexpr const char* kFudge =
    "- json: {expressions: {t: , s: }}\n- labels: {s: }\n- timestamp: {source: t, format: RFC3339}";

TEST(TimestampStage, FudgeGoesOnFromTheStreamsLastGoodTime) {
  EXPECT_THAT(
      run_lines(kFudge, {R"({"t":"bad","s":"a"})", R"({"t":"2025-11-24T15:00:00Z","s":"a"})",
                         R"({"t":"bad","s":"a"})", R"({"s":"a"})", R"({"t":"bad","s":"b"})"}),
      ElementsAre(R"({job="j", s="a"} {"t":"bad","s":"a"})",
                  R"({job="j", s="a"} @2025-11-24T15:00:00Z {"t":"2025-11-24T15:00:00Z","s":"a"})",
                  R"({job="j", s="a"} @2025-11-24T15:00:00.000000001Z {"t":"bad","s":"a"})",
                  R"({job="j", s="a"} @2025-11-24T15:00:00.000000002Z {"s":"a"})",
                  R"({job="j", s="b"} {"t":"bad","s":"b"})"));
}

TEST(TimestampStage, SkipKeepsTheTimeOfReading) {
  EXPECT_THAT(run_lines("- json: {expressions: {t: }}\n"
                        "- timestamp: {source: t, format: RFC3339, action_on_failure: skip}",
                        {R"({"t":"2025-11-24T15:00:00Z"})", R"({"t":"bad"})"}),
              ElementsAre(R"({job="j"} @2025-11-24T15:00:00Z {"t":"2025-11-24T15:00:00Z"})",
                          R"({job="j"} {"t":"bad"})"));
}

// The fast path must agree with the general parser wherever it gives an answer.
TEST(TimestampStage, FastPathAgreesWithTheGeneralParser) {
  const gotext::TimeLayout layout("2006-01-02T15:04:05.999999999Z07:00");
  std::uint64_t seed = 42;
  const auto next = [&](std::uint64_t bound) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (seed >> 33U) % bound;
  };
  const std::string valid = "2025-11-24T15:04:05.123456789+01:30";
  static constexpr std::string_view kBytes = "0123456789-:.,TZ+ z";
  int answered = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = valid.substr(0, 19 + next(11));
    text += next(3) == 0 ? valid.substr(29) : "Z";
    for (std::uint64_t edits = next(3); edits > 0; --edits) {
      text[next(text.size())] = kBytes[next(kBytes.size())];
    }
    std::int64_t fast = 0;
    if (!parse_iso_time(text, 'T', true, fast)) continue;
    ++answered;
    auto slow = layout.parse(text);
    ASSERT_TRUE(slow.ok()) << text;
    ASSERT_EQ(slow->unix_ns(), fast) << text;
  }
  EXPECT_GT(answered, 50'000);
}

}  // namespace
}  // namespace skald::agent
