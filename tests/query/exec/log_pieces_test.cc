// Log answers that are made as they are read: when they come so, and how a reading ends early.
#include <gtest/gtest.h>

#include <atomic>

#include "query/exec/engine.h"
#include "tests/query/exec/memory_store.h"

namespace skald::query {
namespace {

constexpr std::int64_t kSecond = base::kNsPerSecond;
constexpr int kEntries = 3000;

// Every look at it takes a millisecond.
class CountingClock final : public base::Clock {
 public:
  std::int64_t wall_ns() const override { return 0; }
  std::int64_t monotonic_ns() const override { return looks_ += base::kNsPerMs; }

 private:
  mutable std::atomic<std::int64_t> looks_{0};
};

class LogPiecesTest : public ::testing::Test {
 protected:
  LogPiecesTest() {
    for (int i = 0; i < kEntries; ++i)
      store_.add({{"job", "a"}, {"pod", "p" + std::to_string(i % 3)}}, i * kSecond,
                 "line " + std::to_string(i));
    options_.answer_held_max = 0;
    options_.piece_bytes = 1000;
    request_.text = R"({job="a"})";
    request_.end_ns = kEntries * kSecond;
    request_.limit = 1'000'000;
    request_.large = LargeAnswer::kPieces;
  }
  base::Result<QueryResult> run(const base::Clock& clock = base::Clock::system()) const {
    return Engine(store_, clock, options_).run(request_);
  }
  // Reads until `then` has an error; how many entries came is in entries_.
  base::Status read(
      const QueryResult& answer,
      const std::function<base::Status()>& then = [] { return base::Status(); }) {
    entries_ = 0;
    return std::get<LogPiecesPtr>(answer.data)->read(&left_, [&](const LogPieces::Piece& piece) {
      entries_ += static_cast<int>(piece.entries.size());
      return then();
    });
  }

  mutable MemoryStore store_{100};
  EngineOptions options_;
  QueryRequest request_;
  std::atomic<bool> left_{false};
  int entries_ = 0;
};

TEST_F(LogPiecesTest, ComeOnlyWhenTheRequestTakesThemAndTheAnswerIsLarge) {
  ASSERT_TRUE(std::holds_alternative<LogPiecesPtr>(run()->data));
  request_.large = LargeAnswer::kWhole;
  EXPECT_TRUE(std::holds_alternative<Streams>(run()->data));
  request_.large = LargeAnswer::kFoldedPieces;
  options_.answer_held_max = 1U << 30;
  EXPECT_TRUE(std::holds_alternative<Streams>(run()->data));
  options_.memory_max = 200'000;  // of which an answer may hold a fourth
  EXPECT_TRUE(std::holds_alternative<LogPiecesPtr>(run()->data));
}

TEST_F(LogPiecesTest, MayBeReadAgainAfterAReaderHasLeft) {
  const auto answer = run();
  ASSERT_TRUE(answer.ok());
  const base::Status status = read(*answer, [this] {
    left_ = true;
    return base::Status();
  });
  EXPECT_EQ(status.code(), base::Code::kCancelled);
  EXPECT_GT(entries_, 0);
  EXPECT_LT(entries_, kEntries);
  left_ = false;
  EXPECT_EQ(read(*answer, [] { return base::unavailable("full"); }).code(),
            base::Code::kUnavailable);
  EXPECT_TRUE(read(*answer).ok());
  EXPECT_EQ(entries_, kEntries);
}

TEST_F(LogPiecesTest, EndAtTheQuerysDeadlineWhichWaitingForTheReaderDoesNotBringNearer) {
  CountingClock clock;
  request_.timeout_ns = 3600 * kSecond;
  const std::int64_t before = clock.monotonic_ns();
  ASSERT_TRUE(run(clock).ok());
  const std::int64_t finding = clock.monotonic_ns() - before;
  request_.timeout_ns = finding + 100 * base::kNsPerMs;  // finding takes the same again
  const auto answer = run(clock);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(read(*answer).code(), base::Code::kDeadlineExceeded);
  EXPECT_GT(entries_, 0);
  EXPECT_LT(entries_, kEntries);

  request_.timeout_ns = finding + 100 * kSecond;
  const auto slow = run(clock);
  ASSERT_TRUE(slow.ok());
  const base::Status status = read(*slow, [&clock] {
    for (int i = 0; i < 1000; ++i) clock.monotonic_ns();
    return base::Status();
  });
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(entries_, kEntries);
}

}  // namespace
}  // namespace skald::query
