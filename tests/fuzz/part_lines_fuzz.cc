// Any lines: a part gives them back byte for byte, and its filters agree with the naive search.
// Input: first byte = options, second = needle length, then lines separated by '\n'; the needle is
// cut from the lines.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "store/part/search.h"
#include "tests/store/part/part_testing.h"

namespace {

using namespace skald::store;
using namespace skald::store::part;

void check_filter(const PartReader& reader, const LineFilter& filter) {
  auto blocks = reader.open_row_group(0, all_rows(3));
  CHECK(blocks.ok());
  bool any = false;
  for (const auto& block : *blocks) {
    TextColumn lines;
    Selection selection(block->rows(), true);
    CHECK(block->read_lines(selection, lines).ok());
    CHECK(block->filter_lines(filter, selection).ok());
    for (std::uint32_t row = 0; row < block->rows(); ++row) {
      CHECK_EQ(selection.test(row), filter.matches(lines.at(row)));
      any |= selection.test(row);
    }
  }
  CHECK(!any || reader.may_match(filter));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::uint8_t options = data[0];
  const std::size_t needle_size = data[1] % 48;
  const std::string text(reinterpret_cast<const char*>(data + 2), size - 2);
  std::vector<TestRow> rows;
  std::vector<std::string> written;
  // Rows repeat so that frequent shapes and templates arise from small inputs.
  for (int copy = 0; copy < 20; ++copy) {
    for (std::size_t start = 0; start <= text.size() && rows.size() < 4000;) {
      const std::size_t end = std::min(text.find('\n', start), text.size());
      TestRow row;
      row.stream = static_cast<std::uint32_t>(rows.size() % 3);
      row.time_ns = static_cast<std::int64_t>(rows.size() / 2) * 1000;
      row.line = text.substr(start, end - start);
      if (options & 1) row.metadata = {{"k" + std::to_string(copy % 2), row.line.substr(0, 9)}};
      written.push_back(row.line);
      rows.push_back(std::move(row));
      start = end + 1;
    }
  }
  auto reader = open_bytes(build_part({rows}, 3, options & 2 ? Effort::kSmall : Effort::kFast));
  CHECK(reader.ok());
  const auto read = (*reader)->read_rows(0);
  CHECK(read.ok());
  std::vector<std::string> lines;
  for (const auto& row : read->rows) lines.emplace_back(row.line);
  std::sort(lines.begin(), lines.end());
  std::sort(written.begin(), written.end());
  CHECK(lines == written);
  LineFilter filter;
  filter.fold_case = options & 4;
  filter.negated = options & 8;
  std::string needle = text.substr((options >> 4) * text.size() / 16, needle_size);
  if (filter.fold_case)
    for (char& c : needle) c = fold_byte(c);
  filter.clauses = {{needle}};
  check_filter(**reader, filter);
  return 0;
}
