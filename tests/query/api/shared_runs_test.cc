#include "query/api/shared_runs.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <vector>

namespace skald::query::api {
namespace {

// Runs that wait until they are let go; each says which it is.
class SharedRunsTest : public ::testing::Test {
 protected:
  static QueryRequest request() {
    QueryRequest out;
    out.text = "x";
    return out;
  }
  base::Result<QueryResult> work(const QueryRequest& request) {
    const int number = ++runs_;
    while (done_.load() < number) {
      if (request.abandoned()) return base::cancelled("the query was cancelled");
      std::this_thread::yield();
    }
    if (fails_) return base::invalid_argument("no");
    QueryResult result;
    result.stats.lines_processed = static_cast<std::uint64_t>(number);
    return result;
  }
  SharedRuns::Answer run(const QueryRequest& request, bool& shared) {
    return shared_runs_.run(
        request, "x", [this](const QueryRequest& some) { return work(some); }, shared);
  }
  // The number of the run that answered; negative: none did.
  std::thread ask(int& answer, const std::atomic<bool>* cancelled = nullptr) {
    return std::thread([this, &answer, cancelled] {
      QueryRequest own = request();
      own.cancelled = cancelled;
      bool shared = false;
      const auto result = run(own, shared);
      answer = result.ok() ? static_cast<int>((*result)->stats.lines_processed)
                           : -static_cast<int>(result.status().code());
    });
  }
  void wait_for(const std::atomic<int>& count, int value) {
    while (count.load() < value) std::this_thread::yield();
  }
  // The first runs; then `meanwhile`; then the others ask and wait.
  std::vector<std::thread> ask_all(
      std::vector<int>& answers, const std::function<void()>& meanwhile = [] {}) {
    std::vector<std::thread> threads;
    threads.push_back(ask(answers[0]));
    wait_for(runs_, 1);
    meanwhile();
    for (std::size_t i = 1; i < answers.size(); ++i) threads.push_back(ask(answers[i]));
    while (shared_runs_.waiting() < answers.size() - 1) std::this_thread::yield();
    return threads;
  }
  // Lets go all runs, until everybody has an answer.
  void finish(std::vector<std::thread>& threads) {
    done_ = 1000;
    for (std::thread& thread : threads) thread.join();
  }

  SharedRuns shared_runs_;
  std::atomic<int> runs_{0}, done_{0};
  std::atomic<bool> fails_{false};
};

TEST_F(SharedRunsTest, EqualQueriesAtTheSameTimeRunOnce) {
  std::vector<int> answers(8);
  std::vector<std::thread> threads = ask_all(answers);
  finish(threads);
  EXPECT_EQ(answers, std::vector<int>(8, 1));
  EXPECT_EQ(runs_, 1);
  EXPECT_EQ(shared_runs_.shared(), 7U);
}

TEST_F(SharedRunsTest, WhoComesAfterAChangeGetsTheNextRunTogether) {
  std::vector<int> answers(4);
  std::vector<std::thread> threads = ask_all(answers, [this] { shared_runs_.on_change(); });
  EXPECT_EQ(runs_, 1) << "the next waits for the first";
  finish(threads);
  EXPECT_EQ(answers, (std::vector<int>{1, 2, 2, 2}));
}

TEST_F(SharedRunsTest, TheRunGoesOnForOthersWhenItsClientLeaves) {
  std::vector<int> answers(2);
  std::atomic<bool> left{false};
  std::vector<std::thread> threads;
  threads.push_back(ask(answers[0], &left));
  wait_for(runs_, 1);
  threads.push_back(ask(answers[1]));
  while (shared_runs_.waiting() < 1) std::this_thread::yield();
  left = true;
  finish(threads);
  EXPECT_EQ(answers[1], 1);
  EXPECT_EQ(runs_, 1);
}

TEST_F(SharedRunsTest, WhenAllHaveLeftTheRunStops) {
  std::vector<int> answers(2);
  std::atomic<bool> left{false};
  std::vector<std::thread> threads;
  threads.push_back(ask(answers[0], &left));
  wait_for(runs_, 1);
  threads.push_back(ask(answers[1], &left));
  left = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answers, std::vector<int>(2, -static_cast<int>(base::Code::kCancelled)));
}

TEST_F(SharedRunsTest, AnErrorOfTheQueryIsEverybodys) {
  fails_ = true;
  std::vector<int> answers(3);
  std::vector<std::thread> threads = ask_all(answers);
  finish(threads);
  EXPECT_EQ(answers, std::vector<int>(3, -static_cast<int>(base::Code::kInvalidArgument)));
  EXPECT_EQ(runs_, 1);
}

TEST_F(SharedRunsTest, WaitingForAnotherEndsAtOnesOwnDeadline) {
  int first = 0;
  std::vector<std::thread> threads;
  QueryRequest hasty = request();
  // Only the first run is slow: the same request, whose time is over while it waits.
  hasty.timeout_ns = base::kNsPerSecond / 10;
  threads.emplace_back([&] {
    bool shared = false;
    const auto result = run(hasty, shared);
    first = result.ok() ? 1 : -1;
  });
  wait_for(runs_, 1);
  bool shared = true;
  const auto late = run(hasty, shared);
  EXPECT_EQ(late.status().code(), base::Code::kDeadlineExceeded);
  EXPECT_FALSE(shared);
  finish(threads);
  EXPECT_EQ(first, 1);
}

TEST_F(SharedRunsTest, OtherBoundsAreAnotherQuery) {
  QueryRequest other = request();
  other.limit = 7;
  done_ = 1000;
  bool shared = true;
  for (const QueryRequest& one : {request(), other}) EXPECT_TRUE(run(one, shared).ok());
  EXPECT_EQ(runs_, 2);
  EXPECT_FALSE(shared);
}

}  // namespace
}  // namespace skald::query::api
