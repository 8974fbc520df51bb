#pragma once
// What a scan tells a row group (or the head) about itself: which of its streams it wants and under
// which numbers, which times, and what was deleted. Shared by part_reader.h and raw_block.h.

#include <cstdint>
#include <memory>
#include <vector>

#include "proto/model/entry.h"
#include "store/scan.h"

namespace skald::store::part {

// In BlockContext::streams: this local stream is not part of the scan.
inline constexpr std::uint32_t kNotSelected = 0xFFFFFFFF;

// A delete: rows of these streams, in this range, that all filters match, are gone.
struct Tombstone {
  std::vector<bool> streams;  // by local stream index; shorter than the table: false
  model::TimeRange range;
  std::vector<LineFilter> filters;  // conjunction; empty: every line. Matchers are borrowed.
};

struct BlockContext {
  // Local stream index -> index into Scan::streams(), or kNotSelected. Sized as the local table.
  std::vector<std::uint32_t> streams;
  model::TimeRange range;
  std::vector<std::shared_ptr<const Tombstone>> tombstones;
  std::uint64_t sequence = 0;    // what Block::sequence() answers
  ScanStats* stats = nullptr;    // bytes_read and bytes_decoded are added here; may be null
  ScanMemory* memory = nullptr;  // that blocks decode into; may be null
};

}  // namespace skald::store::part
