#pragma once
// A row group's metadata, parsed: its blocks and their columns. Immutable and shared by all Blocks
// made from it.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/part/column_spec.h"
#include "store/part/part_format.h"
#include "store/part/part_reader.h"
#include "store/scan.h"

namespace skald::store::part {

struct BlockSpec {
  std::uint32_t rows = 0;
  Shape shape;
  std::vector<std::string_view> literals;  // kJson: one more than columns; kText: two empty ones
  std::vector<StreamTotals> streams;       // stream, entries, line_bytes
  StreamOrder order = StreamOrder::kRuns;
  Ints stream_ids;  // kIds
  model::TimestampNs min_time_ns = 0, max_time_ns = 0;
  Ints times;  // minus min_time_ns
  bool has_ranks = false, has_metadata = false;
  Ints ranks;
  ColumnSpec metadata;
  std::vector<ColumnSpec> columns;
  std::vector<FieldStats> stats;  // kJson: by column
};

struct GroupSpec {
  GroupSpec(PageSource source, std::uint64_t line_bytes) : shared(std::move(source), line_bytes) {}

  std::string meta;  // decoded; views of the specs borrow from it
  GroupShared shared;
  std::vector<BlockSpec> blocks;
  std::uint32_t rank_base = 0;  // of this group within its part

  BlockNumbers blocks_that_may_match(std::span<const LineFilter> filters) const;
};

// What the directory says of a group, as read from the footer.
struct GroupPlace {
  std::uint64_t offset = 0, pages_bytes = 0, meta_stored = 0, meta_bytes = 0;
  std::uint32_t meta_crc = 0;
};

// `file` is the whole part; `index` the group's number in it. kCorrupt with the place.
base::Result<std::shared_ptr<const GroupSpec>> parse_group(
    std::string_view file, const GroupPlace& place, const RowGroupInfo& info,
    std::size_t streams_count, std::string place_name, std::uint32_t index);

bool may_match(const BlockSpec& block, const LineFilter& filter, const GroupShared& shared);

}  // namespace skald::store::part
