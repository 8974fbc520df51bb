#pragma once
// Merges parts into one, dropping what was deleted, what is beyond retention and what is there
// twice. Crash-safe without a log: the new part's name covers its inputs, which start-up therefore
// removes if the crash came between publishing and unlinking.
//
// Memory: the raw lines of one group of output, and about four times as much for decoding and
// encoding them; `memory_max` bounds the group accordingly. An input group larger than that (of an
// older, larger setting) is still taken whole.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "store/catalog/layout.h"
#include "store/catalog/part_handle.h"
#include "store/compact/merge_plan.h"
#include "store/compact/throttle.h"
#include "store/ingest/tenant.h"
#include "store/read/scan_plan.h"

namespace skald::store::compact {

struct MergeOptions {
  std::uint64_t memory_max = 0;  // kept by the size of the groups, see limits.h
  Throttle* throttle = nullptr;  // null: neither counted nor held back
  std::vector<read::PlannedDelete> deletes;
  std::uint64_t deletes_through = 0;  // every delete in force up to this number is among them
  // The oldest time that is kept of a stream (by number); null: everything.
  std::function<model::TimestampNs(std::uint32_t number)> oldest_kept;
  const std::atomic<bool>* stopping = nullptr;  // ends with kCancelled
};

struct MergeResult {
  std::shared_ptr<catalog::PartHandle> part;  // durable, not yet published; null: no row is left
  std::uint64_t rows_in = 0, rows_out = 0, duplicates = 0, deleted = 0, expired = 0;
};

// After an error nothing has changed. Two codes are about this run alone, others may go on.
// kCorrupt: an input is damaged or the disk does not give it (it is marked so and will not be
// chosen again). kUnavailable: not now, the name would cover rows that are in none of the inputs.
base::Result<MergeResult> merge(base::FileSystem& fs, const catalog::Layout& layout,
                                ingest::Tenant& tenant, const MergeRun& run,
                                const MergeOptions& options);

// In one step for scans: the inputs go, the output comes. The files go with their last reader.
void publish(ingest::Tenant& tenant, const MergeRun& run,
             const std::shared_ptr<catalog::PartHandle>& output);

}  // namespace skald::store::compact
