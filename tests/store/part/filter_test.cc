// Whatever the columns say, the definition (LineFilter::matches on every line, a predicate on every
// value) says too.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "store/part/raw_block.h"
#include "store/part/search.h"
#include "store/part/shredder.h"
#include "tests/store/part/line_makers.h"
#include "tests/store/part/part_testing.h"

namespace skald::store::part {
namespace {

struct Part {
  std::vector<TestRow> rows;
  std::shared_ptr<const PartReader> reader;
  std::vector<std::unique_ptr<Block>> blocks;
};

Part make_part(std::uint64_t seed, std::size_t count, Effort effort) {
  Part part;
  LineMaker maker(seed);
  for (std::size_t i = 0; i < count; ++i) {
    const auto time = static_cast<model::TimestampNs>(1'700'000'000'000'000'000 + i * 5'000'000);
    part.rows.push_back({static_cast<std::uint32_t>(maker.below(3)), time, maker.line(time), {}});
  }
  auto reader = open_bytes(build_part({part.rows}, 3, effort));
  CHECK(reader.ok());
  part.reader = *reader;
  auto blocks = part.reader->open_row_group(0, all_rows(3));
  CHECK(blocks.ok());
  part.blocks = std::move(*blocks);
  return part;
}

std::string lower(std::string text) {
  for (char& c : text) c = fold_byte(c);
  return text;
}

class EndsWithQuote final : public LineMatcher {
 public:
  bool matches(std::string_view line) const override {
    return line.size() % 3 == 1 || line.ends_with("\"}");
  }
};

class FilterMaker {
 public:
  FilterMaker(const std::vector<TestRow>& rows, std::uint64_t seed) : rows_(rows), random_(seed) {}

  LineFilter filter() {
    static const EndsWithQuote kMatcher;
    LineFilter filter;
    filter.fold_case = below(4) == 0;
    filter.negated = below(4) == 0;
    if (below(6) == 0) filter.matcher = &kMatcher;
    const std::size_t clauses = below(8) == 0 ? 2 : 1;
    for (std::size_t c = 0; c < clauses; ++c) {
      std::vector<std::string> clause;
      for (std::size_t n = 1 + below(6) / 5; n > 0; --n) clause.push_back(needle(filter.fold_case));
      filter.clauses.push_back(std::move(clause));
    }
    if (below(50) == 0) filter.clauses.clear();
    return filter;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  std::string needle(bool fold) {
    const std::string& line = rows_[below(rows_.size())].line;
    const std::size_t start = below(line.size() + 1);
    const std::size_t size = below(3) == 0 ? below(60) : below(10);
    std::string text = line.substr(start, size);
    if (below(8) == 0 && !text.empty()) text[below(text.size())] = "x0\" -"[below(5)];
    return fold ? lower(text) : text;
  }
  const std::vector<TestRow>& rows_;
  std::mt19937_64 random_;
};

std::string describe(const LineFilter& filter) {
  std::string text = filter.negated ? "not " : "";
  if (filter.fold_case) text += "folded ";
  for (const auto& clause : filter.clauses) {
    text += "(";
    for (const std::string& needle : clause) text += "[" + needle + "] ";
    text += ")";
  }
  return text;
}

void expect_same_filtering(Part& part, const LineFilter& filter, std::uint64_t seed) {
  bool any = false;
  const auto possible = part.reader->blocks_that_may_match(std::span(&filter, 1), 0);
  ASSERT_TRUE(possible.has_value());
  for (std::uint32_t number = 0; number < part.blocks.size(); ++number) {
    const auto& block = part.blocks[number];
    TextColumn lines;
    ASSERT_TRUE(block->read_lines(Selection(block->rows(), true), lines).ok());
    bool any_here = false;
    Selection selection(block->rows());
    std::mt19937_64 random(seed);
    for (std::uint32_t row = 0; row < block->rows(); ++row)
      if (random() % 5 != 0) selection.set(row);
    const Selection before = selection;
    ASSERT_TRUE(block->filter_lines(filter, selection).ok());
    for (std::uint32_t row = 0; row < block->rows(); ++row) {
      const bool matches = filter.matches(lines.at(row));
      any_here |= matches;
      ASSERT_EQ(selection.test(row), before.test(row) && matches)
          << describe(filter) << " on: " << lines.at(row);
    }
    any |= any_here;
    if (any_here) {
      EXPECT_TRUE(std::binary_search(possible->begin(), possible->end(), number))
          << describe(filter);
    }
  }
  if (any) {
    EXPECT_TRUE(part.reader->may_match(filter)) << describe(filter);
  }
}

TEST(Filter, LinesAreTheNaiveAnswer) {
  const char* const rounds = std::getenv("SKALD_LONG_TESTS");
  for (std::uint64_t seed = 1; seed <= (rounds != nullptr ? 200 : 8); ++seed) {
    Part part =
        make_part(seed, 100 + seed * 97 % 1200, seed % 2 == 0 ? Effort::kFast : Effort::kSmall);
    FilterMaker maker(part.rows, seed);
    for (int i = 0; i < 250 && !::testing::Test::HasFatalFailure(); ++i)
      expect_same_filtering(part, maker.filter(), seed);
  }
}

TEST(Filter, OnlyTheBlocksAskedForAreOpened) {
  Part part;
  for (int i = 0; i < 400; ++i)
    part.rows.push_back({0, i, "{\"" + std::string(i % 2 == 0 ? "even" : "odd") + "\": 1}", {}});
  const auto reader = open_bytes(build_part({part.rows}, 1));
  ASSERT_TRUE(reader.ok());
  LineFilter filter;
  filter.clauses = {{"odd"}};
  const auto numbers = (*reader)->blocks_that_may_match(std::span(&filter, 1), 0);
  ASSERT_TRUE(numbers && numbers->size() == 1);
  const auto blocks = (*reader)->open_row_group(0, all_rows(1), &*numbers);
  ASSERT_TRUE(blocks.ok() && blocks->size() == 1);
  EXPECT_EQ((*blocks)[0]->rows(), 200U);
}

TEST(Filter, EveryPieceOfALineIsFound) {
  Part part = make_part(77, 600, Effort::kFast);
  LineFilter filter;
  for (std::size_t at = 0; at < part.rows.size(); at += 37) {
    const std::string& line = part.rows[at].line;
    for (std::size_t start = 0; start < line.size(); start += 7) {
      filter.clauses = {{line.substr(start, 1 + start % 45)}};
      expect_same_filtering(part, filter, start);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Filter, NeedlesThatSplitInManyWaysAreBounded) {
  Part part;
  std::mt19937_64 random(2);
  for (int i = 0; i < 400; ++i) {
    std::string line = "{\"v\":\"";
    for (int c = 0; c < 30; ++c)
      line += "a," + std::to_string(random() % 3) + (random() % 2 == 0 ? "," : ",a,");
    part.rows.push_back({0, i, line + "\"}", {}});
    line = "x";
    for (int c = 0; c < 40; ++c) line += "," + std::to_string(random() % 1000);
    part.rows.push_back({0, i, line, {}});
  }
  auto reader = open_bytes(build_part({part.rows}, 1));
  ASSERT_TRUE(reader.ok());
  part.reader = *reader;
  auto blocks = part.reader->open_row_group(0, all_rows(1));
  ASSERT_TRUE(blocks.ok());
  part.blocks = std::move(*blocks);
  LineFilter filter;
  for (const char* piece : {",", ",1", "a,", "1,a,"}) {
    std::string needle;
    for (int i = 0; i < 60; ++i) needle += piece;
    for (const std::string& one : {needle, needle + "Z", needle.substr(0, 9)}) {
      filter.clauses = {{one}};
      expect_same_filtering(part, filter, 1);
    }
  }
}

struct Predicate final : ValuePredicate {
  bool test(std::string_view value) const override {
    if (between) {
      char* end = nullptr;
      const std::string text(value);
      const double number = std::strtod(text.c_str(), &end);
      const bool is_number =
          !text.empty() && *end == '\0' && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
      return is_number && between->contains(number);
    }
    return exact ? value == *exact : value.size() % 2 == 0;
  }
  std::optional<Interval> interval() const override { return between; }
  std::optional<std::string_view> equals() const override {
    return exact ? std::optional<std::string_view>(*exact) : std::nullopt;
  }
  std::optional<std::string> exact;
  std::optional<Interval> between;
};

// The field's values by a full parse of the lines.
std::vector<std::string> naive_values(const Block& block, const TextColumn& lines,
                                      std::size_t field) {
  std::vector<std::string> values;
  for (std::uint32_t row = 0; row < block.rows(); ++row) {
    std::vector<ValueSpan> spans;
    const std::string_view line = lines.at(row);
    const auto shape = parse_json_shape(line, &spans);
    CHECK(shape && shape->shape.id == block.shape().id);
    const std::string_view raw = line.substr(spans[field].offset, spans[field].size);
    std::string text(raw);
    if (block.shape().fields[field].syntax == Field::Syntax::kString) unescape_json(raw, text);
    values.push_back(text);
  }
  return values;
}

void expect_same_field(Block& block, const TextColumn& lines, std::size_t field,
                       std::mt19937_64& random) {
  const std::vector<std::string> values = naive_values(block, lines, field);
  const Selection all(block.rows(), true);
  TextColumn read;
  ASSERT_TRUE(block.read_text(field, all, read).ok());
  for (std::uint32_t row = 0; row < block.rows(); ++row) ASSERT_EQ(read.at(row), values[row]);
  const FieldStats stats = block.field_stats(field);
  if (stats.all_numbers) {
    std::vector<double> numbers;
    ASSERT_TRUE(block.read_numbers(field, all, numbers).ok());
    for (std::uint32_t row = 0; row < block.rows(); ++row) {
      ASSERT_EQ(numbers[row], std::strtod(values[row].c_str(), nullptr)) << values[row];
      ASSERT_LE(stats.min, numbers[row]);
      ASSERT_GE(stats.max, numbers[row]);
    }
  }
  for (int i = 0; i < 6; ++i) {
    Predicate predicate;
    const std::string& some = values[random() % values.size()];
    if (i < 2) predicate.exact = i == 0 ? some : some + "x";
    if (i >= 3) {
      const double low = std::strtod(some.c_str(), nullptr);
      predicate.between = ValuePredicate::Interval{low, low + static_cast<double>(random() % 50),
                                                   random() % 2 == 0, random() % 2 == 0, i == 5};
    }
    Selection selection(block.rows());
    for (std::uint32_t row = 0; row < block.rows(); ++row)
      if (random() % 4 != 0) selection.set(row);
    const Selection before = selection;
    ASSERT_TRUE(block.filter_field(field, predicate, selection).ok());
    for (std::uint32_t row = 0; row < block.rows(); ++row)
      ASSERT_EQ(selection.test(row), before.test(row) && predicate.test(values[row]))
          << values[row] << " predicate " << i;
  }
}

TEST(Filter, FieldsAreTheNaiveAnswer) {
  std::mt19937_64 random(5);
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Part part = make_part(seed, 900, Effort::kFast);
    for (const auto& block : part.blocks) {
      if (block->shape().kind != Shape::Kind::kJson) continue;
      TextColumn lines;
      ASSERT_TRUE(block->read_lines(Selection(block->rows(), true), lines).ok());
      for (std::size_t field = 0; field < block->shape().fields.size(); ++field)
        expect_same_field(*block, lines, field, random);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Filter, RowsAgreeWithTheirLines) {
  Part part = make_part(11, 1500, Effort::kFast);
  std::vector<std::tuple<std::uint32_t, model::TimestampNs, std::string>> seen, expected;
  for (const TestRow& row : part.rows) expected.emplace_back(row.stream, row.time_ns, row.line);
  std::map<std::uint32_t, StreamCount> counts;
  for (const auto& block : part.blocks) {
    TextColumn lines;
    ASSERT_TRUE(block->read_lines(Selection(block->rows(), true), lines).ok());
    const auto times = block->timestamps();
    const auto streams = block->streams();
    const auto sizes = block->line_sizes();
    ASSERT_TRUE(times.ok() && streams.ok() && sizes.ok());
    const auto whole = block->whole_counts();
    ASSERT_TRUE(whole.has_value());
    for (const StreamCount& one : *whole) {
      counts[one.stream].entries += one.entries;
      counts[one.stream].line_bytes += one.line_bytes;
    }
    for (std::uint32_t row = 0; row < block->rows(); ++row) {
      EXPECT_EQ((*sizes)[row], lines.at(row).size());
      EXPECT_GE((*times)[row], block->min_time_ns());
      EXPECT_LE((*times)[row], block->max_time_ns());
      seen.emplace_back((*streams)[row], (*times)[row], std::string(lines.at(row)));
    }
  }
  std::sort(seen.begin(), seen.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(seen, expected);
  for (const TestRow& row : part.rows) {
    --counts[row.stream].entries;
    counts[row.stream].line_bytes -= row.line.size();
  }
  for (const auto& [stream, count] : counts) {
    EXPECT_EQ(count.entries, 0U);
    EXPECT_EQ(count.line_bytes, 0U);
  }
}

// Columns and plain rows, asked the same way.
TEST(Filter, SelectKeepsStreamsRangeAndWhatIsNotDeleted) {
  Part part = make_part(13, 1000, Effort::kFast);
  auto tombstone = std::make_shared<Tombstone>();
  tombstone->streams = {true, false, true};
  tombstone->range = {part.rows[100].time_ns, part.rows[800].time_ns};
  LineFilter filter;
  filter.clauses = {{"e", "10"}};
  tombstone->filters.push_back(filter);
  auto context = std::make_shared<BlockContext>();
  context->streams = {5, kNotSelected, 9};
  context->range = {part.rows[50].time_ns, part.rows[900].time_ns};
  context->tombstones.push_back(tombstone);

  std::vector<RawRow> raw;
  std::vector<std::string> expected;
  for (const TestRow& row : part.rows) {
    raw.push_back({row.time_ns, row.line, nullptr, row.stream, 0});
    const bool gone = tombstone->streams[row.stream] && tombstone->range.contains(row.time_ns) &&
                      filter.matches(row.line);
    if (row.stream != 1 && context->range.contains(row.time_ns) && !gone)
      expected.push_back(row.line);
  }
  std::sort(expected.begin(), expected.end());
  auto blocks = part.reader->open_row_group(0, context);
  ASSERT_TRUE(blocks.ok());
  std::vector<std::unique_ptr<Block>> rows;
  rows.push_back(make_raw_block(raw, context, nullptr));
  for (const auto* set : {&*blocks, &rows}) {
    std::vector<std::string> kept;
    for (const auto& block : *set) {
      const auto selection = block->select();
      ASSERT_TRUE(selection.ok());
      TextColumn lines;
      ASSERT_TRUE(block->read_lines(*selection, lines).ok());
      for (std::size_t i = 0; i < selection->count(); ++i) kept.emplace_back(lines.at(i));
      EXPECT_FALSE(block->whole_counts().has_value());
    }
    std::sort(kept.begin(), kept.end());
    EXPECT_EQ(kept, expected);
  }
}

}  // namespace
}  // namespace skald::store::part
