// What all queries hold together: a share grows while there is room and goes with its answer, and a
// query that would go beyond fails in words that name the setting.
#include "query/exec/memory_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "query/exec/engine.h"
#include "query/exec/limits.h"
#include "tests/query/exec/memory_store.h"

namespace skald::query {
namespace {

constexpr std::int64_t kSecond = base::kNsPerSecond;
constexpr std::uint64_t kMiB = 1U << 20;
using Share = MemoryPool::Share;

TEST(MemoryPool, GivesWhatIsThereAndGetsItBack) {
  const auto pool = std::make_shared<MemoryPool>(64 * kMiB);
  {
    Share one(pool), other(pool);
    EXPECT_TRUE(one.cover(40 * kMiB));
    EXPECT_GE(pool->bytes(), 40 * kMiB);
    EXPECT_FALSE(other.cover(30 * kMiB));
    EXPECT_TRUE(other.was_refused());
    EXPECT_FALSE(one.was_refused());
    EXPECT_EQ(other.bytes(), 0U);
    one.shrink(10 * kMiB);
    EXPECT_EQ(pool->bytes(), 10 * kMiB);
    EXPECT_TRUE(other.cover(30 * kMiB));
    one.shrink(20 * kMiB);  // never more
    EXPECT_EQ(one.bytes(), 10 * kMiB);
  }
  EXPECT_EQ(pool->bytes(), 0U);
  EXPECT_EQ(pool->refused(), 1U);
}

TEST(MemoryPool, KeepsItsLastPartForSmallShares) {
  const auto pool = std::make_shared<MemoryPool>(64 * kMiB);
  Share greedy(pool);
  EXPECT_TRUE(greedy.cover(56 * kMiB));
  EXPECT_FALSE(greedy.cover(57 * kMiB));
  EXPECT_FALSE(greedy.cover(57 * kMiB));
  EXPECT_EQ(pool->refused(), 1U) << "a query is counted once";
  Share small(pool);
  EXPECT_TRUE(small.cover(kSmallShareBytes));
  EXPECT_FALSE(small.cover(kSmallShareBytes + kShareStepBytes + 1));
  EXPECT_LE(pool->bytes(), pool->bytes_max());
}

TEST(MemoryPool, IsNoBoundWhereThereIsNone) {
  Share share(nullptr);
  EXPECT_TRUE(share.cover(~std::uint64_t{0}));
  EXPECT_FALSE(share.was_refused());
}

class QueriesTogether : public ::testing::Test {
 protected:
  QueriesTogether() {
    for (int i = 0; i < 20'000; ++i) {
      const std::string n = std::to_string(i);
      store_.add(
          {{"job", "a"}}, i * kSecond / 10,
          "{\"id\":\"id-" + n + "\",\"n\":" + n + ",\"text\":\"" + std::string(200, 'x') + "\"}");
    }
    options_.memory_max = 64 * kMiB;
    options_.memory_pool = pool_;
  }
  static QueryRequest request(const std::string& text) {
    QueryRequest out;
    out.text = text;
    out.instant = true;
    out.end_ns = 2000 * kSecond;
    return out;
  }

  const std::string large_ = R"(sum by (id) (count_over_time({job="a"} | json [1h])))";
  const std::string small_ = R"(sum(count_over_time({job="a"} |= "id-77" [1h])))";
  const std::string refused_ =
      "all queries together need more than the 32 MiB of querier.total_memory_max; try again when "
      "others are done, or select less";
  const std::shared_ptr<MemoryPool> pool_ = std::make_shared<MemoryPool>(32 * kMiB);
  MemoryStore store_{1000};
  EngineOptions options_;
};

TEST_F(QueriesTogether, OneFailsWhileOthersHoldTheMemoryAndIsAnsweredAfterwards) {
  const Engine engine(store_, base::Clock::system(), options_);
  {
    Share others(pool_);
    ASSERT_TRUE(others.cover(27 * kMiB));
    const auto result = engine.run(request(large_));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), base::Code::kUnavailable);
    EXPECT_EQ(result.status().message(), refused_);
    EXPECT_TRUE(engine.run(request(small_)).ok());
  }
  EXPECT_EQ(pool_->bytes(), 0U);
  EXPECT_EQ(pool_->refused(), 1U);
  {
    const auto result = engine.run(request(large_));
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_EQ(pool_->bytes(), result->memory_bytes) << "an answer keeps its share";
    EXPECT_GT(result->memory_bytes, kMiB);
  }
  EXPECT_EQ(pool_->bytes(), 0U);
}

TEST_F(QueriesTogether, RulesOfOneGroupCountToo) {
  const Engine engine(store_, base::Clock::system(), options_);
  const std::vector<QueryRequest> requests{request(large_), request("topk(3, " + large_ + ")")};
  {
    Share others(pool_);
    ASSERT_TRUE(others.cover(27 * kMiB));
    for (const auto& result : engine.run_together(requests)) {
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.status().message(), refused_);
    }
  }
  for (const auto& result : engine.run_together(requests)) EXPECT_TRUE(result.ok());
  EXPECT_EQ(pool_->bytes(), 0U);
}

TEST_F(QueriesTogether, AnAnswerHalfSentWaitsForOthersAndHoldsWhatItSends) {
  options_.answer_held_max = 64U << 10;
  options_.piece_bytes = 256U << 10;
  const Engine engine(store_, base::Clock::system(), options_);
  QueryRequest large;
  large.text = R"({job="a"})";
  large.end_ns = 2000 * kSecond;
  large.limit = 20'000;
  large.large = LargeAnswer::kPieces;
  large.timeout_ns = 600 * kSecond;
  const auto result = engine.run(large);
  ASSERT_TRUE(result.ok()) << result.status().message();
  const auto* pieces = std::get_if<LogPiecesPtr>(&result->data);
  ASSERT_NE(pieces, nullptr);
  const std::uint64_t held = pool_->bytes();
  Share one(pool_), other(pool_);
  ASSERT_TRUE(one.cover(28 * kMiB - held));
  ASSERT_TRUE(other.cover(pool_->bytes_max() - pool_->bytes()));
  std::size_t entries = 0;
  std::uint64_t least = pool_->bytes_max();
  base::Status status;
  std::thread reader([&] {
    status = (*pieces)->read(nullptr, [&](const LogPieces::Piece& piece) {
      entries += piece.entries.size();
      least = std::min(least, pool_->bytes());
      return base::Status();
    });
  });
  while (pool_->refused() < 2) std::this_thread::yield();
  one.shrink(0);
  other.shrink(0);
  reader.join();
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(entries, 20'000U);
  EXPECT_GT(least, held) << "a piece is held until it is sent";
  EXPECT_EQ(pool_->bytes(), held);
}

TEST_F(QueriesTogether, ManyAtOnceStayWithinIt) {
  const Engine engine(store_, base::Clock::system(), options_);
  std::atomic<int> answered{0}, refused{0}, running{6};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 3; ++round) {
        const auto result = engine.run(request(large_));
        if (result.ok()) {
          ++answered;
        } else {
          EXPECT_EQ(result.status().message(), refused_);
          ++refused;
        }
      }
      --running;
    });
  while (running > 0) {
    EXPECT_LE(pool_->bytes(), pool_->bytes_max());
    EXPECT_TRUE(engine.run(request(small_)).ok());
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered + refused, 18);
  EXPECT_TRUE(engine.run(request(large_)).ok());
  EXPECT_EQ(pool_->refused(), static_cast<std::uint64_t>(refused));
  EXPECT_EQ(pool_->bytes(), 0U);
}

}  // namespace
}  // namespace skald::query
