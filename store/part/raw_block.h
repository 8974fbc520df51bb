#pragma once
// A Block over rows kept as plain lines: what the head hands to a scan. Its shape is kText; line
// filters run as byte search over the lines.
//
// For the owner of the head: build one RawBlock per scan (or one per slice of some 10,000 rows, so
// that workers share the work) over a snapshot of rows that no longer changes; `keep_alive` holds
// whatever owns the lines and the metadata. Rows may be in any order.

#include <cstdint>
#include <memory>
#include <vector>

#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "store/part/block_context.h"
#include "store/scan.h"

namespace skald::store::part {

struct RawRow {
  model::TimestampNs timestamp_ns = 0;
  std::string_view line;
  const model::Labels* metadata = nullptr;  // null or empty: none
  std::uint32_t stream = 0;                 // local: index into BlockContext::streams
  std::uint32_t rank = 0;                   // arrival order among equal times of a stream
};

// Null when no row is of a selected stream and in the range. Rows of other streams may be left in
// `rows`: select() drops them.
std::unique_ptr<Block> make_raw_block(std::vector<RawRow> rows,
                                      std::shared_ptr<const BlockContext> context,
                                      std::shared_ptr<const void> keep_alive);

}  // namespace skald::store::part
