// Random rules asked together, whose range aggregations share scans, answer to the bit what they
// answer alone.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <filesystem>

#include "query/exec/engine.h"
#include "store/store.h"
#include "tests/query/differential/random_logs.h"

namespace skald::tests {
namespace {

constexpr model::TimestampNs kStart = 1'763'600'000'000'000'000;
constexpr std::int64_t kMinuteNs = 60'000'000'000;

class TogetherEqualsAlone : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::temp_directory_path() / ("skald-together-" + std::to_string(::getpid()));
    store_ = open_empty_store(directory_);
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  // A third each: two parts and the head.
  void fill(Random& random, std::uint32_t broken_percent) {
    const auto entries = random_entries(random, {900, kStart, 60, broken_percent});
    for (std::size_t i = 0; i < entries.size(); i += 300) {
      if (i > 0) {
        ASSERT_TRUE(store_->flush().ok());
      }
      append_entries(*store_, entries, i, std::min(i + 300, entries.size()));
    }
  }

  std::filesystem::path directory_;
  std::unique_ptr<store::Store> store_;
};

std::string to_text(const base::Result<query::QueryResult>& result) {
  if (!result.ok()) return result.status().to_string();
  const auto* vector = std::get_if<query::Vector>(&result->data);
  if (vector == nullptr) return "no vector";
  std::string out;
  for (const query::Series& series : vector->series)
    out += series.labels.to_string() + " " +
           std::to_string(std::bit_cast<std::uint64_t>(series.samples.at(0).value)) + "\n";
  return out;
}

// Rules look at the same few streams, mostly.
std::string on_selector(const std::string& query, const std::string& selector) {
  const std::size_t begin = query.find('{'), end = query.find('}');
  return query.substr(0, begin) + selector + query.substr(end + 1);
}

TEST_F(TogetherEqualsAlone, OnRandomRules) {
  Random random(20261125);
  query::ScanCounts counts;
  std::size_t answered = 0, asked = 0;
  for (std::uint32_t round = 0; round < 4; ++round) {
    fill(random, round % 2 == 0 ? 0 : 3);
    // The last time with too little memory for many to share.
    query::EngineOptions options;
    options.workers = 1;
    if (round == 3) options.memory_max = 2U << 20;
    const query::Engine engine(*store_, base::Clock::system(), options);
    for (int batch = 0; batch < 15; ++batch) {
      std::vector<query::QueryRequest> requests;
      const std::vector<std::string> selectors = {"{job=~\".+\"}",
                                                  "{job=~\"api|web\",pod!=\"p1\"}"};
      const model::TimestampNs at = kStart + kMinuteNs * (5 + random.below(60));
      for (int i = 0; i < 12; ++i) {
        query::QueryRequest request;
        request.text = random_metric_query(random);
        if (random.chance(80)) request.text = on_selector(request.text, random.pick(selectors));
        request.instant = true;
        request.start_ns = request.end_ns = at;
        requests.push_back(request);
      }
      const auto together = engine.run_together(requests, &counts);
      ASSERT_EQ(together.size(), requests.size());
      for (std::size_t i = 0; i < requests.size(); ++i) {
        const std::string alone = to_text(engine.run(requests[i]));
        EXPECT_EQ(to_text(together[i]), alone) << requests[i].text;
        ++asked;
        if (together[i].ok() && !alone.empty()) ++answered;
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(answered, asked / 10);
  EXPECT_LT(counts.run, counts.asked * 2 / 3);
}

// What the ruler asks: different expressions over one selector, over times that end together.
TEST_F(TogetherEqualsAlone, OneScanFeedsDifferentExpressionsOverOneSelector) {
  Random random(1);
  fill(random, 0);
  const query::Engine engine(*store_, base::Clock::system(), {});
  std::vector<query::QueryRequest> requests;
  for (const char* text :
       {"sum(rate({job=~\".+\"} |= \"error\" [5m]))",
        "quantile_over_time(0.95, {job=~\".+\"} | json | unwrap duration | __error__=\"\" [5m]) "
        "by (job)",
        "sum(count_over_time({job=~\".+\"}[1m])) / sum(count_over_time({job=~\".+\"}[5m]))"}) {
    query::QueryRequest request;
    request.text = text;
    request.instant = true;
    request.start_ns = request.end_ns = kStart + 30 * kMinuteNs;
    requests.push_back(request);
  }
  query::ScanCounts counts;
  const auto together = engine.run_together(requests, &counts);
  EXPECT_EQ(counts.asked, 4U);
  EXPECT_EQ(counts.run, 1U);
  for (const auto& result : together) EXPECT_TRUE(result.ok()) << result.status().to_string();
}

TEST_F(TogetherEqualsAlone, AMistakeInOneIsNotTheOthers) {
  Random random(2);
  fill(random, 0);
  const query::Engine engine(*store_, base::Clock::system(), {});
  std::vector<query::QueryRequest> requests(3);
  requests[0].text = "count_over_time({job=~\".+\"}[5m])";
  requests[1].text = "count_over_time({job=~\".+\"} | json | label_format [5m])";
  requests[2].text = "rate({job=~\".+\"} | json | unwrap nothing_of_the_kind [5m])";
  for (auto& request : requests) {
    request.instant = true;
    request.start_ns = request.end_ns = kStart + 30 * kMinuteNs;
  }
  const auto together = engine.run_together(requests);
  EXPECT_TRUE(together[0].ok());
  EXPECT_FALSE(together[1].ok());
  for (std::size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(to_text(together[i]), to_text(engine.run(requests[i]))) << requests[i].text;
}

}  // namespace
}  // namespace skald::tests
