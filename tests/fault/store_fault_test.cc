// A short life of a store, in which the n-th write fails or the power goes, for every n: whatever
// was acknowledged is there afterwards exactly once, and the store always starts.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <set>
#include <thread>

#include "store/catalog/layout.h"
#include "tests/fault/fault_fs.h"
#include "tests/store/store_testing.h"

namespace skald::store {
namespace {

using skald::testing::FaultFs;
using testing::BatchBuilder;
using testing::everything;
using testing::read_all;
using testing::Row;

constexpr std::int64_t kDay = 24LL * 3600 * base::kNsPerSecond;
constexpr std::int64_t kT0 = 20'000 * kDay;
const model::Labels kApi{{"job", "api"}};
const model::Labels kDb{{"job", "db"}};

StoreOptions options(FaultFs& fs) {
  StoreOptions out;
  out.data_dir = "/data";
  out.fs = &fs;
  out.background_threads = 0;
  return out;
}

struct Life {
  std::vector<Row> acknowledged;
  std::uint64_t stored_to = 0;  // of the one file
  std::uint64_t refused = 0;
};

// Appends as an agent does: a refused batch is sent again with the same rows and marks.
void append(Store& store, Life& life, int number, bool retry) {
  BatchBuilder batch;
  std::vector<Row> rows;
  for (int i = 0; i < 3; ++i) {
    const auto& labels = i == 0 ? kApi : kDb;
    const std::int64_t time_ns = kT0 + (i == 1 ? 0 : kDay) + number;
    const std::string line = R"({"n": )" + std::to_string(number * 3 + i) + "}";
    batch.add(labels, time_ns, line);
    rows.emplace_back(labels.to_string(), time_ns, line, "");
  }
  batch.mark("agent", "file", life.stored_to, life.stored_to + 10);
  for (int attempt = 0; attempt < (retry ? 3 : 1); ++attempt) {
    const auto result = store.append("t", batch.batch());
    if (!result.ok()) {
      ++life.refused;
      continue;
    }
    life.stored_to += 10;
    life.acknowledged.insert(life.acknowledged.end(), rows.begin(), rows.end());
    return;
  }
}

void append_and_flush(Store& store, Life& life, int number) {
  append(store, life, number, false);
  ASSERT_TRUE(store.flush().ok());
}

void live(FaultFs& fs, Life& life, bool retry) {
  auto store = Store::open(options(fs));
  if (!store.ok()) return;
  int number = 0;
  for (int round = 0; round < 3; ++round) {
    append(**store, life, number++, retry);
    append(**store, life, number++, retry);
    static_cast<void>((*store)->flush().ok());
    append(**store, life, number++, retry);
  }
  static_cast<void>((*store)->flush().ok());
  static_cast<void>((*store)->compact().ok());
  append(**store, life, number++, retry);
}

// Rows of a batch that was never acknowledged may be there, but then whole and once.
void expect_exactly_once(FaultFs& fs, const Life& life, const std::string& what) {
  auto store = Store::open(options(fs));
  ASSERT_TRUE(store.ok()) << what << ": " << store.status().to_string();
  std::vector<std::string> warnings;
  const auto rows = read_all(**store, "t", everything(), {0, INT64_MAX}, &warnings);
  EXPECT_TRUE(warnings.empty()) << what << ": " << warnings.front();
  EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end()) << what << ": a row twice";
  for (const Row& row : life.acknowledged)
    EXPECT_TRUE(std::binary_search(rows.begin(), rows.end(), row))
        << what << ": lost " << std::get<2>(row);
  EXPECT_LE(rows.size(), life.acknowledged.size() + 3 * (life.refused + 1)) << what;
  EXPECT_EQ(rows.size() % 3, 0U) << what << ": a batch in part";
  const auto marks = (*store)->marks("t", "agent");
  EXPECT_GE(marks.empty() ? 0 : marks[0].end_offset, life.stored_to) << what;
}

class StoreFault : public ::testing::Test {
 protected:
  StoreFault() {
    spdlog::set_level(spdlog::level::off);
    FaultFs fs;
    Life life;
    live(fs, life, false);
    writes_ = fs.writes();
    EXPECT_EQ(life.acknowledged.size(), 30U);
  }
  ~StoreFault() override { spdlog::set_level(spdlog::level::info); }
  std::uint64_t writes_ = 0;
};

TEST_F(StoreFault, APowerCutAtAnyWriteLosesNothingAcknowledged) {
  ASSERT_GT(writes_, 50U);
  for (const unsigned keep_permille : {0U, 500U, 1000U})
    for (std::uint64_t n = 1; n <= writes_; ++n) {
      FaultFs fs;
      Life life;
      fs.crash_at(n);
      live(fs, life, false);
      fs.power_cycle(keep_permille);
      expect_exactly_once(
          fs, life, "cut at " + std::to_string(n) + " keeping " + std::to_string(keep_permille));
    }
}

TEST_F(StoreFault, APowerCutDuringRecoveryLosesNothingEither) {
  for (std::uint64_t n = 1; n <= writes_; n += 4)
    for (std::uint64_t m = 1; m <= 40; m += 5) {
      FaultFs fs;
      Life life;
      fs.crash_at(n);
      live(fs, life, false);
      fs.power_cycle(500);
      fs.crash_at(m);
      {
        auto store = Store::open(options(fs));
        if (store.ok()) static_cast<void>((*store)->flush().ok());
      }
      fs.power_cycle(300);
      expect_exactly_once(fs, life, "cuts at " + std::to_string(n) + ", " + std::to_string(m));
    }
}

TEST_F(StoreFault, OneFailedWriteIsSurvivedAndRetriesAreNotStoredTwice) {
  for (const int error : {ENOSPC, EIO})
    for (std::uint64_t n = 1; n <= writes_; ++n) {
      FaultFs fs;
      Life life;
      fs.fail_at(n, error, false);
      live(fs, life, true);
      expect_exactly_once(fs, life, "failure at " + std::to_string(n));
      fs.power_cycle(0);
      expect_exactly_once(fs, life, "failure at " + std::to_string(n) + ", then a power cut");
    }
}

// Each new directory's name, in whatever directory it is in, and also where the first start failed
// between making one and syncing the name.
TEST_F(StoreFault, TheDirectoriesThatAStartMakesOutliveAPowerCut) {
  std::uint64_t n = 1;
  for (bool failed = true; failed; ++n) {  // until no write of the start is left to fail
    FaultFs fs;
    StoreOptions nested = options(fs);
    nested.data_dir = "/srv/skald/data";
    fs.fail_at(n, EIO, false);
    auto store = Store::open(nested);
    failed = !store.ok();
    fs.heal();
    if (failed) store = Store::open(nested);
    ASSERT_TRUE(store.ok());
    Life life;
    append(**store, life, 0, false);
    store->reset();
    fs.power_cycle(0);
    store = Store::open(nested);
    ASSERT_TRUE(store.ok());
    EXPECT_EQ(read_all(**store).size(), 3U) << "failure at " << n;
  }
  EXPECT_GT(n, 10U);
}

// A failed write, then a start that trusts the names it sees, then a seal that drops the log, then
// power goes: names that no sync ever covered must not have been counted on.
TEST_F(StoreFault, APartWhoseNameWasNotDurableIsNotTheOnlyCopyAfterTheNextStart) {
  std::uint64_t n = 1;
  for (bool failed = true; failed; ++n) {  // until no write of the flush is left to fail
    FaultFs fs;
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    Life life;
    append(**store, life, 0, false);
    fs.fail_at(n, EIO, false);
    failed = !(*store)->flush().ok();
    fs.heal();
    store->reset();
    store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    ASSERT_TRUE((*store)->flush().ok());
    BatchBuilder other;  // of another tenant: the first one's directory is not synced by its seal
    other.add(kApi, kT0, "other");
    ASSERT_TRUE((*store)->append("u", other.batch()).ok());
    ASSERT_TRUE((*store)->flush().ok());
    store->reset();
    fs.power_cycle(0);
    expect_exactly_once(fs, life, "failure at " + std::to_string(n));
  }
  EXPECT_GT(n, 10U);
}

// The process dies in a seal, behind some of its parts and before CHECKPOINT; what the next one
// seals is small and merged by itself, and then it dies, too. No part's name may take in rows that
// are in another part.
TEST_F(StoreFault, WhatIsSealedAfterADeathInASealCoversNoneOfItsParts) {
  std::uint64_t n = 1;
  for (bool seal_failed = true; seal_failed; ++n) {  // until no write is left to fail
    std::uint64_t m = 1;
    for (bool merge_failed = true; merge_failed; ++m) {
      FaultFs fs;
      auto store = Store::open(options(fs));
      ASSERT_TRUE(store.ok());
      Life life;
      int number = 0;
      while (number < 10) append(**store, life, number++, false);
      fs.fail_at(n, EIO, true);
      seal_failed = !(*store)->flush().ok();
      store->reset();
      fs.heal();
      store = Store::open(options(fs));
      ASSERT_TRUE(store.ok());
      append_and_flush(**store, life, number++);
      fs.fail_at(m, EIO, true);
      merge_failed = !(*store)->compact().ok();
      store->reset();
      fs.heal();
      expect_exactly_once(fs, life,
                          "seal's write " + std::to_string(n) + ", merge's " + std::to_string(m));
    }
    EXPECT_GT(m, 5U);
  }
  EXPECT_GT(n, 10U);
}

// A merge one of whose writes failed, then a start that removes what a part it sees covers, then
// power goes: the removals may outlive it, so the part's name must have been made durable first.
TEST_F(StoreFault, WhatAMergeCoversIsRemovedAtAStartOnlyBehindADurableName) {
  std::uint64_t n = 1;
  for (bool failed = true; failed; ++n) {  // until no write of the merge is left to fail
    FaultFs fs;
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    Life life;
    for (int number = 0; number < 2; ++number) append_and_flush(**store, life, number);
    fs.keep_removals();
    const std::uint64_t before = fs.writes();
    fs.fail_at(n, EIO, false);
    ASSERT_TRUE((*store)->compact().ok() || fs.writes() >= before + n);
    failed = fs.writes() >= before + n;
    fs.heal();
    store->reset();
    store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    store->reset();
    fs.power_cycle(0);
    expect_exactly_once(fs, life, "failure at " + std::to_string(n));
  }
  EXPECT_GT(n, 4U);
}

// A merge that failed behind its renaming, then one of more parts: both results have the same
// level, so neither covers the other.
TEST_F(StoreFault, WhatAFailedMergeLeftIsNotTakenBesideWhatALaterOneMade) {
  for (const bool sticky : {false, true}) {
    std::uint64_t n = 1;
    for (bool failed = true; failed; ++n) {  // until no write of the merge is left to fail
      FaultFs fs;
      auto store = Store::open(options(fs));
      ASSERT_TRUE(store.ok());
      Life life;
      for (int number = 0; number < 2; ++number) append_and_flush(**store, life, number);
      fs.fail_at(n, EIO, sticky);
      failed = !(*store)->compact().ok();
      fs.heal();
      append_and_flush(**store, life, 2);
      ASSERT_TRUE((*store)->compact().ok());
      store->reset();
      expect_exactly_once(fs, life, "failure at " + std::to_string(n));
    }
    EXPECT_GT(n, 4U);
  }
}

// Deaths between parts and CHECKPOINT, and then the middle one of the parts is damaged: its rows
// come back from the log. `at_work` with the store that finds it so, whatever write had failed.
void with_a_damaged_middle_part(const std::function<void(Store&)>& at_work) {
  int damaged = 0;
  bool sealed = false;
  for (std::uint64_t n = 1; !sealed; ++n) {
    FaultFs fs;
    Life life;
    for (int number = 0; number < 3; ++number) {
      auto store = Store::open(options(fs));
      ASSERT_TRUE(store.ok());
      append(**store, life, number, false);
      fs.fail_at(n, EIO, true);
      sealed = (*store)->flush().ok();
      store->reset();
      fs.heal();
    }
    const std::vector<std::string> parts = fs.paths(".part");  // of two days
    if (parts.size() != 6 || fs.read_file("/data/CHECKPOINT", UINT64_MAX).ok()) continue;
    fs.flip_byte(parts[1], fs.read_file(parts[1], UINT64_MAX).value().size() - 1);
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    at_work(**store);
    store->reset();
    expect_exactly_once(fs, life, "failure at " + std::to_string(n));
    ++damaged;
  }
  EXPECT_GT(damaged, 0);
}

TEST_F(StoreFault, RowsThatCameBackForADamagedPartAreNotCoveredByItsNeighboursMerge) {
  with_a_damaged_middle_part([](Store& store) {
    EXPECT_EQ(store.stats().quarantined_parts, 1U);
    static_cast<void>(store.compact().ok());
  });
}

// What is asked for is a merge of all days: the one that has to wait does not hold up the others.
TEST_F(StoreFault, AMergeThatIsPutOffLeavesTheOthersTheirTurn) {
  with_a_damaged_middle_part([](Store& store) {
    EXPECT_EQ(store.compact().code(), base::Code::kUnavailable);
    EXPECT_EQ(store.stats().parts, 3U) << "two of the first day, and one of the second";
    EXPECT_EQ(store.stats().compactions, 1U);
    ASSERT_TRUE(store.flush().ok());
    EXPECT_TRUE(store.compact().ok());
    EXPECT_EQ(store.stats().parts, 2U);
  });
}

// Its rows are missing, but neither are they thrown away, nor do they take the place of new ones.
TEST_F(StoreFault, ALogThatCannotBeReadIsKeptAndItsSequencesAreNotGivenAgain) {
  FaultFs fs;
  Life lost, life;
  auto store = Store::open(options(fs));
  ASSERT_TRUE(store.ok());
  for (int number = 0; number < 5; ++number) append(**store, lost, number, false);
  store->reset();
  const std::string segment = fs.paths(".wal").at(0);
  fs.fail_reads(segment, EIO);
  store = Store::open(options(fs));
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE(read_all(**store).empty());
  for (int number = 10; number < 13; ++number) append_and_flush(**store, life, number);
  store->reset();
  EXPECT_EQ(fs.paths(".unreadable"), std::vector<std::string>{segment + ".unreadable"});
  for (const std::string& part : fs.paths(".part"))
    EXPECT_GT(catalog::PartName::parse(part.substr(part.rfind('/') + 1))->first_sequence, 5U);
  expect_exactly_once(fs, life, "after a seal");
}

// What a delete took the last row of has no successor whose name would cover it.
TEST_F(StoreFault, RowsOfAProcessedDeleteDoNotComeBackThoughAWriteFailed) {
  std::uint64_t n = 1;
  for (bool failed = true; failed; ++n) {  // until no write is left to fail
    FaultFs fs;
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    Life life;
    append_and_flush(**store, life, 0);
    DeleteRequest request;
    request.tenant = "t";
    request.matchers = everything();
    request.range = {0, INT64_MAX};
    ASSERT_TRUE((*store)->add_delete(request).ok());
    const std::uint64_t before = fs.writes();
    fs.fail_at(n, EIO, false);
    static_cast<void>((*store)->compact().ok());
    failed = fs.writes() >= before + n;
    fs.heal();
    ASSERT_TRUE((*store)->compact().ok());
    ASSERT_EQ((*store)->deletes("t").at(0).state, DeleteRequest::State::kProcessed);
    store->reset();
    store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    EXPECT_TRUE(read_all(**store).empty()) << "failure at " << n;
  }
  EXPECT_GT(n, 4U);
}

// The day of the second row of each append; the other two are of the next.
constexpr model::TimeRange kFirstDay{kT0, kT0 + kDay};

void delete_line(Store& store, const std::string& label, model::TimeRange range) {
  DeleteRequest request;
  request.tenant = "t";
  request.matchers = testing::matchers("job", label);
  request.range = range;
  ASSERT_TRUE(store.add_delete(request).ok());
}

// A scan holds a part while one delete takes some of its rows and another, or retention, the rest:
// its file is there still, and none is left whose name would cover it.
TEST_F(StoreFault, RowsOfAProcessedDeleteDoNotComeBackThoughAScanHeldTheirPart) {
  for (const bool by_retention : {false, true}) {
    FaultFs fs;
    base::ManualClock clock(kT0 + 2 * kDay);
    StoreOptions with = options(fs);
    with.clock = &clock;
    with.retention = [](std::string_view) {
      RetentionPolicy policy;
      policy.period_ns = 10 * kDay;
      return policy;
    };
    auto store = Store::open(with);
    ASSERT_TRUE(store.ok());
    Life life;
    append_and_flush(**store, life, 0);
    ScanRequest request;
    request.tenant = "t";
    request.matchers = everything();
    request.range = {0, INT64_MAX};
    auto scan = (*store)->open_scan(request);
    ASSERT_TRUE(scan.ok());
    delete_line(**store, "api", {0, INT64_MAX});
    ASSERT_TRUE((*store)->compact().ok());
    EXPECT_EQ((*store)->deletes("t").at(0).state, DeleteRequest::State::kProcessed);
    if (by_retention)
      clock.advance_ns(30 * kDay);
    else
      delete_line(**store, "db", {0, INT64_MAX});
    ASSERT_TRUE((*store)->compact().ok());
    ASSERT_TRUE((*store)->enforce_retention().ok());
    EXPECT_TRUE(read_all(**store).empty());
    const std::unique_ptr<FaultFs> killed = fs.clone();  // while the scan is open
    with.fs = killed.get();
    auto next = Store::open(with);
    ASSERT_TRUE(next.ok());
    // What retention has dropped a start may find again, until retention runs.
    for (const Row& row : read_all(**next))
      EXPECT_TRUE(by_retention && std::get<0>(row) == kDb.to_string()) << std::get<2>(row);
    scan->reset();
    EXPECT_TRUE(fs.paths(".part").empty());
  }
}

// As above, with a removal that fails in place of a scan.
TEST_F(StoreFault, RowsOfAProcessedDeleteDoNotComeBackThoughARemovalFailed) {
  std::uint64_t n = 1;
  for (bool failed = true; failed; ++n) {  // until no write is left to fail
    FaultFs fs;
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    Life life;
    append_and_flush(**store, life, 0);
    delete_line(**store, "api", {0, INT64_MAX});
    const std::uint64_t before = fs.writes();
    fs.fail_at(n, EIO, false);
    static_cast<void>((*store)->compact().ok());
    failed = fs.writes() >= before + n;
    fs.heal();
    ASSERT_TRUE((*store)->compact().ok());
    delete_line(**store, "db", {0, INT64_MAX});
    ASSERT_TRUE((*store)->compact().ok());
    ASSERT_EQ((*store)->deletes("t").at(1).state, DeleteRequest::State::kProcessed);
    store->reset();
    store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    EXPECT_TRUE(read_all(**store).empty()) << "failure at " << n;
  }
  EXPECT_GT(n, 8U);
}

// Damage that leaves some rows of a part readable: no merge can take them out, so a delete of them
// stays in force, and only there.
TEST_F(StoreFault, DeletedRowsOfADamagedPartStayHiddenAtTheNextStart) {
  FaultFs intact;
  auto store = Store::open(options(intact));
  ASSERT_TRUE(store.ok());
  BatchBuilder batch;  // lines of two shapes, which lie in two blocks; another part in the next day
  for (int i = 0; i < 60; ++i)
    batch.add(kApi, kT0 + i,
              (i % 2 == 0 ? R"({"a": "x)" : R"({"b": "y", "n": )") + std::to_string(i) +
                  (i % 2 == 0 ? "\"}" : "}"));
  batch.add(kDb, kT0 + kDay, "one").add(kDb, kT0 + kDay + 1, "two");
  ASSERT_TRUE((*store)->append("t", batch.batch()).ok());
  ASSERT_TRUE((*store)->flush().ok());
  store->reset();
  const std::string victim = intact.paths(".part").at(0);
  const std::size_t size = intact.read_file(victim, UINT64_MAX)->size();
  int found = 0;
  for (std::size_t at = 16; at < size && found < 3; ++at) {
    const std::unique_ptr<FaultFs> fs = intact.clone();
    fs->flip_byte(victim, at);
    store = Store::open(options(*fs));
    ASSERT_TRUE(store.ok());
    const std::size_t rows = read_all(**store).size();
    if (rows <= 2 || rows >= 62) continue;
    ++found;
    delete_line(**store, "api", {0, INT64_MAX});
    delete_line(**store, "db", {0, kT0 + kDay + 1});
    EXPECT_EQ((*store)->compact().code(), base::Code::kCorrupt);
    ASSERT_TRUE((*store)->compact().ok());
    EXPECT_EQ((*store)->deletes("t").at(0).state, DeleteRequest::State::kReceived);
    EXPECT_EQ((*store)->deletes("t").at(1).state, DeleteRequest::State::kProcessed);
    const std::uint64_t merges = (*store)->stats().compactions;
    EXPECT_EQ(merges, 1U);
    ASSERT_TRUE((*store)->compact().ok());
    EXPECT_EQ((*store)->stats().compactions, merges) << "what is done is not done again";
    store->reset();
    store = Store::open(options(*fs));
    ASSERT_TRUE(store.ok());
    EXPECT_EQ(read_all(**store).size(), 1U) << "damage at " << at;
  }
  EXPECT_EQ(found, 3);
}

// An agent that is told of a mark goes on behind it: it must not hear of one whose batch may fail.
TEST_F(StoreFault, AMarkIsToldOnlyOnceItsBatchIsDurable) {
  FaultFs fs;
  auto store = Store::open(options(fs));
  ASSERT_TRUE(store.ok());
  Life life;
  append(**store, life, 0, false);
  std::future<std::vector<model::FileMark>> told;
  fs.on_write([&] {
    if (told.valid()) return;
    told = std::async(std::launch::async, [&] { return (*store)->marks("t", "agent"); });
    // Long enough for an answer that does not wait for the write; one that does comes after it.
    told.wait_for(std::chrono::milliseconds(200));
  });
  fs.fail_at(1, EIO, true);
  append(**store, life, 1, false);
  EXPECT_EQ(life.refused, 1U);
  ASSERT_TRUE(told.valid());
  EXPECT_EQ(told.get().at(0).end_offset, life.stored_to);
}

TEST_F(StoreFault, AFullDiskRefusesAppendsKeepsAnsweringAndResumes) {
  for (std::uint64_t n = 1; n <= 40; ++n) {
    FaultFs fs;
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    Life life;
    append(**store, life, 0, false);
    fs.fail_at(n, ENOSPC, true);
    for (int number = 1; number < 5; ++number) append(**store, life, number, false);
    static_cast<void>((*store)->flush().ok());
    EXPECT_EQ(read_all(**store).size(), life.acknowledged.size());
    fs.heal();
    append(**store, life, 10, false);
    EXPECT_EQ(read_all(**store).size(), life.acknowledged.size());
    EXPECT_TRUE((*store)->flush().ok());
    EXPECT_EQ(read_all(**store).size(), life.acknowledged.size());
    store->reset();
    fs.power_cycle(0);
    expect_exactly_once(fs, life, "full from " + std::to_string(n));
  }
}

// An append whose sync failed is refused, but its record may be read at the next start; sent again
// it is then a duplicate, and acknowledged: so it must be durable by that time.
TEST_F(StoreFault, ARefusedAppendThatAStartBringsBackIsDurableBeforeItIsAcknowledged) {
  std::uint64_t refused = 0;
  for (std::uint64_t n = 1; n <= 6; ++n) {
    FaultFs fs;
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    Life life;
    append(**store, life, 0, false);
    fs.fail_at(n, EIO, true);
    append(**store, life, 1, false);
    fs.heal();
    refused += life.refused;
    store->reset();
    store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    append(**store, life, 1, true);
    store->reset();
    fs.power_cycle(0);
    expect_exactly_once(fs, life, "failure at " + std::to_string(n));
  }
  EXPECT_GE(refused, 2U);
}

// Too many open files, no memory: the process's trouble, which says nothing of what is stored.
TEST_F(StoreFault, AStartThatCannotReadForAReasonThatPassesFailsAndChangesNothing) {
  FaultFs fs;
  Life life;
  auto store = Store::open(options(fs));
  ASSERT_TRUE(store.ok());
  for (int number = 0; number < 2; ++number) append_and_flush(**store, life, number);
  append(**store, life, 2, false);
  delete_line(**store, "none", {0, INT64_MAX});
  store->reset();
  const std::string tenant = "/data/tenants/t";
  std::vector<std::string> all = fs.paths("");
  all.insert(all.end(), {"/data/tenants", tenant + "/parts", "/data/wal"});
  EXPECT_EQ(all.size(), 11U) << "FORMAT, CHECKPOINT, deletes, a segment, four parts, directories";
  for (const std::string& path : all)
    for (const int error : {EMFILE, ENOMEM, EACCES}) {
      const std::vector<std::string> before = fs.paths("");
      fs.fail_reads(path, error);
      const auto refused = Store::open(options(fs));
      ASSERT_FALSE(refused.ok()) << path;
      EXPECT_EQ(refused.status().errno_value(), error) << refused.status().to_string();
      EXPECT_NE(refused.status().message().find(path), std::string_view::npos)
          << refused.status().to_string();
      fs.fail_reads(path, 0);
      EXPECT_EQ(fs.paths(""), before) << path;
    }
  expect_exactly_once(fs, life, "after all");
  EXPECT_EQ(fs.paths(".part").size(), 4U);
}

// The disk does not give one part: the rest is served, every answer that may lack its rows says so,
// and it is in them again once the disk gives it, here or at the next start.
TEST_F(StoreFault, APartThatTheDiskDoesNotGiveIsLeftThereAndTriedAgain) {
  for (const bool restarted : {false, true}) {
    FaultFs fs;
    Life life;
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    for (int number = 0; number < 3; ++number) append_and_flush(**store, life, number);
    store->reset();
    const std::vector<std::string> parts = fs.paths(".part");
    fs.fail_reads(parts.at(1), EIO);  // the middle one of the first day
    store = Store::open(options(fs));
    ASSERT_TRUE(store.ok()) << store.status().to_string();
    EXPECT_EQ((*store)->stats().quarantined_parts, 1U);
    std::vector<std::string> warnings;
    EXPECT_EQ(read_all(**store, "t", everything(), {0, INT64_MAX}, &warnings).size(), 8U);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("cannot be read and was left out"), std::string::npos);
    read_all(**store, "t", everything(), {kT0 + kDay, INT64_MAX}, &warnings);
    EXPECT_TRUE(warnings.empty()) << "of the other day nothing is missing";
    // A delete that means it is not done without it, and nothing else takes its place.
    delete_line(**store, "db", kFirstDay);
    ASSERT_TRUE((*store)->enforce_retention().ok());
    ASSERT_TRUE((*store)->compact().ok());
    EXPECT_EQ((*store)->deletes("t").at(0).state, DeleteRequest::State::kReceived);
    fs.fail_reads(parts[1], 0);
    if (restarted) {
      store->reset();
      store = Store::open(options(fs));
      ASSERT_TRUE(store.ok());
    } else {
      ASSERT_TRUE((*store)->enforce_retention().ok());
    }
    EXPECT_EQ((*store)->stats().quarantined_parts, 0U);
    EXPECT_EQ(read_all(**store, "t", everything(), {0, INT64_MAX}, &warnings).size(), 6U);
    EXPECT_TRUE(warnings.empty());
    ASSERT_TRUE((*store)->cancel_delete("t", (*store)->deletes("t").at(0).id).ok());
    EXPECT_EQ(read_all(**store).size(), 7U) << "of the first day only the part that came back";
    ASSERT_TRUE((*store)->compact().ok());
    EXPECT_EQ(read_all(**store).size(), 7U);
  }
}

// A merged part that the disk does not give, with some of its inputs still there: they are read in
// its place until it is there again, and no merge mixes them with others meanwhile.
TEST_F(StoreFault, InputsOfAMergedPartThatTheDiskDoesNotGiveStandInForIt) {
  FaultFs fs;
  Life life;
  auto store = Store::open(options(fs));
  ASSERT_TRUE(store.ok());
  for (int number = 0; number < 2; ++number) append_and_flush(**store, life, number);
  const std::vector<std::string> inputs = fs.paths(".part");
  std::map<std::string, std::string> bytes;
  for (const std::string& path : inputs) bytes[path] = fs.read_file(path, UINT64_MAX).value();
  ASSERT_TRUE((*store)->compact().ok());
  append_and_flush(**store, life, 2);
  store->reset();
  for (const auto& [path, content] : bytes)  // as if they had not been removed yet
    ASSERT_TRUE(base::write_file_atomically(fs, path, content).ok());
  const std::vector<std::string> merged = fs.paths("_1.part");
  ASSERT_EQ(merged.size(), 2U);
  for (const std::string& path : merged) fs.fail_reads(path, EIO);
  store = Store::open(options(fs));
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(read_all(**store).size(), 9U);
  static_cast<void>((*store)->compact().ok());
  EXPECT_EQ(read_all(**store).size(), 9U);
  for (const std::string& path : merged) fs.fail_reads(path, 0);
  ASSERT_TRUE((*store)->enforce_retention().ok());
  EXPECT_EQ(read_all(**store).size(), 9U);
  EXPECT_EQ((*store)->stats().parts, 4U);
  ASSERT_TRUE((*store)->compact().ok());
  store->reset();
  expect_exactly_once(fs, life, "after the merge");
}

// Between a part's renaming and CHECKPOINT the log has its rows, too.
TEST_F(StoreFault, APartThatTheDiskDoesNotGiveComesBackFromTheLogIfThatHasIt) {
  FaultFs fs;
  Life life;
  auto store = Store::open(options(fs));
  ASSERT_TRUE(store.ok());
  append_and_flush(**store, life, 0);  // writes CHECKPOINT
  append(**store, life, 1, false);
  std::uint64_t n = 1;
  for (; fs.paths(".part").size() < 4; ++n) {
    fs.fail_at(n, EIO, true);
    ASSERT_FALSE((*store)->flush().ok());
    fs.heal();
  }
  store->reset();
  fs.fail_reads(fs.paths(".part").at(1), EIO);
  store = Store::open(options(fs));
  ASSERT_TRUE(store.ok());
  store->reset();
  expect_exactly_once(fs, life, "from the log");
}

std::set<std::string> delete_ids(Store& store) {
  std::set<std::string> out;
  for (const DeleteRequest& request : store.deletes("t")) out.insert(request.id);
  return out;
}

DeleteRequest delete_request(const std::string& id) {
  DeleteRequest request;
  request.id = id;
  request.tenant = "t";
  request.matchers.push_back(*model::Matcher::create("job", model::Matcher::Op::kEqual, "api"));
  request.range = {0, INT64_MAX};
  return request;
}

// What the store says of its deletes is what the next start finds, whichever write failed.
TEST_F(StoreFault, ARefusedChangeOfDeletesDoesNotActAtTheNextStart) {
  std::uint64_t refused = 0;
  for (const bool cancels : {false, true})
    for (const bool first : {false, true})
      for (std::uint64_t n = 1; n <= 8; ++n) {
        FaultFs fs;
        auto store = Store::open(options(fs));
        ASSERT_TRUE(store.ok());
        Life life;
        append(**store, life, 0, false);
        if (!first || cancels) {
          ASSERT_TRUE((*store)->add_delete(delete_request("old")).ok());
        }
        fs.fail_at(n, EIO, false);
        const bool done = cancels ? (*store)->cancel_delete("t", "old").ok()
                                  : (*store)->add_delete(delete_request("new")).ok();
        refused += !done;
        const auto in_force = delete_ids(**store);
        EXPECT_EQ(in_force.contains(cancels ? "old" : "new"), cancels != done);
        fs.heal();
        for (const bool power_cut : {false, true}) {
          store->reset();
          if (power_cut) fs.power_cycle(500);
          store = Store::open(options(fs));
          ASSERT_TRUE(store.ok());
          EXPECT_EQ(delete_ids(**store), in_force) << n << (cancels ? " cancel" : " add");
        }
      }
  EXPECT_GE(refused, 10U);
}

TEST_F(StoreFault, AChangeOfDeletesThatCannotBeTakenBackIsTakenBackLater) {
  for (std::uint64_t n = 1; n <= 8; ++n) {
    FaultFs fs;
    auto store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    ASSERT_TRUE((*store)->add_delete(delete_request("old")).ok());
    fs.fail_at(n, EIO, true);
    const bool done = (*store)->cancel_delete("t", "old").ok();
    fs.heal();
    ASSERT_TRUE((*store)->add_delete(delete_request("new")).ok());
    store->reset();
    fs.power_cycle(0);
    store = Store::open(options(fs));
    ASSERT_TRUE(store.ok());
    EXPECT_EQ(delete_ids(**store),
              done ? std::set<std::string>{"new"} : (std::set<std::string>{"new", "old"}))
        << n;
  }
}

// The space is asked for a few times a second: it may take a moment to be seen.
template <typename F>
void eventually(const char* what, F&& done) {
  for (int i = 0; i < 3000 && !done(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(done()) << what;
}

TEST_F(StoreFault, OnAFullDiskQueriesAndRetentionGoOnAndAppendsResumeByThemselves) {
  FaultFs fs;
  base::ManualClock clock(kT0 + kDay);
  StoreOptions with = options(fs);
  with.clock = &clock;
  with.retention = [](std::string_view) {
    RetentionPolicy policy;
    policy.period_ns = 2 * kDay;
    return policy;
  };
  auto store = Store::open(with);
  ASSERT_TRUE(store.ok());
  Life life;
  append_and_flush(**store, life, 0);
  fs.set_free_bytes(0);
  BatchBuilder batch;
  batch.add(kApi, kT0 + kDay, "new");
  eventually("appends are refused", [&] {
    const auto result = (*store)->append("t", batch.batch());
    return !result.ok() && result.status().code() == base::Code::kNoSpace;
  });
  EXPECT_TRUE((*store)->stats().read_only_no_space);
  EXPECT_GE(read_all(**store).size(), 3U);
  clock.advance_ns(10 * kDay);
  ASSERT_TRUE((*store)->enforce_retention().ok());
  EXPECT_EQ((*store)->stats().parts, 0U) << "retention frees space all the same";
  fs.set_free_bytes(1ULL << 40);
  BatchBuilder newer;
  newer.add(kApi, clock.wall_ns(), "newer");
  eventually("appends resume", [&] { return (*store)->append("t", newer.batch()).ok(); });
  EXPECT_FALSE((*store)->stats().read_only_no_space);
}

}  // namespace
}  // namespace skald::store
