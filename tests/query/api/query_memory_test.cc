// What all queries hold together, as clients see it.
#include <gmock/gmock.h>

#include <thread>
#include <vector>

#include "tests/query/api/fixture.h"

namespace skald::query::api::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr std::uint64_t kPoolBytes = 8U << 20;

class QueryMemory : public ApiFixture {
 protected:
  QueryMemory() { engine_options_.memory_pool = pool_; }

  static std::string target(int limit = 100) {
    return "/loki/api/v1/query_range?query=sum+by+(id)+(count_over_time(%7Bjob=%22a%22%7D%7Cjson"
           "[1h]))&start=" +
           std::to_string(kNow - 60 * base::kNsPerSecond) + "&end=" + std::to_string(kNow) +
           "&step=10&limit=" + std::to_string(limit);
  }
  std::string metrics() { return get("/metrics").body; }

  const std::shared_ptr<MemoryPool> pool_ = std::make_shared<MemoryPool>(kPoolBytes);
};

TEST_F(QueryMemory, OfWhichOthersLeftNoneIsWorthAskingAgain) {
  ASSERT_EQ(push_line(R"({"job":"a"})", R"({\"id\":\"1\"})").status, 204);
  {
    MemoryPool::Share one(pool_), other(pool_);
    ASSERT_TRUE(one.cover(kPoolBytes / 2));
    ASSERT_TRUE(other.cover(kPoolBytes - one.bytes()));
    const Answer refused = get(target());
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(refused.body,
              "all queries together need more than the 8 MiB of querier.total_memory_max; try "
              "again when others are done, or select less");
    EXPECT_EQ(refused.header("Retry-After"), "1");
    EXPECT_THAT(metrics(), HasSubstr("\nskald_queries_memory_bytes 8388608\n"));
  }
  const Answer answered = get(target());
  EXPECT_EQ(answered.status, 200) << answered.body;
  EXPECT_THAT(answered.body, HasSubstr(R"("id":"1")"));
  const std::string text = metrics();
  EXPECT_THAT(text, HasSubstr("\nskald_queries_memory_bytes 0\n"));
  EXPECT_THAT(text, HasSubstr("\nskald_queries_memory_max_bytes 8388608\n"));
  EXPECT_THAT(text, HasSubstr("\nskald_queries_memory_refused_total 1\n"));
}

TEST_F(QueryMemory, IsWithinItsBoundWhenManyAskAtOnce) {
  for (int i = 0; i < 300; ++i)
    ASSERT_EQ(push_line(R"({"job":"a"})",
                        R"({\"id\":\")" + std::string(4000, 'x') + std::to_string(i) + R"(\"})")
                  .status,
              204);
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([this, t] {
      for (int round = 0; round < 3; ++round) {
        EXPECT_THAT(get(target(100 + t * 10 + round)).status, AnyOf(200, 429));
        EXPECT_LE(pool_->bytes(), kPoolBytes);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool_->bytes(), 0U);
  EXPECT_EQ(get(target()).status, 200);
}

}  // namespace
}  // namespace skald::query::api::testing
