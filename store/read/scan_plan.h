#pragma once
// What a scan has pinned when it was opened: the parts and head slices that may hold matching rows,
// the matching streams, and the deletes in force. Taken under the tenant's lock in one go, so a
// row is in exactly one of them however seals and merges go on meanwhile.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/catalog/part_handle.h"
#include "store/index/bitmap.h"
#include "store/ingest/tenant.h"
#include "store/part/block_context.h"
#include "store/scan.h"

namespace skald::store::read {

// Stream number -> index into Scan::streams().
class StreamMap {
 public:
  StreamMap() = default;
  StreamMap(std::span<const std::uint32_t> numbers, std::uint32_t numbers_end);
  std::uint32_t at(std::uint32_t number) const noexcept;  // part::kNotSelected if it is not there

 private:
  std::vector<std::uint32_t> dense_;
  std::unordered_map<std::uint32_t, std::uint32_t> sparse_;
};

struct PlannedDelete {
  index::Bitmap streams;  // of the scan's
  model::TimeRange range;
  std::vector<LineFilter> filters;
  std::uint64_t number = 0;
};

struct HeadSlice {
  ingest::TenantHead::Slice slice;
  std::uint64_t sequence = 0;  // of its head
};

struct ScanPlan {
  std::shared_ptr<ingest::Tenant> tenant;
  model::TimeRange range;
  std::vector<LineFilter> prune;
  std::vector<StreamInfo> streams;
  StreamMap stream_map;
  catalog::PartList parts;
  std::vector<HeadSlice> slices;
  std::vector<PlannedDelete> deletes;
  std::vector<std::string> warnings;
};

// The line filters of a delete; an error leaves the delete out, with a warning.
using DeleteFilters =
    std::function<base::Result<std::vector<LineFilter>>(const retention::DeleteRecord& record)>;

ScanPlan plan_scan(std::shared_ptr<ingest::Tenant> tenant, const ScanRequest& request,
                   const DeleteFilters& delete_filters);

// Which of `among` have entries in the range, by the time bounds of parts and of head streams.
// Under the tenant's lock.
index::Bitmap active_streams(const ingest::Tenant& tenant, const model::TimeRange& range,
                             const index::Bitmap& among);

std::unique_ptr<Scan> make_scan(ScanPlan plan, catalog::PartCache& cache);

// The tenant's numbers of a footer's streams; takes the tenant's lock.
catalog::NumberStreams number_streams(const ingest::Tenant& tenant);

}  // namespace skald::store::read
