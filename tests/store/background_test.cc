// Seals, merges, retention, deletes and backups in the background while others push and scan: every
// scan sees what was acknowledged before it began, exactly once. Run under the thread sanitizer.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <thread>

#include "store/store.h"
#include "tests/store/store_testing.h"

namespace skald::store {
namespace {

using testing::BatchBuilder;
using testing::everything;
using testing::matchers;
using testing::read_all;
using testing::TempDir;

constexpr int kPushers = 2;
constexpr int kBatches = 60;
constexpr int kRows = 20;
constexpr std::int64_t kDay = 24LL * 3600 * base::kNsPerSecond;

class Background : public ::testing::Test {
 protected:
  Background() {
    spdlog::set_level(spdlog::level::warn);
    options_.data_dir = dir_.path("data");
    options_.head_bytes_max = 16U << 10;  // about one seal in five batches
    options_.compaction_memory_max = 4U << 20;
    options_.retention = [](std::string_view) {
      RetentionPolicy policy;  // 30 days: nothing of this goes
      policy.rules.push_back({matchers("job", "job-0"), 20 * kDay, 1, 0});
      return policy;
    };
    auto store = Store::open(options_);
    EXPECT_TRUE(store.ok()) << store.status().to_string();
    store_ = std::move(store).value();
    store_->set_delete_filter_factory([](const DeleteRequest&) {
      return base::Result<std::vector<LineFilter>>(std::vector<LineFilter>());
    });
  }
  ~Background() override { spdlog::set_level(spdlog::level::info); }

  // Lines are `<pusher> <number>`, in order, so that a scan can tell what it should have seen.
  void push(int pusher) {
    const std::int64_t now_ns = base::Clock::system().wall_ns();
    for (int b = 0; b < kBatches; ++b) {
      BatchBuilder batch;
      for (int i = 0; i < kRows; ++i) {
        const int number = b * kRows + i;
        batch.add({{"job", "job-" + std::to_string(pusher)}, {"part", std::to_string(number % 7)}},
                  now_ns - (number % 5) * kDay - number,
                  std::to_string(pusher) + " " + std::to_string(number) + std::string(100, '.'));
      }
      const auto result = store_->append("t", batch.batch());
      ASSERT_TRUE(result.ok()) << result.status().to_string();
      acknowledged_[pusher] = (b + 1) * kRows;
    }
  }

  void scan() {
    do {
      int before[kPushers];
      for (int p = 0; p < kPushers; ++p) before[p] = acknowledged_[p];
      std::vector<std::string> warnings;
      const auto rows = read_all(*store_, "t", everything(), {INT64_MIN, INT64_MAX}, &warnings);
      EXPECT_TRUE(warnings.empty()) << warnings.front();
      EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end()) << "a row twice";
      int seen[kPushers] = {};
      for (const auto& row : rows) {
        const std::string& line = std::get<2>(row);
        const int pusher = line[0] - '0';
        if (std::stoi(line.substr(2)) < before[pusher]) ++seen[pusher];
      }
      for (int p = 0; p < kPushers; ++p) ASSERT_EQ(seen[p], before[p]) << "pusher " << p;
    } while (!done_);
  }

  void look_after() {
    int turn = 0;
    do {
      if (turn % 3 == 0) {
        EXPECT_TRUE(store_->compact().ok());
      }
      EXPECT_TRUE(store_->enforce_retention().ok());
      EXPECT_TRUE(store_->backup(dir_.path("backup")).ok());
      const LabelQuery query{"t", {0, INT64_MAX}, {}};
      EXPECT_LE(store_->series(query).value().size(), kPushers * 7U);
      EXPECT_LE(store_->label_values(query, "job").value().size(), std::size_t{kPushers});
      EXPECT_LE(store_->volume(query).value().size(), kPushers * 7U);
      DeleteRequest request;  // of rows that nobody has
      request.tenant = "t";
      request.matchers = matchers("job", "job-1");
      request.range = {0, kDay};
      const auto id = store_->add_delete(request);
      EXPECT_TRUE(id.ok()) << id.status().to_string();
      static_cast<void>(store_->stats());
      ++turn;
    } while (!done_);
  }

  const TempDir dir_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
  std::atomic<int> acknowledged_[kPushers] = {};
  std::atomic<bool> done_{false};
};

TEST_F(Background, ScansSeeEveryRowOnceWhileItMovesFromHeadToPartToPart) {
  std::vector<std::thread> others;
  others.emplace_back([this] { scan(); });
  others.emplace_back([this] { look_after(); });
  std::vector<std::thread> pushers;
  for (int p = 0; p < kPushers; ++p) pushers.emplace_back([this, p] { push(p); });
  for (std::thread& thread : pushers) thread.join();
  done_ = true;
  for (std::thread& thread : others) thread.join();
  EXPECT_GT(store_->stats().seals, 2U);
  EXPECT_TRUE(store_->compact().ok());
  EXPECT_GT(store_->stats().compactions, 0U);
  const auto want = read_all(*store_);
  EXPECT_EQ(want.size(), std::size_t{kPushers * kBatches * kRows});
  store_.reset();
  ASSERT_TRUE(restore(*options_.fs, dir_.path("backup"), dir_.path("restored")).ok());
  auto store = Store::open(options_);
  ASSERT_TRUE(store.ok()) << store.status().to_string();
  EXPECT_EQ(read_all(**store), want);
}

}  // namespace
}  // namespace skald::store
