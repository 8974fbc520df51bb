#include "store/store.h"

#include <gtest/gtest.h>

#include "proto/wire/push_decoder.h"
#include "proto/wire/push_encoder.h"
#include "tests/store/store_testing.h"

namespace skald::store {
namespace {

using testing::BatchBuilder;
using testing::everything;
using testing::matchers;
using testing::read_all;
using testing::Row;
using testing::TempDir;

constexpr std::int64_t kDay = 24LL * 3600 * base::kNsPerSecond;
constexpr std::int64_t kT0 = 20'000 * kDay;
const model::Labels kApi{{"job", "api"}, {"level", "info"}};
const model::Labels kDb{{"job", "db"}, {"level", "error"}};

StoreOptions options(const TempDir& dir) {
  StoreOptions out;
  out.data_dir = dir.path("data");
  out.background_threads = 0;
  return out;
}

std::unique_ptr<Store> open(const StoreOptions& with) {
  auto store = Store::open(with);
  EXPECT_TRUE(store.ok()) << store.status().to_string();
  return std::move(store).value();
}

AppendResult append(Store& store, const BatchBuilder& batch, const std::string& tenant = "t") {
  auto result = store.append(tenant, batch.batch());
  EXPECT_TRUE(result.ok()) << result.status().to_string();
  return result.ok() ? *result : AppendResult{};
}

TEST(Store, AppendedEntriesAreVisibleAtOnceInHeadAndPartAndAfterReopening) {
  const TempDir dir;
  std::vector<Row> want;
  {
    auto store = open(options(dir));
    BatchBuilder batch;
    batch.add(kApi, kT0 + 2, "two").add(kApi, kT0 + 1, "one").add(kDb, kT0, R"({"a": 1.0})");
    batch.add(kApi, kT0 + 3, "with metadata", {{"trace", "x"}});
    const AppendResult result = append(*store, batch);
    EXPECT_EQ(result.appended, 4U);
    want = read_all(*store);
    ASSERT_EQ(want.size(), 4U);
    EXPECT_EQ(want.back(), Row(kDb.to_string(), kT0, R"({"a": 1.0})", ""));
    EXPECT_EQ(std::get<3>(want[2]), R"({trace="x"})");
  }
  {
    auto store = open(options(dir));
    EXPECT_EQ(read_all(*store), want);
    EXPECT_EQ(store->stats().head_entries, 4U);
    ASSERT_TRUE(store->flush().ok());
    EXPECT_EQ(store->stats().head_entries, 0U);
    EXPECT_EQ(store->stats().parts, 1U);
    EXPECT_EQ(store->stats().wal_bytes, 0U);
    EXPECT_EQ(read_all(*store), want);
  }
  auto store = open(options(dir));
  EXPECT_EQ(read_all(*store), want);
  EXPECT_EQ(store->stats().parts, 1U);
  EXPECT_TRUE(read_all(*store, "other").empty());
}

// The log keeps the body as it came and the head its unpacked bytes: both outlive the request.
TEST(Store, EntriesOfAPackedBodyOutliveTheRequestAndARestart) {
  const TempDir dir;
  std::vector<Row> want;
  {
    auto store = open(options(dir));
    std::string body, entries;
    for (int i = 0; i < 400; ++i) {
      wire::append_entry(entries,
                         {kT0 + i, "a line of no great worth " + std::to_string(i), nullptr});
      if (i % 200 < 199) continue;
      wire::append_stream(body, (i < 200 ? kApi : kDb).to_string(), entries);
      entries.clear();
    }
    auto packed = std::make_unique<std::string>();
    wire::compress_snappy(body, *packed);
    auto decoder = std::make_unique<wire::PushDecoder>();
    wire::PushInput input;
    input.content_type = "application/x-protobuf";
    const auto push = decoder->decode(input, *packed);
    ASSERT_TRUE(push.ok()) << push.status().to_string();
    ASSERT_TRUE((*push)->batch.body);
    ASSERT_TRUE(store->append("t", (*push)->batch).ok());
    EXPECT_LT(store->stats().wal_bytes, body.size() / 2);
    EXPECT_EQ(store->append("t", (*push)->batch)->duplicates, 400U);
    packed->assign(packed->size(), '?');
    decoder.reset();
    want = read_all(*store);
    ASSERT_EQ(want.size(), 400U);
    EXPECT_EQ(want[1], Row(kApi.to_string(), kT0 + 1, "a line of no great worth 1", ""));
  }
  auto store = open(options(dir));
  EXPECT_EQ(read_all(*store), want);
  ASSERT_TRUE(store->flush().ok());
  EXPECT_EQ(read_all(*store), want);
}

TEST(Store, EqualEntriesAreOneEntry) {
  const TempDir dir;
  auto store = open(options(dir));
  BatchBuilder batch;
  batch.add(kApi, kT0, "same").add(kApi, kT0, "same").add(kApi, kT0, "other");
  batch.add(kApi, kT0, "same", {{"m", "1"}}).add(kDb, kT0, "same").add(kApi, kT0 + 1, "same");
  EXPECT_EQ(append(*store, batch).duplicates, 1U);
  EXPECT_EQ(append(*store, batch).duplicates, 6U);
  ASSERT_TRUE(store->flush().ok());
  EXPECT_EQ(append(*store, batch).duplicates, 6U);
  EXPECT_EQ(read_all(*store).size(), 5U);
  store.reset();
  store = open(options(dir));
  EXPECT_EQ(append(*store, batch).duplicates, 6U) << "recognised after a restart";
  EXPECT_EQ(read_all(*store).size(), 5U);
}

TEST(Store, FileMarksMakeBatchesExactlyOnce) {
  const TempDir dir;
  auto store = open(options(dir));
  const auto send = [&](std::uint64_t start, std::uint64_t end, const std::string& line) {
    BatchBuilder batch;
    batch.add(kApi, kT0 + static_cast<std::int64_t>(start), line).mark("a", "f", start, end);
    return store->append("t", batch.batch());
  };
  for (int round = 0; round < 3; ++round) {
    if (round == 0) {
      EXPECT_EQ(send(100, 200, "x")->appended, 1U) << "a new file may start anywhere";
      EXPECT_EQ(send(200, 300, "y")->appended, 1U);
    }
    const auto again = send(100, 200, "another line, but the range is stored");
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->appended, 0U);
    EXPECT_EQ(again->duplicates, 1U);
    for (const auto& [start, end] : {std::pair(310, 320), std::pair(250, 320)}) {
      const auto refused =
          send(static_cast<std::uint64_t>(start), static_cast<std::uint64_t>(end), "z");
      EXPECT_EQ(refused.status().code(), base::Code::kConflict);
      EXPECT_NE(refused.status().message().find("offset 300"), std::string::npos);
    }
    ASSERT_EQ(store->marks("t", "a").size(), 1U);
    EXPECT_EQ(store->marks("t", "a")[0].end_offset, 300U);
    EXPECT_TRUE(store->marks("t", "b").empty());
    EXPECT_EQ(read_all(*store).size(), 2U);
    if (round == 0) {
      ASSERT_TRUE(store->flush().ok());
    }
    store.reset();
    store = open(options(dir));
  }
}

TEST(Store, LabelAnswersKeepToTheRange) {
  const TempDir dir;
  auto store = open(options(dir));
  BatchBuilder old_batch, new_batch;
  old_batch.add(kApi, kT0, "x").add({{"job", "api"}, {"pod", "p1"}}, kT0, "x");
  append(*store, old_batch);
  ASSERT_TRUE(store->flush().ok());
  new_batch.add(kDb, kT0 + 10 * kDay, "x");
  append(*store, new_batch);

  LabelQuery all{"t", {0, INT64_MAX}, {}};
  LabelQuery recent{"t", {kT0 + kDay, INT64_MAX}, {}};
  LabelQuery of_api{"t", {0, INT64_MAX}, matchers("job", "api")};
  using Strings = std::vector<std::string>;
  EXPECT_EQ(*store->label_names(all), (Strings{"job", "level", "pod"}));
  EXPECT_EQ(*store->label_names(recent), (Strings{"job", "level"}));
  EXPECT_EQ(*store->label_values(all, "job"), (Strings{"api", "db"}));
  EXPECT_EQ(*store->label_values(recent, "job"), Strings{"db"});
  EXPECT_EQ(*store->label_values(of_api, "level"), Strings{"info"});
  EXPECT_EQ(*store->label_values(all, "none"), Strings{});
  EXPECT_EQ(store->series(all)->size(), 3U);
  EXPECT_EQ(store->series(recent)->size(), 1U);
  EXPECT_EQ(store->series(of_api)->size(), 2U);
  EXPECT_EQ(store->stream_count("t"), 3U);
  EXPECT_EQ(store->tenants(), Strings{"t"});
  EXPECT_TRUE(store->label_names({"nobody", {}, {}})->empty());
}

TEST(Store, ScansSelectByMatchersAndTime) {
  const TempDir dir;
  auto store = open(options(dir));
  BatchBuilder batch;
  for (int i = 0; i < 10; ++i) batch.add(i % 2 ? kApi : kDb, kT0 + i, std::to_string(i));
  append(*store, batch);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(read_all(*store, "t", matchers("job", "api")).size(), 5U);
    EXPECT_EQ(read_all(*store, "t", everything(), {kT0 + 3, kT0 + 5}).size(), 2U);
    EXPECT_EQ(read_all(*store, "t", matchers("job", "a.*|x", model::Matcher::Op::kRegex)).size(),
              5U);
    EXPECT_EQ(read_all(*store, "t", matchers("job", "api", model::Matcher::Op::kNotEqual)).size(),
              5U);
    ASSERT_TRUE(store->flush().ok());
  }
}

}  // namespace
}  // namespace skald::store
