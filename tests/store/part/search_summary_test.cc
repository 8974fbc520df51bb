// What the search summary refuses is in no line, whatever the lines are; and it does refuse what
// it is made for.

#include "store/part/search_summary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>

#include "store/part/search.h"
#include "tests/store/part/line_makers.h"
#include "tests/store/part/part_testing.h"

namespace skald::store::part {
namespace {

class BytesFile final : public base::File {
 public:
  explicit BytesFile(std::string bytes) : bytes_(std::move(bytes)) {}
  base::Status append(std::string_view) override { return base::internal("read only"); }
  base::Result<std::size_t> read_at(std::uint64_t offset, char* out,
                                    std::size_t size) const override {
    if (offset >= bytes_.size()) return std::size_t{0};
    const std::string_view from = std::string_view(bytes_).substr(offset, size);
    std::memcpy(out, from.data(), from.size());
    return from.size();
  }
  base::Status sync() override { return {}; }
  base::Status truncate(std::uint64_t) override { return base::internal("read only"); }
  base::Result<std::uint64_t> size() const override { return bytes_.size(); }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

struct Searched {
  explicit Searched(const std::vector<std::vector<TestRow>>& groups)
      : file(build_part(groups, 3, Effort::kSmall)) {
    reader = *open_bytes(file.bytes());
    const SummaryPlace& place = reader->summary().search;
    auto parsed = SearchSummary::parse(file.bytes().substr(place.offset, place.bytes));
    CHECK(parsed.ok());
    summary.emplace(std::move(*parsed));
  }
  bool may_have(const std::string& needle, bool fold = false) const {
    LineFilter filter;
    filter.clauses = {{needle}};
    filter.fold_case = fold;
    const SearchSummary::Groups groups = summary->may_match(filter, file);
    return std::find(groups.begin(), groups.end(), true) != groups.end();
  }
  BytesFile file;
  std::shared_ptr<const PartReader> reader;
  std::optional<SearchSummary> summary;
};

std::vector<std::vector<TestRow>> random_groups(std::uint64_t seed) {
  LineMaker maker(seed);
  std::vector<std::vector<TestRow>> groups(1 + maker.below(3));
  for (auto& rows : groups)
    for (std::size_t i = 0; i < 300; ++i)
      rows.push_back({static_cast<std::uint32_t>(maker.below(3)),
                      static_cast<std::int64_t>(i),
                      maker.line(1'700'000'000'000'000'000),
                      {}});
  return groups;
}

TEST(SearchSummary, NoPieceOfAnyLineIsRefused) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const auto groups = random_groups(seed);
    const Searched part(groups);
    std::mt19937_64 random(seed);
    for (const auto& rows : groups)
      for (const TestRow& row : rows)
        for (int i = 0; i < 20; ++i) {
          const std::size_t at = random() % (row.line.size() + 1);
          std::string needle = row.line.substr(at, random() % 80);
          ASSERT_TRUE(part.may_have(needle)) << needle << " of " << row.line;
          for (char& c : needle) c = fold_byte(c);
          ASSERT_TRUE(part.may_have(needle, true)) << needle << " of " << row.line;
        }
  }
}

std::vector<std::vector<TestRow>> requests(const std::string& extra = "") {
  std::vector<TestRow> rows;
  LineMaker maker(9);
  for (int i = 0; i < 2000; ++i) {
    char id[64], trace[40];
    std::snprintf(id, sizeof id, "%08x-1111-4222-8333-%012x", i * 7919, i);
    std::snprintf(trace, sizeof trace, "%016llx", 0xabcdef0000000000ULL + i * 104729ULL);
    rows.push_back({0,
                    i,
                    "{\"conversation_id\": \"" + std::string(id) + "\", \"trace\": \"" + trace +
                        "\", \"event\": \"http_request\", \"took\": " + std::to_string(i % 50) +
                        "}",
                    {}});
  }
  if (!extra.empty()) rows.push_back({1, 5, extra, {}});
  return {rows};
}

TEST(SearchSummary, AbsentWordsAndIdentifiersAreRefused) {
  const Searched part(requests());
  EXPECT_TRUE(part.may_have("http_request"));
  EXPECT_FALSE(part.may_have("ml_prediction"));
  EXPECT_FALSE(part.may_have("zzq no such text"));
  EXPECT_FALSE(part.may_have("zzq 17 no such text"));
  EXPECT_TRUE(part.may_have("00001eef-1111-4222-8333-000000000001"));
  EXPECT_FALSE(part.may_have("00000000-dead-4eef-adad-000000000000"));
  EXPECT_FALSE(part.may_have("\"conversation_id\": \"00000000-dead-4eef-adad-000000000000\""));
  EXPECT_TRUE(part.may_have("abcdef0000000000"));
  EXPECT_FALSE(part.may_have("abcdef0000000001"));
  EXPECT_TRUE(part.may_have("17"));  // too short to say anything
}

TEST(SearchSummary, IdentifiersInTextsCountToo) {
  const std::string id = "0badcafe-dead-4eef-adad-00000000beef";
  EXPECT_FALSE(Searched(requests()).may_have(id));
  EXPECT_TRUE(Searched(requests("retry of " + id + " failed")).may_have(id));
  EXPECT_TRUE(Searched(requests("retry of x" + id + "-7 failed")).may_have(id));
  std::string upper = id;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_TRUE(Searched(requests("retry of " + upper)).may_have(id, true));
  // A group without any column of UUIDs has no filter for those in its texts.
  EXPECT_TRUE(Searched({{{0, 1, "retry of " + id + " failed", {}}}}).may_have(id));
  EXPECT_TRUE(Searched({{{0, 1, "trace abcdef0000000001", {}}}}).may_have("abcdef0000000001"));
}

TEST(SearchSummary, DamageProvesNothing) {
  Searched part(requests());
  const SummaryPlace place = part.reader->summary().search;
  const std::string absent = "00000001-1111-4222-8333-000000000000";
  ASSERT_FALSE(part.may_have(absent));
  const std::string whole = part.file.bytes();
  // Of the part before the summary: filters lie there. Some flip must reach the asked piece.
  bool reached = false;
  for (std::size_t at = 16; at < place.offset; at += 512) {
    part.file.bytes()[at] = static_cast<char>(part.file.bytes()[at] ^ 0x10);
    reached |= part.may_have(absent);
    part.file.bytes() = whole;
  }
  EXPECT_TRUE(reached);
  std::string damaged = whole;
  damaged[place.offset + place.bytes / 2] ^= 1;
  const auto reader = open_bytes(damaged);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->verify().code(), base::Code::kCorrupt);
  for (std::size_t size = 0; size < place.bytes; size += 41)
    EXPECT_FALSE(SearchSummary::parse(whole.substr(place.offset, size)).ok()) << size;
}

TEST(SearchSummary, PartsSealedInAHurryHaveNone) {
  const auto reader = open_bytes(build_part(requests(), 3, Effort::kFast));
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->summary().search.bytes, 0U);
}

}  // namespace
}  // namespace skald::store::part
