#include "agent/batch/batch.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "proto/wire/push_decoder.h"

namespace skald::agent {
namespace {

constexpr std::int64_t kTime = 1795154400'000'000'000;  // 2026-11-20T06:00:00Z

using Entry = std::tuple<std::string, std::int64_t, std::size_t>;  // line, time, metadata pairs

std::vector<Entry> read_body(const SealedBatch& batch) {
  wire::PushDecoder decoder;
  wire::PushInput input;
  input.content_type = "application/x-protobuf";
  input.content_encoding = batch.encoding == Encoding::kZstd ? "zstd" : "";
  std::string body = batch.body;
  const auto push = decoder.decode(input, body);
  EXPECT_TRUE(push.ok()) << push.status().to_string();
  std::vector<Entry> entries;
  if (!push.ok()) return entries;
  for (const auto& stream : (*push)->batch.streams)
    for (const auto& entry : stream.entries)
      entries.emplace_back(entry.line, entry.timestamp_ns,
                           entry.metadata == nullptr ? 0 : entry.metadata->size());
  return entries;
}

class Batches : public testing::TestWithParam<bool> {
 protected:
  SealedBatch seal() {
    SealedBatch sealed;
    sealed.encoding = GetParam() ? Encoding::kZstd : Encoding::kSnappy;
    sealed.entries = batch.entries();
    sealed.line_bytes = batch.bytes();
    EXPECT_TRUE(compressor.compress(batch, "", sealed.encoding, sealed.body).ok());
    return sealed;
  }
  BlockPool pool;
  OpenBatch batch{pool};
  BodyCompressor compressor;
};

// Lines of a block, then one with metadata, then all the others behind it.
std::vector<Entry> fill(OpenBatch& batch) {
  const std::pair<std::string_view, std::string_view> metadata[] = {{"user", "7"}};
  const std::size_t stream = batch.add_stream(R"({a="b"})");
  std::vector<Entry> want;
  const auto add = [&](const std::string& line, std::int64_t time_ns, bool with_metadata) {
    batch.add(stream, time_ns, line, with_metadata ? MetadataView(metadata) : MetadataView());
    want.emplace_back(line, time_ns, with_metadata ? 1 : 0);
  };
  add(R"({"timestamp": "2026-11-20T06:00:00.000001Z"})", kTime + 1000, false);
  add("two\nlines", kTime + 5, false);
  add("", kTime + 6, false);
  add(R"({"timestamp": "2026-11-20T06:00:00.000002Z"})", kTime + 2000, true);
  add(R"({"timestamp": "2026-11-20T06:00:00.000003Z"})", kTime + 3000, false);
  return want;
}

TEST_P(Batches, KeepLinesTimesMetadataAndOrder) {
  batch.set_for_skald(GetParam());
  const std::vector<Entry> want = fill(batch);
  EXPECT_EQ(read_body(seal()), want);
}

TEST_P(Batches, SplitInHalvesWithoutLosingALine) {
  batch.set_for_skald(GetParam());
  std::vector<Entry> want = fill(batch);
  const auto halves = split_batch(seal());
  ASSERT_TRUE(halves.ok()) << halves.status().to_string();
  std::vector<Entry> got = read_body(halves->first);
  EXPECT_EQ(got.size(), 2U);
  for (Entry& entry : read_body(halves->second)) got.push_back(std::move(entry));
  EXPECT_EQ(got, want);
}

TEST_P(Batches, AreUsedAgainEmpty) {
  batch.set_for_skald(GetParam());
  fill(batch);
  batch.clear();
  const std::vector<Entry> want = fill(batch);
  EXPECT_EQ(read_body(seal()), want);
}

INSTANTIATE_TEST_SUITE_P(ToSkaldAndToLoki, Batches, testing::Bool());

}  // namespace
}  // namespace skald::agent
