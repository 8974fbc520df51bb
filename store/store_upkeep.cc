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

// Whether the part may have rows that the delete means. One that is not read yet may have any.
bool has_rows_of(const catalog::PartHandle& part, const read::PlannedDelete& planned) {
  const catalog::PartMeta& meta = part.meta();
  return planned.range.overlaps(meta.min_time_ns, meta.max_time_ns) &&
         planned.number > part.deletes_applied &&
         (!part.unread().empty() || planned.streams.intersects(meta.streams));
}

}  // namespace

bool StoreImpl::concerns_one_run(const base::Status& status) {
  return status.code() == base::Code::kCorrupt || status.code() == base::Code::kUnavailable;
}

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
    if (!status.ok() && status.code() != base::Code::kCancelled &&
        status.code() != base::Code::kUnavailable)
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
  bool all = true;
  const std::shared_lock lock(tenant.mutex);
  for (const auto& record : tenant.deletes) {
    if (record->processed) continue;
    const bool may_be_cancelled =
        reach == Reach::kBackground && now_ns - record->created_ns < kDeleteCancelNs;
    auto filters = delete_filters(tenant.name, *record);
    if (may_be_cancelled || !filters.ok()) {
      all = false;
      continue;
    }
    if (all) out.deletes_through = record->number;
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
      if (has_rows_of(part, planned)) return true;
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
    if (result.ok() || !concerns_one_run(status)) result = std::move(status);
    if (!concerns_one_run(result)) return result;
  }
  if (!result.ok()) return result;
  // What stays in a part that cannot be written again must stay hidden after the next start, too.
  std::vector<read::PlannedDelete> applied = options.deletes;
  for (const auto& part : tenant.part_list())
    if (part->damaged())
      std::erase_if(applied, [&](const auto& planned) { return has_rows_of(*part, planned); });
  return !applied.empty() && emptied_parts_are_gone(tenant) ? mark_processed(tenant, applied)
                                                            : base::Status();
}

// A part that lost all its rows has no successor whose name would cover it: until its removal is
// durable a crash brings it back, and the deletes that emptied it must still be in force then.
bool StoreImpl::emptied_parts_are_gone(const ingest::Tenant& tenant) {
  std::erase_if(emptied_, [this](const EmptiedPart& emptied) {
    if (!emptied.part.expired()) return false;
    // Again: its handle's may have failed.
    return catalog::remove_last(fs_, emptied.path, emptied.name).ok();
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
  auto result = compact::merge(fs_, layout_, tenant, run, options);
  if (!result.ok()) {
    const base::Status& status = result.status();
    // One that is put off is asked for again at every pass.
    spdlog::log(
        status.code() == base::Code::kUnavailable ? spdlog::level::debug : spdlog::level::err,
        "store: tenant {}: a merge of {} parts failed: {}", tenant.name, run.inputs.size(),
        status.to_string());
    return status;
  }
  const compact::MergeResult merged = std::move(result).value();
  if (merged.part == nullptr)
    for (const auto& input : run.inputs)
      emptied_.push_back({input, input->path(), input->meta().name});
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

// Under compact_mutex_. What the disk did not give at the start it may give now.
void StoreImpl::retry_unread_parts(ingest::Tenant& tenant) {
  for (const auto& part : tenant.part_list()) {
    if (part->unread().empty()) continue;
    const catalog::PartName& name = part->meta().name;
    auto meta = read_part(tenant, name);
    if (!meta.ok() && meta.status().errno_value() != 0) continue;  // every scan says so
    std::shared_ptr<catalog::PartHandle> whole;
    if (meta.ok()) {
      whole = std::make_shared<catalog::PartHandle>(fs_, part->path(), std::move(meta).value());
      spdlog::info("store: tenant {}: part {} can be read again", tenant.name, name.to_string());
    } else {
      quarantine(tenant.name, name.to_string(), meta.status());
      spdlog::error("store: {}", findings_.back());
    }
    const std::unique_lock lock(tenant.mutex);
    if (whole == nullptr) {
      std::erase(tenant.parts, part);
      continue;
    }
    // What it was merged from may have been taken in its place.
    std::erase_if(tenant.parts, [&](const auto& other) {
      const bool covered = name.covers(other->meta().name);
      if (covered) other->supersede(whole);
      return covered;
    });
    std::replace(tenant.parts.begin(), tenant.parts.end(), part, whole);
  }
}

}  // namespace skald::store
