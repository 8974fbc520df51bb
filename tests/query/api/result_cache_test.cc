#include "query/api/result_cache.h"

#include <gmock/gmock.h>

#include <random>
#include <thread>

#include "proto/net/http_client.h"
#include "query/logql/parser.h"
#include "tests/query/api/fixture.h"

namespace skald::query::api {
namespace {

using testing::Answer;
using ::testing::HasSubstr;

constexpr std::int64_t kSecond = base::kNsPerSecond;

class CachedQueries : public testing::ApiFixture {
 protected:
  std::string range(const std::string& query, std::int64_t start_s, std::int64_t end_s,
                    bool fresh = false) {
    std::vector<std::pair<std::string, std::string>> headers;
    if (fresh) headers.emplace_back("cache-control", "no-cache");
    std::string body = get("/loki/api/v1/query_range?step=10&start=" + at(start_s) +
                               "&end=" + at(end_s) + "&query=" + net::percent_encode(query),
                           headers)
                           .body;
    return body.substr(0, body.find(",\"stats\""));
  }
  // Seconds relative to kNow.
  static std::string at(std::int64_t seconds) { return std::to_string(kNow + seconds * kSecond); }
  std::string counters() {
    std::string out;
    const std::string metrics = get("/metrics").body;
    for (const char* name : {"whole", "partial", "missed"}) {
      const std::string key = std::string("\nskald_query_cache_") + name + "_total ";
      const auto from = metrics.find(key) + key.size();
      out += metrics.substr(from, metrics.find('\n', from) - from) + " ";
    }
    return out;
  }
  void write(std::int64_t seconds, const std::string& line) {
    ASSERT_EQ(push_line(R"({"job":"a"})", line, static_cast<int>(-seconds)).status, 204);
  }
};

constexpr char kCount[] = R"(sum(count_over_time({job="a"}[20s])))";

TEST_F(CachedQueries, TheSameAgainComesFromMemoryAndALaterWindowComputesItsEnd) {
  write(-300, "x");
  const std::string first = range(kCount, -600, -100);
  EXPECT_THAT(first, HasSubstr("\"1\""));
  EXPECT_EQ(counters(), "0 0 1 ");
  EXPECT_EQ(range(kCount, -600, -100), first);
  EXPECT_EQ(counters(), "1 0 1 ");
  EXPECT_EQ(range(kCount, -590, -60), range(kCount, -590, -60, true));
  EXPECT_EQ(counters(), "1 1 1 ");
}

TEST_F(CachedQueries, ALineThatComesLateIsInTheNextAnswer) {
  write(-300, "x");
  range(kCount, -600, 0);
  write(-400, "late");
  EXPECT_EQ(range(kCount, -600, 0), range(kCount, -600, 0, true));
  EXPECT_EQ(counters(), "0 1 1 ");
  write(-600, "before all of it");
  EXPECT_EQ(range(kCount, -600, 0), range(kCount, -600, 0, true));
  EXPECT_EQ(counters(), "0 1 2 ");
}

TEST_F(CachedQueries, ADeleteClearsWhatWasKept) {
  write(-300, "x");
  range(kCount, -600, 0);
  ASSERT_EQ(ask("POST", "/loki/api/v1/delete?query=" + net::percent_encode(R"({job="a"})") +
                            "&start=" + at(-3600) + "&end=" + at(0))
                .status,
            204);
  EXPECT_EQ(range(kCount, -600, 0).find("\"1\""), std::string::npos);
}

TEST_F(CachedQueries, AreForgottenAfterAWhile) {
  range(kCount, -600, 0);
  clock_.advance_ns(ResultCache::kAgeMaxNs + kSecond);
  range(kCount, -600, 0);
  EXPECT_EQ(counters(), "0 0 2 ");
}

TEST_F(CachedQueries, AnyOrderOfWritesAndWindowsAnswersAsWithoutMemory) {
  std::mt19937 random(7);
  const auto pick = [&random](int from, int to) {
    return std::uniform_int_distribution(from, to)(random);
  };
  const std::string queries[] = {
      kCount,
      R"(sum by (level) (count_over_time({job="a"} | logfmt [30s])))",
      R"(topk(1, sum by (level) (rate({job="a"} | logfmt [1m]))))",
      R"(count_over_time({job="a"}[20s] offset 30s) / 2 > 0.5)",
      R"(absent_over_time({job="a"}[10s]))",
  };
  for (int i = 0; i < 300; ++i) {
    if (pick(0, 2) == 0)
      write(-pick(1, 700), "level=" + std::to_string(pick(0, 3)) + " n=" + std::to_string(i));
    const std::string& query = queries[pick(0, 4)];
    const int start = -pick(300, 700), end = -pick(0, 250);
    ASSERT_EQ(range(query, start, end), range(query, start, end, true)) << query;
  }
  EXPECT_EQ(counters().find("0 0 "), std::string::npos) << "nothing came from memory";
}

TEST(ResultCache, StepsThatLookIntoTheFutureAreNotKept) {
  const auto can_keep = [](const char* text) {
    return ResultCache::can_keep(**logql::parse(text));
  };
  EXPECT_TRUE(can_keep(R"(rate({a="b"}[1m]))"));
  EXPECT_TRUE(can_keep(R"(rate({a="b"}[1m] offset 5m))"));
  EXPECT_FALSE(can_keep(R"(rate({a="b"}[1m] offset -5m))"));
  EXPECT_FALSE(can_keep(R"({a="b"})"));
}

TEST(ResultCache, EqualQueriesAtOnceAreComputedOnce) {
  ResultCache cache(base::Clock::system());
  QueryRequest request;
  request.text = "q";
  request.start_ns = 10 * kSecond;
  request.end_ns = 20 * kSecond;
  request.step_ns = 10 * kSecond;
  std::atomic<int> runs{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const auto result = cache.run(request, [&](const QueryRequest&) -> base::Result<QueryResult> {
        ++runs;
        QueryResult out;
        out.data = Matrix{{Series{{{"a", "b"}}, {{10'000, 1}, {20'000, 2}}}}};
        return out;
      });
      EXPECT_TRUE(result.ok());
      EXPECT_EQ(std::get<Matrix>(result->data).series.at(0).samples.size(), 2U);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(runs, 1);
}

TEST(ResultCache, StaysWithinItsBytes) {
  ResultCache cache(base::Clock::system(), 100'000);
  QueryRequest request;
  request.start_ns = 0;
  request.end_ns = 10 * kSecond;
  request.step_ns = 10 * kSecond;
  for (int i = 0; i < 1000; ++i) {
    request.text = "q" + std::to_string(i);
    const auto result = cache.run(request, [](const QueryRequest&) -> base::Result<QueryResult> {
      QueryResult out;
      out.data = Matrix{{Series{{{"a", "b"}}, std::vector<Sample>(100)}}};
      return out;
    });
    ASSERT_TRUE(result.ok());
    ASSERT_LE(cache.stats().bytes, 100'000U);
  }
}

}  // namespace
}  // namespace skald::query::api
