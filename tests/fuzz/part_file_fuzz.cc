// Hostile parts: nothing read from a file may crash, hang or take memory without bound. Input:
// first byte 0: the rest is a whole file. Otherwise the rest is a row group's metadata as stored
// plainly, behind valid checksums: pages inside references are then read for real.

#include <cstdint>
#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/crc32c.h"
#include "store/part/column_block.h"
#include "store/part/group_spec.h"
#include "tests/store/part/part_testing.h"

namespace {

using namespace skald::store;
using namespace skald::store::part;

void read_block(Block& block) {
  const Selection all(block.rows(), true);
  TextColumn lines;
  if (block.read_lines(all, lines).ok())
    for (std::uint32_t row = 0; row < block.rows(); ++row) (void)lines.at(row).size();
  (void)block.timestamps().ok();
  (void)block.streams().ok();
  (void)block.ranks().ok();
  (void)block.line_sizes().ok();
  (void)block.whole_counts();
  std::vector<skald::model::Labels> metadata;
  (void)block.read_metadata(all, metadata).ok();
  for (const char* needle : {"e", "\": \"", "123", "00000000-1111-4222-a333-444444444444"}) {
    LineFilter filter;
    filter.clauses = {{needle}};
    Selection selection = all;
    (void)block.filter_lines(filter, selection).ok();
  }
  for (std::size_t field = 0; field < block.shape().fields.size(); ++field) {
    TextColumn values;
    (void)block.read_text(field, all, values).ok();
    std::vector<double> numbers;
    if (block.field_stats(field).all_numbers) (void)block.read_numbers(field, all, numbers).ok();
  }
}

void read_file(std::string bytes) {
  auto reader = open_bytes(std::move(bytes));
  if (!reader.ok()) return;
  for (std::size_t g = 0; g < (*reader)->row_groups().size() && g < 4; ++g) {
    (void)(*reader)->read_rows(g).ok();
    auto blocks = (*reader)->open_row_group(
        g, all_rows(static_cast<std::uint32_t>((*reader)->streams().size())));
    if (!blocks.ok()) continue;
    for (const auto& block : *blocks) read_block(*block);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::string rest(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] == 0) {
    read_file(rest);
    return 0;
  }
  // The group's row count comes first: it is the directory's, not the metadata's.
  const auto rows = skald::base::load_le<std::uint16_t>(rest.data());
  const std::string meta = rest.substr(2);
  GroupPlace place;
  place.meta_stored = place.meta_bytes = meta.size();
  place.meta_crc = skald::base::crc32c(meta);
  RowGroupInfo info;
  info.rows = rows;
  info.line_bytes = 1U << 20;
  const auto group = parse_group(meta, place, info, 8, "fuzz", 1);
  if (!group.ok()) return 0;
  for (std::size_t i = 0; i < (*group)->blocks.size(); ++i)
    read_block(*make_column_block(nullptr, *group, i, all_rows(8)));
  return 0;
}
