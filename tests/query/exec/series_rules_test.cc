// Which series a metric query answers with where labels are empty, equal or shared, and which stay
// among equal values: as Loki with its query frontend.
#include <gtest/gtest.h>

#include "query/exec/engine.h"
#include "tests/query/exec/memory_store.h"

namespace skald::query {
namespace {

constexpr std::int64_t kMinute = 60 * base::kNsPerSecond;

// Each series as `{labels} value@minute ...`.
std::string shown(const QueryResult& result) {
  const auto* vector = std::get_if<Vector>(&result.data);
  std::string out;
  for (const Series& series :
       vector != nullptr ? vector->series : std::get<Matrix>(result.data).series) {
    out += series.labels.to_string();
    for (const Sample& sample : series.samples)
      out += " " + std::to_string(static_cast<int>(sample.value)) + "@" +
             std::to_string(sample.timestamp_ms / 60'000);
    out += "\n";
  }
  return out;
}

class SeriesRules : public ::testing::Test {
 protected:
  SeriesRules() {
    const auto add = [&](const char* pod, std::int64_t minute, const char* line) {
      store_.add({{"job", "a"}, {"pod", pod}}, minute * kMinute, line, {});
    };
    add("1", 1, "x=1 e=");
    add("1", 1, "x=1");
    add("2", 1, "x=2 e=");
    add("3", 2, "x=2 e=");
  }
  std::string ask(std::string text, bool instant) {
    QueryRequest request;
    for (std::size_t at; (at = text.find('$')) != std::string::npos;)
      text.replace(at, 1, "count_over_time({job=\"a\"} | logfmt --keep-empty [1m])");
    request.text = std::move(text);
    request.instant = instant;
    request.start_ns = kMinute;
    request.end_ns = instant ? kMinute : 2 * kMinute;
    request.step_ns = kMinute;
    const auto result = Engine(store_, base::Clock::system(), {}).run(request);
    return result.ok() ? shown(*result) : std::string(result.status().message());
  }
  MemoryStore store_{10};
};

struct Case {
  const char *query, *answer;
};

TEST_F(SeriesRules, GroupsThatDifferByAnEmptyLabelAreTwoUnlessQueriersAnswersAreJoined) {
  const Case cases[] = {
      {"stddev without (pod) ($)",
       "{job=\"a\", x=\"1\"} 0@1\n{job=\"a\", x=\"1\"} 0@1\n{job=\"a\", x=\"2\"} 0@1\n"},
      {"sum without (pod) ($)", "{job=\"a\", x=\"1\"} 2@1\n{job=\"a\", x=\"2\"} 1@1\n"},
      {"count without (pod) ($)", "{job=\"a\", x=\"1\"} 2@1\n{job=\"a\", x=\"2\"} 1@1\n"},
      {"max without (pod) (sum without (x) ($))", "{job=\"a\"} 2@1\n"},
      {"sum by (e) ($)", "{} 1@1\n{e=\"\"} 2@1\n"},
      {"count_over_time({job=\"a\"} | logfmt --keep-empty | drop pod [1m])",
       "{job=\"a\", x=\"1\"} 1@1\n{job=\"a\", x=\"1\"} 1@1\n{job=\"a\", x=\"2\"} 1@1\n"},
      {"stddev without (pod) ($) + stddev without (pod) ($)",
       "found duplicate series on the right hand-side;many-to-many matching not allowed: matching "
       "labels must be unique on one side"},
  };
  for (const Case& c : cases) EXPECT_EQ(ask(c.query, true), c.answer) << c.query;
}

TEST_F(SeriesRules, AnAverageIsASumAndACountThatAreGroupedApart) {
  const Case cases[] = {
      {"avg by (x) ($)", "{x=\"1\"} 1@1\n{x=\"2\"} 1@1\n"},
      // The count's series have lost the label that was unwrapped.
      {"avg by (x) (sum_over_time({job=\"a\"} | logfmt | unwrap x [1m]))", ""},
      {"avg by (x) (max_over_time({job=\"a\"} | logfmt | unwrap x [1m]))", "{} 1@1\n"},
      {"sort(avg by (pod) (sum_over_time({job=\"a\"} | logfmt | unwrap x [1m])))",
       "{pod=\"1\"} 2@1\n{pod=\"2\"} 2@1\n"},
      {"avg_over_time({job=\"a\"} | logfmt --keep-empty | unwrap x [1m]) by (e)",
       "{} 1@1\n{} 1@1\n"},
  };
  for (const Case& c : cases) EXPECT_EQ(ask(c.query, true), c.answer) << c.query;
}

TEST_F(SeriesRules, SeriesOfARangeWithEqualLabelsAreOne) {
  const Case cases[] = {
      {"label_replace($, \"x\", \"\", \"job\", \".*\")",
       "{job=\"a\", pod=\"1\"} 1@1 1@1\n{job=\"a\", pod=\"2\"} 1@1\n{job=\"a\", pod=\"3\"} 1@2\n"},
      {"(vector(5) and sum($) > 2) or vector(7)", "{} 5@1 7@2\n"},
  };
  for (const Case& c : cases) EXPECT_EQ(ask(c.query, false), c.answer) << c.query;
}

// As the heap of Go's library has them, not the first ones.
TEST_F(SeriesRules, AmongEqualValuesTheHeapDecides) {
  for (const char* pod : {"4", "5", "6"})
    for (int i = *pod == '6' ? 0 : 1; i < 2; ++i)
      store_.add({{"job", "b"}, {"pod", pod}}, kMinute, "line " + std::to_string(i), {});
  const std::string all = "count_over_time({job=\"b\"} [1m])";
  EXPECT_EQ(ask("topk(2, " + all + ")", true),
            "{job=\"b\", pod=\"5\"} 1@1\n{job=\"b\", pod=\"6\"} 2@1\n");
  EXPECT_EQ(ask("topk(2, " + all + ")", false),
            "{job=\"b\", pod=\"5\"} 1@1\n{job=\"b\", pod=\"6\"} 2@1\n");
  // They come in the order of the labels that they had in the store.
  EXPECT_EQ(ask("bottomk(1, label_replace(" + all + ", \"pod\", \"9\", \"pod\", \"4\"))", true),
            "{job=\"b\", pod=\"9\"} 1@1\n");
  EXPECT_EQ(ask("sort_desc(topk(2, " + all + "))", true),
            "{job=\"b\", pod=\"6\"} 2@1\n{job=\"b\", pod=\"5\"} 1@1\n");
}

// Recorded from Loki 3.7.6: beyond twelve series Go's sort leaves equal ones in an order of its
// own.
TEST_F(SeriesRules, ManyEqualValuesAreWhereGosSortLeavesThem) {
  for (int pod = 0; pod < 60; ++pod)
    for (int line = 0; line < 1 + pod * 7 % 3; ++line)
      store_.add({{"job", "c"}, {"pod", std::string(pod < 10 ? "0" : "") + std::to_string(pod)}},
                 kMinute, "line " + std::to_string(line), {});
  const auto pods = [&](std::string query) {
    const std::string answer = ask(std::move(query), true);
    std::string out;
    for (std::size_t at = 0; (at = answer.find("pod=\"", at)) != std::string::npos; at += 7)
      out += answer.substr(at + 5, 2) + ' ';
    return out;
  };
  EXPECT_EQ(
      pods("sort(count_over_time({job=\"c\"}[1m]))"),
      "00 39 06 57 30 27 54 12 51 24 48 45 21 42 09 18 36 03 33 15 34 19 46 13 55 52 25 28 49 "
      "10 01 40 31 43 04 07 58 16 37 22 59 41 56 26 38 23 02 20 44 29 08 35 32 53 14 11 50 17 "
      "05 47 ");
  EXPECT_EQ(
      pods("sort_desc(count_over_time({job=\"c\"}[1m]))"),
      "29 59 56 02 26 53 05 50 11 23 47 44 20 41 38 08 17 35 32 14 01 19 58 28 49 25 52 55 13 "
      "46 04 31 37 16 34 22 43 07 40 10 33 57 51 00 24 36 42 21 18 39 54 27 30 12 09 15 06 48 "
      "45 03 ");
  EXPECT_EQ(pods("sort_desc(count_over_time({job=\"c\",pod=~\"[01].*\"}[1m]))"),
            "11 08 17 14 02 05 07 16 19 04 10 13 01 09 15 00 12 06 03 18 ");
}

TEST_F(SeriesRules, AnApproximateTopkIsExactAndOfOneMomentOnly) {
  EXPECT_EQ(ask("approx_topk(1, sum by (x) ($))", true), "{x=\"1\"} 2@1\n");
  EXPECT_EQ(ask("sum(approx_topk(9, sum by (x) ($))) + 1", true), "{} 4@1\n");
  const std::string refused = "count min sketches are only supported on instant queries";
  EXPECT_EQ(ask("approx_topk(1, sum by (x) ($))", false), refused);
  EXPECT_EQ(ask("vector(1) or sum(approx_topk(1, $))", false), refused);
}

}  // namespace
}  // namespace skald::query
