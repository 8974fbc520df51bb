// Compaction, retention, deletes, backup, restore and check of a whole store.
#include <gtest/gtest.h>

#include <fstream>

#include "store/compact/merge_plan.h"
#include "store/store.h"
#include "tests/store/store_testing.h"

namespace skald::store {
namespace {

using testing::BatchBuilder;
using testing::everything;
using testing::matchers;
using testing::read_all;
using testing::Row;
using testing::TempDir;

constexpr std::int64_t kHour = 3600 * base::kNsPerSecond;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kT0 = 20'000 * kDay;
const model::Labels kApi{{"job", "api"}};
const model::Labels kDb{{"job", "db"}};

class Upkeep : public ::testing::Test {
 protected:
  Upkeep() : clock_(kT0 + kDay) {
    options_.data_dir = dir_.path("data");
    options_.background_threads = 0;
    options_.clock = &clock_;
  }
  void open() {
    store_.reset();
    auto store = Store::open(options_);
    ASSERT_TRUE(store.ok()) << store.status().to_string();
    store_ = std::move(store).value();
    store_->set_delete_filter_factory([](const DeleteRequest& request) {
      std::vector<LineFilter> filters;
      for (const auto& text : request.line_filters) {
        LineFilter filter;
        filter.clauses = {{text}};
        filters.push_back(std::move(filter));
      }
      return base::Result<std::vector<LineFilter>>(std::move(filters));
    });
  }
  AppendResult append(const BatchBuilder& batch, const std::string& tenant = "t") {
    auto result = store_->append(tenant, batch.batch());
    EXPECT_TRUE(result.ok()) << result.status().to_string();
    return result.ok() ? *result : AppendResult{};
  }
  void fill(int parts, std::int64_t from_ns = kT0, const std::string& tenant = "t") {
    for (int part = 0; part < parts; ++part) {
      BatchBuilder batch;
      for (int i = 0; i < 20; ++i)
        batch.add(i % 2 ? kApi : kDb, from_ns + (part * 20 + i) * base::kNsPerSecond,
                  R"({"n": )" + std::to_string(part * 20 + i) + R"(, "text": "hello"})");
      append(batch, tenant);
      ASSERT_TRUE(store_->flush().ok());
    }
  }

  const TempDir dir_;
  base::ManualClock clock_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
};

TEST_F(Upkeep, CompactionKeepsEveryRowAndMergesPartsOfADay) {
  open();
  fill(5);
  fill(2, kT0 - 3 * kDay);
  const auto want = read_all(*store_);
  ASSERT_EQ(want.size(), 140U);
  EXPECT_EQ(store_->stats().parts, 7U);
  ASSERT_TRUE(store_->compact().ok());
  EXPECT_EQ(store_->stats().parts, 2U);
  EXPECT_EQ(store_->stats().compactions, 2U);
  EXPECT_EQ(read_all(*store_), want);
  ASSERT_TRUE(store_->compact().ok());
  EXPECT_EQ(store_->stats().compactions, 2U) << "nothing is left worth merging";
  open();
  EXPECT_EQ(store_->stats().parts, 2U);
  EXPECT_EQ(read_all(*store_), want);
}

TEST_F(Upkeep, AnOpenScanOutlivesTheMergeOfItsParts) {
  open();
  fill(3);
  const auto want = read_all(*store_);
  ScanRequest request;
  request.tenant = "t";
  request.matchers = everything();
  request.range = {0, INT64_MAX};
  auto scan = store_->open_scan(request);
  ASSERT_TRUE(scan.ok());
  ASSERT_TRUE(store_->compact().ok());
  testing::Collector collector((*scan)->streams());
  ASSERT_TRUE((*scan)->run(collector, {}).ok());
  EXPECT_TRUE((*scan)->warnings().empty());
  std::sort(collector.rows.begin(), collector.rows.end());
  EXPECT_EQ(collector.rows, want);
}

TEST_F(Upkeep, ARefusedEntryDoesNotTakeItsNeighboursWithIt) {
  options_.retention = [](std::string_view) {
    RetentionPolicy policy;
    policy.period_ns = 10 * kDay;
    policy.rules.push_back({matchers("job", "db"), 2 * kDay, 1});
    return policy;
  };
  open();
  BatchBuilder batch;
  batch.add(kApi, kT0 - 5 * kDay, "kept").add(kApi, kT0 - 20 * kDay, "refused");
  batch.add(kDb, kT0 - 5 * kDay, "refused by its rule").add(kDb, kT0, "kept");
  const AppendResult result = append(batch);
  EXPECT_EQ(result.appended, 2U);
  EXPECT_EQ(result.too_old, 2U);
  EXPECT_NE(result.too_old_message.find("retention period 240h"), std::string::npos)
      << result.too_old_message;
  EXPECT_NE(result.too_old_message.find(R"({job="api"})"), std::string::npos);
  EXPECT_EQ(read_all(*store_).size(), 2U);
}

TEST_F(Upkeep, RetentionByTimeDropsPartsAndStreamsWithRules) {
  std::int64_t period_ns = 0;
  bool with_rule = false;
  options_.retention = [&](std::string_view) {
    RetentionPolicy policy;
    policy.period_ns = period_ns;
    if (with_rule) policy.rules.push_back({matchers("job", "db"), 2 * kHour, 1});
    return policy;
  };
  open();
  fill(1, kT0 - 5 * kDay);
  fill(1, kT0);
  period_ns = 3 * kDay;
  ASSERT_TRUE(store_->enforce_retention().ok());
  EXPECT_EQ(read_all(*store_).size(), 20U);
  EXPECT_EQ(store_->stats().retention_deleted_parts, 1U);
  with_rule = true;
  ASSERT_TRUE(store_->enforce_retention().ok());
  EXPECT_EQ(read_all(*store_).size(), 10U);
  EXPECT_EQ(read_all(*store_, "t", matchers("job", "db")).size(), 0U);
  open();
  EXPECT_EQ(read_all(*store_).size(), 10U);
}

TEST_F(Upkeep, RetentionByBytesDropsTheOldestFirst) {
  std::uint64_t tenant_max = 0;
  options_.retention = [&](std::string_view tenant) {
    RetentionPolicy policy;
    policy.period_ns = 0;
    if (tenant == "small") policy.bytes_max = tenant_max;
    return policy;
  };
  open();
  fill(1, kT0 - 5 * kDay, "small");
  fill(1, kT0, "small");
  fill(2, kT0 - 9 * kDay);
  tenant_max = store_->stats().part_bytes / 4 + 50;
  ASSERT_TRUE(store_->enforce_retention().ok());
  EXPECT_EQ(read_all(*store_, "small").size(), 20U);
  EXPECT_EQ(std::get<1>(read_all(*store_, "small")[0]) >= kT0, true);
  EXPECT_EQ(read_all(*store_).size(), 40U) << "the other tenant has no limit of its own";
  options_.disk_bytes_max = store_->stats().part_bytes - 1;
  open();
  ASSERT_TRUE(store_->enforce_retention().ok());
  EXPECT_EQ(read_all(*store_).size(), 20U);
  EXPECT_EQ(read_all(*store_, "small").size(), 20U);
}

TEST_F(Upkeep, DeletesHideRowsAtOnceAndCompactionRemovesThem) {
  open();
  fill(2);
  BatchBuilder in_head;
  in_head.add(kApi, kT0 + 5, R"({"n": 7, "in": "head"})");
  append(in_head);
  ASSERT_EQ(read_all(*store_).size(), 41U);
  DeleteRequest request;
  request.tenant = "t";
  request.query = R"({job="api"} |= "\"n\": 7")";
  request.matchers = matchers("job", "api");
  request.line_filters = {R"("n": 7)"};
  request.range = {kT0, kT0 + kDay};
  const auto id = store_->add_delete(request);
  ASSERT_TRUE(id.ok()) << id.status().to_string();
  EXPECT_EQ(read_all(*store_).size(), 39U);
  open();
  EXPECT_EQ(read_all(*store_).size(), 39U) << "in force after a restart";
  ASSERT_TRUE(store_->cancel_delete("t", *id).ok());
  EXPECT_EQ(read_all(*store_).size(), 41U);
  EXPECT_EQ(store_->cancel_delete("t", *id).code(), base::Code::kNotFound);

  ASSERT_TRUE(store_->add_delete(request).ok());
  ASSERT_TRUE(store_->compact().ok());
  ASSERT_EQ(store_->deletes("t").size(), 1U);
  EXPECT_EQ(store_->deletes("t")[0].state, DeleteRequest::State::kProcessed);
  EXPECT_EQ(read_all(*store_).size(), 39U);
  EXPECT_EQ(store_->stats().part_entries, 39U) << "gone from the files";
  EXPECT_EQ(store_->cancel_delete("t", store_->deletes("t")[0].id).code(), base::Code::kConflict);
}

TEST_F(Upkeep, ACancelledDeleteLeavesNothingToTheNext) {
  open();
  fill(1);
  DeleteRequest request;
  request.tenant = "t";
  request.matchers = matchers("job", "api");
  request.range = {0, INT64_MAX};
  request.line_filters = {"no line has this"};
  const auto first = store_->add_delete(request);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(read_all(*store_).size(), 20U);
  ASSERT_TRUE(store_->cancel_delete("t", *first).ok());
  request.line_filters = {"hello"};  // within the same second
  const auto second = store_->add_delete(request);
  ASSERT_TRUE(second.ok());
  EXPECT_NE(*second, *first);
  EXPECT_EQ(read_all(*store_).size(), 10U);
}

TEST_F(Upkeep, BackupIsIncrementalAndRestoresWhatWasAcknowledged) {
  open();
  fill(2);
  BatchBuilder marked;
  marked.add(kApi, kT0 + 1, "marked").mark("agent", "file", 0, 10);
  append(marked);
  const auto want = read_all(*store_);
  ASSERT_TRUE(store_->backup(dir_.path("backup")).ok());
  EXPECT_FALSE(store_->backup(dir_.path("data/wal/..")).ok()) << "not empty, no backup";
  fill(1, kT0 + kHour);
  const auto more = read_all(*store_);
  ASSERT_TRUE(store_->backup(dir_.path("backup")).ok());
  auto& fs = base::FileSystem::posix();
  ASSERT_TRUE(restore(fs, dir_.path("backup"), dir_.path("restored")).ok());
  EXPECT_EQ(restore(fs, dir_.path("backup"), dir_.path("restored")).code(),
            base::Code::kInvalidArgument);
  options_.data_dir = dir_.path("restored");
  open();
  EXPECT_EQ(read_all(*store_), more);
  ASSERT_EQ(store_->marks("t", "agent").size(), 1U);
  EXPECT_EQ(store_->marks("t", "agent")[0].end_offset, 10U);
}

std::vector<std::string> part_files(const std::string& data_dir) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data_dir))
    if (entry.path().extension() == ".part") out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

void flip_byte(const std::string& path, double where) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto at = static_cast<std::streamoff>(
      static_cast<double>(std::filesystem::file_size(path) - 1) * where);
  file.seekg(at);
  const char byte = static_cast<char>(file.get() ^ 0x55);
  file.seekp(at);
  file.put(byte);
}

TEST_F(Upkeep, ADamagedPartIsQuarantinedAndTheRestServed) {
  open();
  fill(3);
  store_.reset();
  const auto files = part_files(options_.data_dir);
  ASSERT_EQ(files.size(), 3U);
  flip_byte(files[1], 1.0);  // the end of the file: the footer
  auto report = check(base::FileSystem::posix(), options_.data_dir, false, true);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->parts, 3U);
  EXPECT_EQ(report->damaged_parts, 1U);
  ASSERT_EQ(report->findings.size(), 1U);
  open();
  EXPECT_EQ(store_->stats().quarantined_parts, 1U);
  EXPECT_EQ(read_all(*store_).size(), 40U);
  EXPECT_TRUE(store_->compact().ok());
  EXPECT_EQ(read_all(*store_).size(), 40U);
}

TEST_F(Upkeep, DamageInsideAPartIsAWarning) {
  open();
  fill(3);
  store_.reset();
  const auto files = part_files(options_.data_dir);
  flip_byte(files[1], 0.2);
  const auto report = check(base::FileSystem::posix(), options_.data_dir, true, false);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->damaged_parts, 1U);
  open();
  std::vector<std::string> warnings;
  const auto rows = read_all(*store_, "t", everything(), {0, INT64_MAX}, &warnings);
  EXPECT_GE(rows.size(), 40U);
  EXPECT_LT(rows.size(), 60U);
  EXPECT_EQ(warnings.size(), 1U);
  static_cast<void>(store_->compact().ok());  // may name the damage, must not lose the others
  EXPECT_GE(read_all(*store_).size(), 40U);
}

TEST_F(Upkeep, ForeignAndTornFilesDoNotStopTheStart) {
  open();
  fill(1);
  BatchBuilder batch;
  batch.add(kApi, kT0 + kHour, "in the log");
  append(batch);
  store_.reset();
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(options_.data_dir + "/" + name, std::ios::binary) << bytes;
  };
  write("CHECKPOINT", "garbage");
  write("FORMAT", "\1\2\3");
  write("tenants/t/deletes", "garbage");
  write("tenants/t/parts/notes.txt", "hello");
  write("tenants/t/parts/1_0000000000000001_0000000000000001_0.part.tmp", "half a part");
  write("tenants/not%a%tenant", "");
  write("wal/zz.wal", "hello");
  write("wal/00000000000000aa.wal", "torn");
  std::filesystem::create_directories(options_.data_dir + "/tenants/%zz");
  open();
  EXPECT_EQ(read_all(*store_).size(), 21U);
}

TEST_F(Upkeep, FileMarksComeFromTheIndexWhenCheckpointIsDamagedOrMissing) {
  open();
  BatchBuilder marked;
  marked.add(kApi, kT0, "marked").mark("agent", "file", 0, 10);
  append(marked);
  ASSERT_TRUE(store_->flush().ok());
  for (const bool missing : {false, true}) {
    store_.reset();
    const std::string path = options_.data_dir + "/CHECKPOINT";
    if (missing) {
      ASSERT_TRUE(std::filesystem::remove(path));
    } else {
      std::ofstream(path, std::ios::binary) << "garbage";
    }
    open();
    ASSERT_EQ(store_->marks("t", "agent").size(), 1U) << (missing ? "missing" : "damaged");
    EXPECT_EQ(store_->marks("t", "agent")[0].end_offset, 10U);
  }
}

// Of two parts whose names overlap, as stores of the time when names were wider than their rows
// have them, neither is merged without the other: the result's name would cover the other.
TEST(MergePlan, PartsWhoseNamesOverlapAreMergedTogetherWhateverTheirSizes) {
  catalog::PartList parts;
  const auto add = [&](std::uint64_t first, std::uint64_t last, std::uint64_t line_bytes) {
    catalog::PartMeta meta;
    meta.name = {20'000, first, last, 0};
    meta.line_bytes = line_bytes;
    parts.push_back(std::make_shared<catalog::PartHandle>(base::FileSystem::posix(), "", meta));
  };
  const auto runs = [&] {
    std::vector<std::size_t> sizes;  // newest first
    for (const auto& run : compact::plan_merges(parts, 1, [](const auto&) { return false; }))
      sizes.push_back(run.inputs.size());
    return sizes;
  };
  add(1, 10, 1000);
  add(11, 20, 1);
  EXPECT_EQ(runs(), (std::vector<std::size_t>{1, 1}));
  parts.pop_back();
  add(1, 20, 1);
  EXPECT_EQ(runs(), (std::vector<std::size_t>{2}));
}

}  // namespace
}  // namespace skald::store
