// Upkeep: the maintenance thread and compaction. Retention is in store_retention.cc.

#include <malloc.h>

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <shared_mutex>

#include "store/compact/limits.h"
#include "store/compact/merge_plan.h"
#include "store/kept_since.h"
#include "store/limits.h"
#include "store/store_impl.h"

namespace skald::store {
namespace {

bool touches(const read::PlannedDelete& planned, const catalog::PartMeta& meta) {
  return planned.range.overlaps(meta.min_time_ns, meta.max_time_ns) &&
         planned.streams.intersects(meta.streams);
}

}  // namespace

void StoreImpl::maintenance_loop() {
  // Merges give way to ingest and queries; the priority is this thread's own on Linux.
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, 10));
  for (;;) {
    {
      std::unique_lock lock(wake_mutex_);
      wake_.wait_for(lock, std::chrono::milliseconds(kMaintenancePollMs),
                     [&] { return stopping_.load(); });
      if (stopping_) return;
    }
    const std::int64_t now_ns = base::Clock::system().monotonic_ns();
    if (now_ns >= retention_at_ns_ || no_space_) {
      retention_at_ns_ = now_ns + kRetentionEveryNs;
      if (const base::Status status = enforce_retention(); !status.ok())
        spdlog::error("store: retention: {}", status.to_string());
    }
    settle_all_deletes();
    if (!quiet() || !check_space().ok()) continue;
    const std::scoped_lock lock(compact_mutex_);
    const base::Status status = compact_tenants(Reach::kBackground);
    if (!status.ok() && status.code() != base::Code::kCancelled)
      spdlog::error("store: compaction: {}", status.to_string());
  }
}

bool StoreImpl::quiet() {
  const std::uint64_t bytes = committer_->stats().appended_bytes;
  const bool calm = bytes - quiet_bytes_ < kQuietBytes;
  quiet_bytes_ = bytes;
  if (calm) return true;
  std::size_t parts = 0;
  for (const auto& tenant : tenants_.all()) parts += tenant->part_list().size();
  return parts > kPartsWaitingMax;
}

base::Status StoreImpl::compact() {
  const std::scoped_lock lock(compact_mutex_);
  return compact_tenants(Reach::kEverything);
}

base::Status StoreImpl::compact_tenants(Reach reach) {
  base::Status result;  // the first error; the other tenants still get their turn
  for (const auto& tenant : tenants_.all()) {
    base::Status status = compact_tenant(*tenant, reach);
    sync_index();
    if (status.code() == base::Code::kCancelled) return status;
    if (!status.ok() && result.ok()) result = std::move(status);
  }
  return result;
}

compact::MergeOptions StoreImpl::merge_options(const ingest::Tenant& tenant, Reach reach) {
  compact::MergeOptions out;
  out.memory_max = options_.compaction_memory_max;
  out.throttle = reach == Reach::kEverything ? &unthrottled_ : &throttle_;
  out.stopping = &stopping_;
  const std::int64_t now_ns = clock_.wall_ns();
  auto kept = std::make_shared<KeptSince>(kept_since(tenant));
  if (!kept->unlimited())
    out.oldest_kept = [kept](std::uint32_t number) { return kept->of(number); };
  const std::shared_lock lock(tenant.mutex);
  for (const auto& record : tenant.deletes) {
    if (record->processed) continue;
    if (reach == Reach::kBackground && now_ns - record->created_ns < kDeleteCancelNs) continue;
    auto filters = delete_filters(tenant.name, *record);
    if (!filters.ok()) continue;
    out.deletes.push_back({tenant.labels.resolve(record->matchers), record->range,
                           std::move(filters).value(), record->number});
  }
  return out;
}

base::Status StoreImpl::compact_tenant(ingest::Tenant& tenant, Reach reach) {
  const compact::MergeOptions options = merge_options(tenant, reach);
  if (!options.deletes.empty()) SKALD_TRY(flush());  // what is in the head is meant, too
  const KeptSince kept = kept_since(tenant);
  const auto must = [&](const catalog::PartHandle& part) {
    const catalog::PartMeta& meta = part.meta();
    for (const auto& planned : options.deletes)
      if (touches(planned, meta)) return true;
    if (kept.uniform()) return false;
    for (const std::uint32_t number : meta.streams.values())
      if (meta.max_time_ns < kept.of(number)) return true;
    return false;
  };
  const std::size_t parts_min = reach == Reach::kEverything ? 1 : compact::kPartsMinBackground;
  base::Status result;
  for (const compact::MergeRun& run : compact::plan_merges(tenant.part_list(), parts_min, must)) {
    base::Status status = run_merge(tenant, run, options);
    if (status.ok()) continue;
    spdlog::error("store: tenant {}: a merge of {} parts failed: {}", tenant.name,
                  run.inputs.size(), status.to_string());
    // A damaged input is passed over from now on; other errors end the pass.
    if (result.ok() || status.code() != base::Code::kCorrupt) result = std::move(status);
    if (result.code() != base::Code::kCorrupt) return result;
  }
  if (result.ok() && !options.deletes.empty() && emptied_parts_are_gone(tenant))
    result = mark_processed(tenant, options.deletes);
  return result;
}

// A part that lost all its rows has no successor whose name would cover it: until its removal is
// durable a crash brings it back, and the deletes that emptied it must still be in force then.
bool StoreImpl::emptied_parts_are_gone(const ingest::Tenant& tenant) {
  std::erase_if(emptied_, [this](const EmptiedPart& emptied) {
    if (!emptied.part.expired()) return false;
    const base::Status removed = fs_.remove(emptied.path);  // again: its handle's may have failed
    return removed.ok() || removed.code() == base::Code::kNotFound;
  });
  if (!emptied_.empty()) return false;  // an open scan holds one: the next pass asks again
  const std::string directory = layout_.parts_directory(tenant.name);
  if (const base::Status status = fs_.sync_directory(directory); !status.ok()) {
    spdlog::warn("store: {}", status.to_string());
    return false;
  }
  return true;
}

base::Status StoreImpl::run_merge(ingest::Tenant& tenant, const compact::MergeRun& run,
                                  const compact::MergeOptions& options) {
  std::uint64_t bytes_in = 0;
  for (const auto& input : run.inputs) bytes_in += input->meta().file_bytes;
  const std::int64_t start_ns = base::Clock::system().monotonic_ns();
  SKALD_TRY_ASSIGN(const compact::MergeResult merged,
                   compact::merge(fs_, layout_, tenant, run, options));
  if (merged.part == nullptr)
    for (const auto& input : run.inputs) emptied_.push_back({input, input->path()});
  compact::publish(tenant, run, merged.part);
  // The largest buffers of the process were just freed; the allocator would keep them resident.
  ::malloc_trim(0);
  const std::uint64_t bytes_out = merged.part != nullptr ? merged.part->meta().file_bytes : 0;
  counters_.merged_expired += merged.expired;
  counters_.merged_deleted += merged.deleted;
  counters_.merged_duplicates += merged.duplicates;
  ++counters_.compactions;
  counters_.compacted_bytes += bytes_in;
  spdlog::info(
      "store: tenant {}: merged {} parts of {} bytes into one of {} bytes in {} ms; {} entries, {} "
      "duplicates, {} deleted, {} expired",
      tenant.name, run.inputs.size(), bytes_in, bytes_out,
      (base::Clock::system().monotonic_ns() - start_ns) / base::kNsPerMs, merged.rows_out,
      merged.duplicates, merged.deleted, merged.expired);
  return {};
}

}  // namespace skald::store
