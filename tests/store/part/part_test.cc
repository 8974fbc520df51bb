// Parts come back as they went in, whatever the lines are, and refuse what is damaged.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/store/part/line_makers.h"
#include "tests/store/part/part_testing.h"

namespace skald::store::part {
namespace {

using Rows = std::vector<TestRow>;

// What read_rows() promises: ascending time, ties of a stream in arrival order.
void expect_same_rows(const Rows& written, const RowGroupRows& read) {
  ASSERT_EQ(written.size(), read.rows.size());
  std::map<std::pair<std::uint32_t, model::TimestampNs>, std::vector<const TestRow*>> expected;
  for (const TestRow& row : written) expected[{row.stream, row.time_ns}].push_back(&row);
  std::map<std::pair<std::uint32_t, model::TimestampNs>, std::size_t> next;
  model::TimestampNs last = std::numeric_limits<model::TimestampNs>::min();
  for (const RowGroupRows::Row& row : read.rows) {
    ASSERT_LE(last, row.timestamp_ns);
    last = row.timestamp_ns;
    const auto key = std::make_pair(row.stream, row.timestamp_ns);
    const auto found = expected.find(key);
    ASSERT_NE(found, expected.end());
    const std::size_t at = next[key]++;
    ASSERT_LT(at, found->second.size());
    ASSERT_EQ(found->second[at]->line, row.line);
    ASSERT_EQ(found->second[at]->metadata, read.metadata[row.metadata]);
  }
}

void expect_round_trip(const std::vector<Rows>& groups, std::uint32_t streams = 4) {
  for (const Effort effort : {Effort::kFast, Effort::kSmall}) {
    auto reader = open_bytes(build_part(groups, streams, effort));
    ASSERT_TRUE(reader.ok()) << reader.status().to_string();
    const PartReader& part = **reader;
    ASSERT_EQ(part.row_groups().size(), groups.size());
    EXPECT_EQ(part.streams().size(), streams);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const auto rows = part.read_rows(g);
      ASSERT_TRUE(rows.ok()) << rows.status().to_string();
      expect_same_rows(groups[g], *rows);
    }
    EXPECT_TRUE(part.verify().ok());
  }
}

TEST(Part, KeepsOneRow) { expect_round_trip({{{0, 5, "hello", {}}}}); }
TEST(Part, KeepsTheEmptyLine) { expect_round_trip({{{0, 5, "", {}}, {1, -7, "", {}}}}); }
TEST(Part, KeepsNulAndInvalidUtf8) {
  expect_round_trip(
      {{{0, 5, std::string("a\0b\xff\xfe", 5), {}}, {0, 5, "{\"a\": \"\xc3\x28\"}", {}}}});
}
TEST(Part, KeepsAMegabyteLine) {
  expect_round_trip({{{0, 5, std::string(1 << 20, 'x') + "\"y", {}}, {0, 6, "z", {}}}});
}
TEST(Part, KeepsExtremeTimes) {
  expect_round_trip({{{0, std::numeric_limits<std::int64_t>::max(), "a", {}},
                      {0, std::numeric_limits<std::int64_t>::min(), "b", {}},
                      {0, 0, "c", {}}}});
}
TEST(Part, KeepsArrivalOrderOfEqualTimes) {
  Rows rows;
  for (int i = 0; i < 100; ++i) rows.push_back({0, i % 3, "row " + std::to_string(i), {}});
  for (int i = 0; i < 100; ++i)
    rows.push_back({0, i % 3, "{\"n\": " + std::to_string(i) + "}", {}});
  expect_round_trip({rows, rows});
}
TEST(Part, KeepsMetadata) {
  Rows rows;
  for (int i = 0; i < 300; ++i)
    rows.push_back({0, i, "x",
                    i % 3 == 0   ? model::Labels{}
                    : i % 3 == 1 ? model::Labels{{"trace_id", std::to_string(i * 7919)}, {"a", "b"}}
                                 : model::Labels{{std::string("\0", 1), "q"}, {"z", "y"}}});
  for (int i = 0; i < 600; ++i)
    rows.push_back({1, i, "y", model::Labels{{"name" + std::to_string(i), "v"}}});
  expect_round_trip({rows});
}

TEST(Part, KeepsLinesOfEveryKind) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 12; ++round) {
    std::vector<Rows> groups;
    for (int g = 0; g < 2; ++g) {
      Rows rows;
      LineMaker maker(random());
      const std::size_t count = 20 + random() % 1500;
      for (std::size_t i = 0; i < count; ++i) {
        const auto time =
            static_cast<model::TimestampNs>(1'700'000'000'000'000'000 + i * 1'000'037);
        rows.push_back({static_cast<std::uint32_t>(random() % 4), time, maker.line(time), {}});
      }
      groups.push_back(std::move(rows));
    }
    expect_round_trip(groups);
  }
}

TEST(Part, DamageIsAnErrorOfItsRowGroupOnly) {
  Rows first, second;
  LineMaker maker(3);
  for (int i = 0; i < 400; ++i) first.push_back({0, i, maker.line(i), {}});
  for (int i = 0; i < 400; ++i) second.push_back({0, i, maker.line(i), {}});
  std::string bytes = build_part({first, second}, 1);
  bytes[40] = static_cast<char>(bytes[40] ^ 0x10);  // a page of the first group
  auto reader = open_bytes(bytes);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->read_rows(0).status().code(), base::Code::kCorrupt);
  const auto rows = (*reader)->read_rows(1);
  ASSERT_TRUE(rows.ok());
  expect_same_rows(second, *rows);
}

TEST(Part, EveryFlippedBitAndTruncationIsFoundOrHarmless) {
  Rows rows;
  LineMaker maker(5);
  for (int i = 0; i < 200; ++i) rows.push_back({0, i, maker.line(i), {{"t", std::to_string(i)}}});
  const std::string bytes = build_part({rows}, 1);
  for (std::size_t at = 0; at < bytes.size(); at += 1 + at / 64) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    auto reader = open_bytes(damaged);
    if (!reader.ok()) continue;
    const auto read = (*reader)->read_rows(0);
    if (read.ok()) expect_same_rows(rows, *read);
    EXPECT_FALSE(open_bytes(bytes.substr(0, at)).ok());
  }
}

class CountingFile final : public base::MappedFile {
 public:
  explicit CountingFile(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string_view bytes() const noexcept override { return bytes_; }
  void release(std::size_t offset, std::size_t size) const noexcept override {
    ++releases;
    released += size;
    EXPECT_LE(offset + size, bytes_.size());
  }
  mutable std::size_t releases = 0, released = 0;

 private:
  std::string bytes_;
};

TEST(Part, LetsGoOfAGroupsPagesWithTheLastBlockOfItsFirstReading) {
  Rows rows;
  for (int i = 0; i < 200; ++i)
    rows.push_back({0, i, i % 2 == 0 ? "{\"a\": " + std::to_string(i) + "}" : "text", {}});
  const auto file = std::make_shared<CountingFile>(build_part({rows, rows}, 1));
  const auto part = PartReader::open(file, "test");
  ASSERT_TRUE(part.ok());
  auto blocks = (*part)->open_row_group(0, all_rows(1));
  ASSERT_TRUE(blocks.ok());
  ASSERT_EQ(blocks->size(), 2U);
  blocks->pop_back();
  EXPECT_EQ(file->releases, 0U) << "a block is open still";
  blocks->pop_back();
  EXPECT_EQ(file->releases, 1U);
  EXPECT_EQ(file->released, (*part)->row_groups()[0].file_bytes);
  EXPECT_TRUE((*part)->read_rows(0).ok());
  EXPECT_EQ(file->releases, 1U) << "read again: worth keeping";
  EXPECT_TRUE((*part)->read_rows(1).ok());
  EXPECT_EQ(file->releases, 2U);
}

TEST(Part, LetsGoOfAGroupsPagesAfterItsFirstSearch) {
  const Rows rows(3, {0, 1, "some text", {}});
  const auto file = std::make_shared<CountingFile>(build_part({rows}, 1));
  const auto part = PartReader::open(file, "test");
  ASSERT_TRUE(part.ok());
  LineFilter filter;
  filter.clauses = {{"absent"}};
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE((*part)->blocks_that_may_match(std::span(&filter, 1), 0).has_value());
    EXPECT_EQ(file->releases, 1U);
  }
  EXPECT_TRUE((*part)->read_rows(0).ok());
  EXPECT_EQ(file->releases, 2U) << "its first reading";
}

TEST(Part, DamageIsReportedEveryTimeItIsMet) {
  Rows rows;
  LineMaker maker(9);
  for (int i = 0; i < 800; ++i) rows.push_back({0, i, maker.line(i), {}});
  const std::string bytes = build_part({rows}, 1);
  for (std::size_t at = 20; at < bytes.size() / 2; at += 97) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    auto reader = open_bytes(damaged);
    ASSERT_TRUE(reader.ok());
    auto blocks = (*reader)->open_row_group(0, all_rows(1));
    if (!blocks.ok()) continue;
    for (const auto& block : *blocks) {
      TextColumn first, second;
      const Selection all(block->rows(), true);
      const bool ok = block->read_lines(all, first).ok();
      EXPECT_EQ(block->read_lines(all, second).ok(), ok);
      EXPECT_EQ(block->line_sizes().ok(), block->line_sizes().ok());
      EXPECT_EQ(block->timestamps().ok(), block->timestamps().ok());
    }
  }
}

TEST(Part, TenThousandStreamsShareBlocks) {
  Rows rows;
  LineMaker maker(21);
  std::uint64_t line_bytes = 0;
  for (int i = 0; i < 30000; ++i) {
    rows.push_back({static_cast<std::uint32_t>(maker.below(10000)), i * 1000, maker.json(i), {}});
    line_bytes += rows.back().line.size();
  }
  const std::string bytes = build_part({rows}, 10000);
  EXPECT_LT(bytes.size(), line_bytes / 4);
  auto reader = open_bytes(bytes);
  ASSERT_TRUE(reader.ok());
  const auto read = (*reader)->read_rows(0);
  ASSERT_TRUE(read.ok());
  expect_same_rows(rows, *read);
  auto context = all_rows(10000);
  context->streams.assign(10000, kNotSelected);
  context->streams[77] = 3;
  auto blocks = (*reader)->open_row_group(0, context);
  ASSERT_TRUE(blocks.ok());
  std::size_t found = 0, expected = 0;
  for (const TestRow& row : rows) expected += row.stream == 77;
  for (const auto& block : *blocks) found += block->select()->count();
  EXPECT_EQ(found, expected);
}

TEST(Part, UnknownVersionIsUnsupported) {
  std::string bytes = build_part({{{0, 1, "x", {}}}}, 1);
  bytes[8] = 9;
  EXPECT_EQ(open_bytes(bytes).status().code(), base::Code::kUnsupported);
}

}  // namespace
}  // namespace skald::store::part
