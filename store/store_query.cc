// The read doors: scans and label answers.

#include <shared_mutex>

#include "store/read/label_queries.h"
#include "store/read/scan_plan.h"
#include "store/store_impl.h"

namespace skald::store {

base::Result<std::unique_ptr<Scan>> StoreImpl::open_scan(const ScanRequest& request) {
  if (request.matchers.empty())
    return base::invalid_argument("a scan needs at least one label matcher");
  auto tenant = tenants_.find(request.tenant);
  read::ScanPlan plan;
  if (tenant != nullptr) {
    std::vector<std::string> warnings;
    for (const auto& part : tenant->part_list())
      if (!part->unread().empty() &&
          request.range.overlaps(part->meta().min_time_ns, part->meta().max_time_ns))
        warnings.push_back("part " + part->meta().name.to_string() +
                           " cannot be read and was left out: " + part->unread());
    plan = read::plan_scan(std::move(tenant), request, delete_filter_source(request.tenant));
    plan.warnings.insert(plan.warnings.end(), warnings.begin(), warnings.end());
  }
  return read::make_scan(std::move(plan), cache_);
}

base::Result<std::vector<std::string>> StoreImpl::label_names(const LabelQuery& query) {
  const auto tenant = tenants_.find(query.tenant);
  return tenant != nullptr ? read::label_names(*tenant, query) : std::vector<std::string>();
}

base::Result<std::vector<std::string>> StoreImpl::label_values(const LabelQuery& query,
                                                               std::string_view name) {
  const auto tenant = tenants_.find(query.tenant);
  return tenant != nullptr ? read::label_values(*tenant, query, name) : std::vector<std::string>();
}

base::Result<std::vector<StreamInfo>> StoreImpl::series(const LabelQuery& query) {
  const auto tenant = tenants_.find(query.tenant);
  return tenant != nullptr ? read::series(*tenant, query) : std::vector<StreamInfo>();
}

base::Result<std::vector<VolumeRow>> StoreImpl::volume(const LabelQuery& query) {
  const auto tenant = tenants_.find(query.tenant);
  return tenant != nullptr ? read::volume(*tenant, query, cache_) : std::vector<VolumeRow>();
}

std::uint64_t StoreImpl::stream_count(std::string_view tenant_name) {
  const auto tenant = tenants_.find(tenant_name);
  if (tenant == nullptr) return 0;
  const std::shared_lock lock(tenant->mutex);
  return tenant->labels.size();
}

std::vector<std::string> StoreImpl::tenants() {
  std::vector<std::string> out;
  for (const auto& tenant : tenants_.all()) out.push_back(tenant->name);
  return out;
}

StoreStats StoreImpl::stats() const {
  StoreStats out;
  const ingest::CommitterStats committer = committer_->stats();
  out.head_entries = committer.head_entries;
  out.head_bytes = committer.head_bytes;
  out.appended_entries = committer.appended_entries;
  out.appended_bytes = committer.appended_bytes;
  out.duplicate_entries = committer.duplicate_entries;
  out.wal_bytes = wal_->bytes();
  out.wal_syncs = wal_->syncs();
  out.wal_sync_ns = wal_->sync_ns();
  for (const auto& tenant : tenants_.all()) {
    const std::shared_lock lock(tenant->mutex);
    out.streams += tenant->labels.size();
    for (const auto& part : tenant->parts) {
      ++out.parts;
      out.part_bytes += part->meta().file_bytes;
      out.part_raw_bytes += part->meta().line_bytes;
      out.part_entries += part->meta().entries;
      if (part->damaged()) ++out.quarantined_parts;
    }
  }
  out.quarantined_parts += counters_.quarantined;
  out.index_rebuilds = counters_.index_rebuilds;
  out.seals = counters_.seals;
  out.compactions = counters_.compactions;
  out.compacted_bytes = counters_.compacted_bytes;
  out.compaction_io_bytes = compaction_io_.bytes;
  out.compaction_wait_ns = compaction_io_.wait_ns;
  out.merged_expired_entries = counters_.merged_expired;
  out.merged_deleted_entries = counters_.merged_deleted;
  out.merged_duplicates = counters_.merged_duplicates;
  out.disk_bytes_max = options_.disk_bytes_max;
  out.retention_deleted_parts = counters_.retention_parts;
  out.retention_deleted_bytes = counters_.retention_bytes;
  out.read_only_no_space = no_space_;
  return out;
}

}  // namespace skald::store
