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

}  // namespace
}  // namespace skald::query
