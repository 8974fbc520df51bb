// What keeps a store within bounds: limits of bytes on streams, memory and I/O of merges; and the
// index file, without which all is answered alike.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "store/catalog/part_handle.h"
#include "store/compact/throttle.h"
#include "tests/store/store_testing.h"

namespace skald::store {
namespace {

using testing::BatchBuilder;
using testing::matchers;
using testing::read_all;
using testing::TempDir;

constexpr std::int64_t kDay = 24LL * 3600 * base::kNsPerSecond;
constexpr std::int64_t kT0 = 20'000 * kDay;

class Bounds : public ::testing::Test {
 protected:
  Bounds() : clock_(kT0 + kDay) {
    options_.data_dir = dir_.path("data");
    options_.background_threads = 0;
    options_.clock = &clock_;
  }
  void open() {
    store_.reset();
    auto store = Store::open(options_);
    ASSERT_TRUE(store.ok()) << store.status().to_string();
    store_ = std::move(store).value();
  }
  // A part of one job's rows of one day.
  void fill(const std::string& job, std::int64_t from_ns, int rows = 50, std::size_t padding = 10) {
    BatchBuilder batch;
    for (int i = 0; i < rows; ++i)
      batch.add({{"job", job}}, from_ns + i,
                job + " " + std::to_string(from_ns + i) + std::string(padding, '.'));
    ASSERT_TRUE(store_->append("t", batch.batch()).ok());
    ASSERT_TRUE(store_->flush().ok());
  }
  std::vector<std::string> part_files() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(options_.data_dir))
      if (entry.path().extension() == ".part") out.push_back(entry.path());
    return out;
  }

  const TempDir dir_;
  base::ManualClock clock_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
};

TEST_F(Bounds, ALimitOfBytesOnAStreamSelectorDropsItsOldestRowsAlone) {
  std::uint64_t bytes_max = 0;
  options_.retention = [&](std::string_view) {
    RetentionPolicy policy;
    policy.period_ns = 0;
    policy.rules.push_back({matchers("job", "chatty"), 0, 1, bytes_max});
    return policy;
  };
  open();
  for (int day = 3; day > 0; --day) {
    fill("chatty", kT0 - day * kDay);
    fill("calm", kT0 - day * kDay);
  }
  ASSERT_TRUE(store_->enforce_retention().ok());
  EXPECT_EQ(read_all(*store_).size(), 300U) << "0 bytes is no limit";
  bytes_max = store_->stats().part_bytes / 3;  // of six parts alike: two of its three
  ASSERT_TRUE(store_->enforce_retention().ok());
  const auto chatty = read_all(*store_, "t", matchers("job", "chatty"));
  EXPECT_LT(chatty.size(), 150U);
  EXPECT_GE(chatty.size(), 50U);
  for (const auto& row : chatty) EXPECT_GE(std::get<1>(row), kT0 - 2 * kDay) << "newer rows went";
  EXPECT_EQ(read_all(*store_, "t", matchers("job", "calm")).size(), 150U);
}

TEST_F(Bounds, WithoutAPeriodNothingIsTooOldAndNothingGoes) {
  options_.retention = [](std::string_view) {
    RetentionPolicy policy;
    policy.period_ns = 0;
    return policy;
  };
  open();
  fill("old", kT0 - 3000 * kDay);
  ASSERT_TRUE(store_->enforce_retention().ok());
  ASSERT_TRUE(store_->compact().ok());
  EXPECT_EQ(read_all(*store_).size(), 50U);
}

TEST_F(Bounds, AMergeKeepsItsGroupsWithinTheMemoryAllowed) {
  options_.compaction_memory_max = 5U << 20;
  open();
  for (int part = 0; part < 12; ++part) fill("bulk", kT0 + part * 1000, 300, 900);
  ASSERT_TRUE(store_->compact().ok());
  const auto files = part_files();
  ASSERT_EQ(files.size(), 1U);
  const auto reader = catalog::open_reader(base::FileSystem::posix(), files[0]);
  ASSERT_TRUE(reader.ok());
  EXPECT_GE((*reader)->row_groups().size(), 3U);
  for (const auto& group : (*reader)->row_groups()) EXPECT_LE(group.line_bytes, 1U << 20);
  EXPECT_EQ(read_all(*store_).size(), 3600U);
  EXPECT_GE(store_->stats().compaction_io_bytes,
            store_->stats().compacted_bytes / 2 + (*reader)->file_bytes() / 2);
}

TEST(Throttle, HoldsBackToTheRateAfterABurstAndEndsAtAShutdown) {
  compact::ThrottleTotals totals;
  std::atomic<bool> stopping{false};
  compact::Throttle free_of_limits(0, totals, &stopping);
  free_of_limits.spent(1U << 30);
  EXPECT_EQ(totals.wait_ns, 0U);
  compact::Throttle throttle(1'000'000, totals, &stopping);
  throttle.spent(1'000'000);  // a second's worth at once is allowed
  throttle.spent(100'000);
  EXPECT_GE(totals.wait_ns, 50'000'000U);
  EXPECT_EQ(totals.bytes, (1U << 30) + 1'100'000U);
  stopping = true;
  throttle.spent(1'000'000'000'000);  // eleven days, were it to wait
}

TEST_F(Bounds, AMissingTruncatedOrGarbageIndexChangesNoAnswer) {
  open();
  fill("api", kT0);
  fill("db", kT0 + 1000);
  const std::string file = options_.data_dir + "/index/data.mdb";
  ASSERT_TRUE(std::filesystem::exists(file));
  const std::function<void()> damages[] = {
      [&] { std::filesystem::remove(file); },
      [&] { std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2); },
      [&] { std::filesystem::resize_file(file, 100); },
      [&] { std::ofstream(file, std::ios::binary) << std::string(1U << 16, 'x'); },
  };
  int serial = 0;
  for (const auto& damage : damages) {
    const auto want = read_all(*store_);
    const auto jobs = store_->label_values({"t", {0, INT64_MAX}, {}}, "job").value();
    store_.reset();
    damage();
    open();
    EXPECT_EQ(store_->stats().index_rebuilds, 1U);
    EXPECT_EQ(read_all(*store_), want);
    const LabelQuery query{"t", {0, INT64_MAX}, matchers("job", "db")};
    EXPECT_EQ(store_->label_values({"t", {0, INT64_MAX}, {}}, "job").value(), jobs);
    EXPECT_EQ(store_->series(query).value().size(), 1U);
    fill("more-" + std::to_string(serial++), kT0 + 2000, 1);  // and it is written anew
    ASSERT_TRUE(std::filesystem::exists(file));
    store_.reset();
    open();
    EXPECT_EQ(store_->stats().index_rebuilds, 0U);
    EXPECT_EQ(read_all(*store_, "t", matchers("job", "api")).size(), 50U);
  }
}

}  // namespace
}  // namespace skald::store
