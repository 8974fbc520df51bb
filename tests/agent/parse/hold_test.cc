// multiline, cri and docker: what is joined, what waits, and which bytes are answered for.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/parse/harness.h"

namespace skald::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kMultiline =
    "- multiline: {firstline: '^[A-Z]', max_wait_time: 3s, max_lines: 3}";
constexpr std::int64_t kSecond = 1'000'000'000;

TEST(Multiline, JoinsUntilTheNextFirstLine) {
  Harness harness(kMultiline);
  harness.ranges = true;
  harness.line("before");
  harness.line("Error");
  harness.line("  at a");
  harness.line("Next");
  EXPECT_THAT(harness.take(),
              ElementsAre(R"({job="j"} before #0-7)", "{job=\"j\"} Error\n  at a #7-20"));
  EXPECT_EQ(harness.pipeline->held_from(1), 20U);
  EXPECT_EQ(harness.pipeline->held_from(2), std::nullopt);
  harness.pipeline->flush_all(kReadNs, harness);
  EXPECT_THAT(harness.take(), ElementsAre(R"({job="j"} Next #20-25)"));
  EXPECT_EQ(harness.pipeline->held_from(1), std::nullopt);
}

TEST(Multiline, FlushesAfterTheWaitAndNotBefore) {
  Harness harness(kMultiline);
  harness.line("Error");
  EXPECT_EQ(harness.pipeline->next_flush_ns(), kReadNs + 3 * kSecond);
  harness.pipeline->flush(kReadNs + 2 * kSecond, harness);
  EXPECT_THAT(harness.take(), IsEmpty());
  harness.pipeline->flush(kReadNs + 3 * kSecond, harness);
  EXPECT_THAT(harness.take(), ElementsAre(R"({job="j"} Error)"));
}

TEST(Multiline, FlushesAtMaxLinesAndAContinuationTakesTheFirstLinesTime) {
  Harness harness(
      "- json: {expressions: {t: }, source: nope}\n"
      "- regex: {expression: '^[A-Z] (?P<t>\\S+)'}\n"
      "- timestamp: {source: t, format: RFC3339, action_on_failure: skip}\n"
      "- multiline: {firstline: '^[A-Z]', max_lines: 2}");
  harness.line("A 2025-11-24T15:00:00Z");
  harness.line(" b");
  harness.line(" c");
  harness.pipeline->flush_all(kReadNs, harness);
  EXPECT_THAT(harness.take(),
              ElementsAre("{job=\"j\"} @2025-11-24T15:00:00Z A 2025-11-24T15:00:00Z\n b",
                          "{job=\"j\"} @2025-11-24T15:00:00Z  c"));
}

TEST(Multiline, KeepsLabelSetsAndFilesApart) {
  Harness harness(
      "- regex: {expression: '^(?P<s>.):'}\n- labels: {s: }\n"
      "- multiline: {firstline: '^.:[A-Z]'}");
  harness.line("a:One");
  harness.line("b:Two");
  harness.line("a:more");
  harness.line("a:Other", kReadNs, 2);
  harness.pipeline->flush_source(1, kReadNs, harness);
  EXPECT_THAT(harness.take(), ::testing::UnorderedElementsAre("{job=\"j\", s=\"a\"} a:One\na:more",
                                                              "{job=\"j\", s=\"b\"} b:Two"));
  harness.pipeline->flush_all(kReadNs, harness);
  EXPECT_THAT(harness.take(), ElementsAre("{job=\"j\", s=\"a\"} a:Other"));
}

TEST(Multiline, LaterStagesSeeTheJoinedEntry) {
  Harness harness(
      "- multiline: {firstline: '^[A-Z]'}\n"
      "- regex: {expression: '(?s)^(?P<first>\\w+).*at (?P<last>\\w+)$'}\n"
      "- labels: {first: , last: }\n- match: {selector: '{first=\"Drop\"}', action: drop}");
  harness.ranges = true;
  for (const char* line : {"Error", " at x", " at y", "Drop", " at z", "End"}) harness.line(line);
  EXPECT_THAT(harness.take(),
              ElementsAre("{first=\"Error\", job=\"j\", last=\"y\"} Error\n at x\n at y #0-18",
                          "dropped #18-29"));
}

TEST(Multiline, IsBoundedInMemory) {
  Harness harness("- multiline: {firstline: '^[A-Z]', max_lines: 1000000}");
  const std::string line(100'000, 'x');
  harness.line("A");
  for (int i = 0; i < 200; ++i) {
    harness.line(line);
    ASSERT_LT(harness.pipeline->held_bytes(), 9U << 20U);
  }
  EXPECT_GE(harness.take().size(), 4U);
}

TEST(Cri, JoinsPartialLinesPerStreamWithTheLastPartsTime) {
  Harness harness("- cri: {}");
  harness.ranges = true;
  harness.line("2025-11-24T15:00:00Z stdout P ab");
  harness.line("2025-11-24T15:00:01Z stderr F other");
  harness.line("2025-11-24T15:00:02Z stdout P cd");
  EXPECT_EQ(harness.pipeline->held_from(1), 0U);
  harness.line("2025-11-24T15:00:03Z stdout F ef");
  EXPECT_THAT(harness.take(),
              ElementsAre(R"({job="j", stream="stderr"} @2025-11-24T15:00:01Z other #33-69)",
                          R"({job="j", stream="stdout"} @2025-11-24T15:00:03Z abcdef #0-135)"));
  EXPECT_EQ(harness.pipeline->held_from(1), std::nullopt);
}

TEST(Cri, ADanglingPartGoesOutWhenItsFileEnds) {
  Harness harness("- cri: {}");
  harness.line("2025-11-24T15:00:00Z stdout P ab");
  harness.pipeline->flush_source(1, kReadNs, harness);
  EXPECT_THAT(harness.take(),
              ElementsAre(R"({job="j", stream="stdout"} @2025-11-24T15:00:00Z ab)"));
  harness.line("2025-11-24T15:00:00Z stdout F cd");
  EXPECT_THAT(harness.take(),
              ElementsAre(R"({job="j", stream="stdout"} @2025-11-24T15:00:00Z cd)"));
}

TEST(Cri, ADanglingPartGoesOutAfterAWhile) {
  Harness harness("- cri: {}");
  harness.line("2025-11-24T15:00:00Z stdout P ab");
  harness.pipeline->flush(kReadNs + 29 * kSecond, harness);
  EXPECT_THAT(harness.take(), IsEmpty());
  harness.pipeline->flush(kReadNs + 30 * kSecond, harness);
  EXPECT_EQ(harness.take().size(), 1U);
}

TEST(Cri, TruncatesWhenAsked) {
  Harness harness("- cri: {max_partial_line_size: 3, max_partial_line_size_truncate: true}");
  harness.line("2025-11-24T15:00:00Z stdout P ab");
  harness.line("2025-11-24T15:00:00Z stdout F cd");
  EXPECT_THAT(harness.take(),
              ElementsAre(R"({job="j", stream="stdout"} @2025-11-24T15:00:00Z abc)"));
}

TEST(Cri, TooManyPartialLinesAreAllGivenOut) {
  Harness harness("- cri: {max_partial_lines: 2}");
  for (std::uint64_t source = 1; source <= 3; ++source) {
    harness.line("2025-11-24T15:00:00Z stdout P " + std::to_string(source), kReadNs, source);
  }
  EXPECT_EQ(harness.take().size(), 2U);
  EXPECT_NE(harness.pipeline->held_from(3), std::nullopt);
}

TEST(Docker, RejoinsWhatDockerSplit) {
  Harness harness("- docker: {}");
  harness.line(R"({"log":"part one,","stream":"stdout","time":"2025-11-24T15:00:00Z"})");
  harness.line(R"({"log":" part two\n","stream":"stdout","time":"2025-11-24T15:00:01Z"})");
  EXPECT_THAT(
      harness.take(),
      ElementsAre(R"({job="j", stream="stdout"} @2025-11-24T15:00:01Z part one, part two)"));
}

TEST(Docker, ThenMultilineThenJson) {
  Harness harness(
      "- docker: {}\n- multiline: {firstline: '^\\{'}\n- json: {expressions: {a: }}\n- labels: {a: "
      "}");
  harness.line(R"({"log":"{\"a\":\n","stream":"stdout","time":"2025-11-24T15:00:00Z"})");
  harness.line(R"({"log":"\"x\"}\n","stream":"stdout","time":"2025-11-24T15:00:00Z"})");
  harness.pipeline->flush_all(kReadNs, harness);
  EXPECT_THAT(harness.take(),
              ElementsAre("{a=\"x\", job=\"j\", stream=\"stdout\"} @2025-11-24T15:00:00Z "
                          "{\"a\":\n\"x\"}"));
}

// Every line is told exactly once, whatever the stages do with it.
TEST(Holding, EveryByteIsToldOnce) {
  Harness harness(
      "- cri: {}\n- multiline: {firstline: '^[A-F]', max_lines: 4}\n- drop: {expression: '^B'}\n"
      "- sampling: {rate: 0.7}");
  struct Sink final : EntrySink {
    void add(const SourceRange& range) { bytes += range.end - range.start; }
    void on_entry(const EntryOut& entry) override { add(entry.range); }
    void on_dropped(const SourceRange& range) override { add(range); }
    std::uint64_t bytes = 0;
  } sink;
  std::uint64_t seed = 7;
  LineIn in;
  in.labels = harness.base.get();
  std::uint64_t total = 0;
  for (int i = 0; i < 20'000; ++i) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    std::string line = "2025-11-24T15:00:00Z stdout ";
    line += (seed >> 40U) % 4 == 0 ? "P " : "F ";
    line += static_cast<char>('A' + (seed >> 45U) % 26);
    in.line = line;
    in.read_ns = kReadNs + std::int64_t{i} * 1'000'000;
    in.range = {1, total, total + line.size() + 1};
    total = in.range.end;
    harness.pipeline->process(in, sink);
    harness.pipeline->flush(in.read_ns, sink);
    const auto held = harness.pipeline->held_from(1);
    ASSERT_EQ(sink.bytes, held.value_or(total));
  }
  harness.pipeline->flush_all(in.read_ns, sink);
  EXPECT_EQ(sink.bytes, total);
}

}  // namespace
}  // namespace skald::agent
