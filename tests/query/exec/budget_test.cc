// Queries made to use memory: each is refused in the query's words, and the process holds no more
// than the budget and a little meanwhile. Counts what is really allocated.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "query/exec/engine.h"
#include "tests/query/exec/memory_store.h"

namespace {

std::atomic<std::int64_t> held{0}, peak{0};

}  // namespace

void* operator new(std::size_t size) {
  void* const at = std::malloc(size);
  if (at == nullptr) std::abort();
  const auto now = held += static_cast<std::int64_t>(malloc_usable_size(at));
  for (std::int64_t known = peak; now > known && !peak.compare_exchange_weak(known, now);) {
  }
  return at;
}
// std::stable_sort asks this one; all must be of one kind.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return operator new(size); }
void operator delete(void* at) noexcept {
  held -= static_cast<std::int64_t>(malloc_usable_size(at));
  std::free(at);
}
void operator delete(void* at, std::size_t) noexcept { operator delete(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { operator delete(at); }

namespace skald::query {
namespace {

constexpr std::int64_t kSecond = base::kNsPerSecond;
constexpr std::uint64_t kBudget = 16U << 20;
// Beyond the budget: what an allocation under way adds, the store's blocks, and the query itself.
constexpr std::int64_t kSlack = 24 << 20;

class Budget : public ::testing::Test {
 protected:
  Budget() {
    for (int i = 0; i < 20'000; ++i) {
      const std::string n = std::to_string(i);
      store_.add(
          {{"job", "a"}, {"pod", "p" + std::to_string(i % 7)}}, i * kSecond / 10,
          "{\"id\":\"id-" + n + "\",\"n\":" + n + ",\"text\":\"" + std::string(200, 'x') + "\"}");
    }
  }

  // Its outcome, and that it held no more than it may.
  base::Result<QueryResult> ask(const std::string& text, bool instant) {
    EngineOptions options;
    options.memory_max = kBudget;
    const Engine engine(store(), base::Clock::system(), options);
    QueryRequest request;
    request.tenant = tenant_;
    request.text = text;
    request.instant = instant;
    request.start_ns = 0;
    request.end_ns = 2000 * kSecond;
    request.step_ns = kSecond;
    request.limit = 1'000'000;
    request.large = large_;
    const std::int64_t before = held;
    peak = before;
    auto result = engine.run(request);
    read_pieces(result);
    const std::int64_t used = peak - before;
    EXPECT_LT(used, static_cast<std::int64_t>(kBudget) + kSlack) << text;
    return result;
  }
  void read_pieces(base::Result<QueryResult>& result) {
    entries_ = 0;
    const auto* pieces = result.ok() ? std::get_if<LogPiecesPtr>(&result->data) : nullptr;
    if (pieces == nullptr) return;
    const base::Status status = (*pieces)->read(nullptr, [this](const LogPieces::Piece& piece) {
      entries_ += piece.entries.size();
      return base::Status();
    });
    EXPECT_TRUE(status.ok()) << status.message();
  }
  void expect_answered(const std::string& text, bool instant = true) {
    const auto result = ask(text, instant);
    EXPECT_TRUE(result.ok()) << text << ": " << result.status().message();
  }
  void expect_refused(const std::string& text, bool instant = true) {
    const auto result = ask(text, instant);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.status().code(), base::Code::kResourceExhausted) << text;
    EXPECT_EQ(result.status().message(),
              "the query needs more than its 16 MiB of memory; select fewer streams, a shorter "
              "range, a larger step or fewer groups")
        << text;
  }
  virtual store::Store& store() { return store_; }

  MemoryStore store_{1000};
  std::string tenant_ = "fake";
  LargeAnswer large_ = LargeAnswer::kWhole;
  std::size_t entries_ = 0;  // of the last answer, if it came in pieces
};

// The same over parts on disk, of two tenants at once.
class BudgetOfParts : public Budget {
 protected:
  BudgetOfParts()
      : directory_(std::filesystem::temp_directory_path() /
                   ("skald-budget-" + std::to_string(::getpid()))) {
    tenant_ = "a|b";
    store::StoreOptions options;
    options.data_dir = directory_.string();
    options.background_threads = 0;
    auto opened = store::Store::open(std::move(options));
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    parts_ = std::move(*opened);
    for (const char* tenant : {"a", "b"}) append(tenant);
    EXPECT_TRUE(parts_->flush().ok());
    EXPECT_EQ(parts_->stats().head_entries, 0U);
  }
  ~BudgetOfParts() override {
    parts_.reset();
    std::filesystem::remove_all(directory_);
  }
  store::Store& store() override { return *parts_; }

 private:
  void append(const std::string& tenant) {
    std::vector<std::string> lines;
    for (int i = 0; i < 20'000; ++i) {
      const std::string n = std::to_string(i);
      lines.push_back("{\"id\":\"id-" + tenant + n + "\",\"n\":" + n + ",\"text\":\"" + n +
                      std::string(200, 'x') + "\"}");
    }
    model::PushBatch batch;
    batch.streams.push_back({{{"job", "a"}}, {}});
    for (std::size_t i = 0; i < lines.size(); ++i)
      batch.streams[0].entries.push_back(
          {static_cast<std::int64_t>(i + 1) * kSecond / 10, lines[i], {}});
    EXPECT_TRUE(parts_->append(tenant, batch).ok());
  }

  std::filesystem::path directory_;
  std::unique_ptr<store::Store> parts_;
};

TEST_F(BudgetOfParts, IsHeldByAQueryOfTwoTenants) {
  expect_answered(R"(sum by (job) (count_over_time({job="a"} | json [1h])))");
  expect_answered(R"({job="a"} |= "id-b19999")", false);
  expect_refused(R"(sum by (id, text) (count_over_time({job="a"} | json [1h])))");
  expect_refused(R"(count_over_time({job="a"} | json [1m]))", false);
  expect_refused(R"(quantile_over_time(0.5, {job="a"} | json | unwrap n [10m]) by (id, text))",
                 false);
  expect_refused(R"(sum(rate_counter({job="a"} | json | unwrap n [1000s])))", false);
  expect_refused(R"({job="a"} | json)", false);
  expect_refused(R"({job="a"} | line_format `{{ repeat 100000 "x" }}`)", false);
}

TEST_F(Budget, SeriesAndTheirPoints) {
  expect_refused(R"(sum by (id, text) (count_over_time({job="a"} | json [1h])))");
  expect_refused(R"(count_over_time({job="a"} | json [1m]))", false);
  expect_refused(R"(topk(10, rate({job="a"} | json [5m])))", false);
  expect_refused(R"(sort(count_over_time({job="a"} | json [1h])))");
  expect_refused(
      R"(count_over_time({job="a"} | json [1h]) / on (id) group_left () sum by (id) (count_over_time({job="a"} | json [1h])))");
}

// One side alone has room, and so has what sorts it.
TEST_F(Budget, SignaturesOfTwoSides) {
  const std::string by_id = R"(sum by (id, n) (count_over_time({job="a"} | json [1h])))";
  expect_answered(by_id);
  expect_answered("sort(" + by_id + ")");
  expect_answered("topk(100000, " + by_id + ")");
  expect_refused(by_id + " and " + by_id);
  expect_refused(by_id + " or " + by_id);
  expect_refused(by_id + " unless on (id) " + by_id);
}

TEST_F(Budget, ManyPointsOfFewSeriesAndFewOfMany) {
  expect_answered(R"(sum by (pod) (rate({job="a"} | json [5m])))", false);
  expect_answered(R"(topk(3, sum by (id) (count_over_time({job="a"} | json [1s]))))", false);
}

TEST_F(Budget, EveryValueOfAQuantile) {
  expect_refused(R"(quantile_over_time(0.5, {job="a"} | json | unwrap n [10m]) by (id))", false);
  expect_refused(R"(sum(rate_counter({job="a"} | json | unwrap n [1000s])))", false);
}

TEST_F(Budget, WhatTemplatesMake) {
  std::string formats;
  for (int i = 0; i < 100; ++i)
    formats += (i == 0 ? "" : ",") + ("l" + std::to_string(i)) + R"(=`{{ repeat 2000000 "x" }}`)";
  expect_refused(R"(sum(count_over_time({job="a"} | label_format )" + formats +
                 R"( | l1!="" [1h])))");
  std::string stages;
  for (int i = 0; i < 100; ++i)
    stages += " | label_format l" + std::to_string(i) + R"(=`{{ printf "%900000s" "x" }}`)";
  expect_refused(R"(sum(count_over_time({job="a"})" + stages + R"( | l1!="" [1h])))");
  expect_refused(R"({job="a"} | line_format `{{ repeat 100000 "x" }}`)", false);
}

TEST_F(Budget, WhatTemplatesHoldWhileTheyRun) {
  const auto counted = [](const std::string& text) {
    return R"(sum(count_over_time({job="a"} | label_format l=`)" + text + R"(` | l!="" [1h])))";
  };
  std::string variables;
  for (int i = 0; i < 20; ++i)
    variables += "{{ $v" + std::to_string(i) + R"( := repeat 4000000 "x" }})";
  expect_refused(counted(variables));
  expect_refused(counted(R"({{ $v := fromJson (printf "[%s1]" (repeat 150000 "1,")) }})"));
  expect_refused(counted(R"({{ $v := repeat 3900000 "x" }}{{ $w := alignLeft 7 $v }})"));
}

TEST_F(Budget, LabelsOfALine) {
  std::string line = "{";
  for (int i = 0; i < 100'000; ++i) line += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":1";
  store_.add({{"job", "c"}}, kSecond, line + "}");
  expect_refused(R"({job="c"} | json)", false);
  expect_refused(R"(count_over_time({job="c"} | json [1h]))");
}

TEST_F(Budget, NamesOfNestedObjects) {
  std::string line = "{\"" + std::string(100'000, 'k') + "\":{";
  for (int i = 0; i < 300; ++i) line += (i == 0 ? "\"a" : ",\"a") + std::to_string(i) + "\":1";
  store_.add({{"job", "b"}}, kSecond, line + "}}");
  expect_refused(R"({job="b"} | json)", false);
}

TEST_F(Budget, EntriesOfAnAnswer) { expect_refused(R"({job="a"} | json)", false); }

TEST_F(Budget, AnAnswerInPiecesHasRoomForMore) {
  for (const LargeAnswer large : {LargeAnswer::kPieces, LargeAnswer::kFoldedPieces}) {
    large_ = large;
    for (const char* query : {R"({job="a"})", R"({job="a"} | json)",
                              R"({job="a"} | line_format `{{ repeat 10000 "x" }}`)"}) {
      expect_answered(query, false);
      EXPECT_EQ(entries_, 20'000U) << query;
    }
  }
}

TEST_F(BudgetOfParts, IsHeldByAnAnswerInPieces) {
  large_ = LargeAnswer::kFoldedPieces;
  expect_answered(R"({job="a"} | json)", false);
  EXPECT_EQ(entries_, 39'998U);  // each tenant's last one lies at the end
}

}  // namespace
}  // namespace skald::query
