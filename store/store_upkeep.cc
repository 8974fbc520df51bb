// Upkeep: compaction and retention, in the background or when asked for.

#include <malloc.h>

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <shared_mutex>
#include <unordered_map>

#include "store/compact/limits.h"
#include "store/compact/merge_plan.h"
#include "store/limits.h"
#include "store/retention_policy.h"
#include "store/store_impl.h"

namespace skald::store {
namespace {

constexpr model::TimestampNs kNoLimit = std::numeric_limits<model::TimestampNs>::min();

// The oldest time kept of each stream of a tenant, at one moment.
class KeptSince {
 public:
  KeptSince(RetentionPolicy policy, const ingest::Tenant& tenant, std::int64_t now_ns)
      : policy_(std::move(policy)), tenant_(tenant), now_ns_(now_ns) {}

  bool unlimited() const { return policy_.period_ns <= 0 && policy_.rules.empty(); }
  bool uniform() const { return policy_.rules.empty(); }
  model::TimestampNs of_all() const { return since(policy_.period_ns); }
  model::TimestampNs of(std::uint32_t number) const {
    if (uniform()) return of_all();
    const std::shared_lock lock(tenant_.mutex);
    return of_locked(number);
  }
  model::TimestampNs of_locked(std::uint32_t number) const {
    return since(period_of(policy_, tenant_.labels.labels(number)));
  }

 private:
  model::TimestampNs since(std::int64_t period_ns) const {
    return period_ns <= 0 ? kNoLimit : std::max<std::int64_t>(0, now_ns_ - period_ns);
  }
  const RetentionPolicy policy_;
  const ingest::Tenant& tenant_;
  const std::int64_t now_ns_;
};

catalog::PartList parts_of(const ingest::Tenant& tenant) {
  const std::shared_lock lock(tenant.mutex);
  return tenant.parts;
}

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
  for (const auto& tenant : tenants_.all()) parts += parts_of(*tenant).size();
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
  out.group_bytes =
      reach == Reach::kEverything ? compact::kGroupBytesForeground : compact::kGroupBytesBackground;
  out.stopping = &stopping_;
  const std::int64_t now_ns = clock_.wall_ns();
  auto kept = std::make_shared<KeptSince>(policy_of(tenant.name), tenant, now_ns);
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
  const KeptSince kept(policy_of(tenant.name), tenant, clock_.wall_ns());
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
  for (const compact::MergeRun& run : compact::plan_merges(parts_of(tenant), parts_min, must)) {
    base::Status status = run_merge(tenant, run, options);
    if (status.ok()) continue;
    spdlog::error("store: tenant {}: a merge of {} parts failed: {}", tenant.name,
                  run.inputs.size(), status.to_string());
    // A damaged input is passed over from now on; other errors end the pass.
    if (result.ok() || status.code() != base::Code::kCorrupt) result = std::move(status);
    if (result.code() != base::Code::kCorrupt) return result;
  }
  if (result.ok() && !options.deletes.empty()) result = mark_processed(tenant, options.deletes);
  return result;
}

base::Status StoreImpl::run_merge(ingest::Tenant& tenant, const compact::MergeRun& run,
                                  const compact::MergeOptions& options) {
  std::uint64_t bytes_in = 0;
  for (const auto& input : run.inputs) bytes_in += input->meta().file_bytes;
  const std::int64_t start_ns = base::Clock::system().monotonic_ns();
  SKALD_TRY_ASSIGN(const compact::MergeResult merged,
                   compact::merge(fs_, layout_, tenant, run, options));
  compact::publish(tenant, run, merged.part);
  // The largest buffers of the process were just freed; the allocator would keep them resident.
  ::malloc_trim(0);
  const std::uint64_t bytes_out = merged.part != nullptr ? merged.part->meta().file_bytes : 0;
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

void StoreImpl::drop_part(ingest::Tenant& tenant, const std::shared_ptr<catalog::PartHandle>& part,
                          std::string_view why) {
  ++counters_.retention_parts;
  counters_.retention_bytes += part->meta().file_bytes;
  spdlog::info("store: tenant {}: dropping part {} of {} bytes: {}", tenant.name,
               part->meta().name.to_string(), part->meta().file_bytes, why);
  compact::publish(tenant, {{part}}, nullptr);
}

void StoreImpl::drop_expired(ingest::Tenant& tenant) {
  const KeptSince kept(policy_of(tenant.name), tenant, clock_.wall_ns());
  if (kept.unlimited()) return;
  for (const auto& part : parts_of(tenant)) {
    const catalog::PartMeta& meta = part->meta();
    bool expired = true;
    if (kept.uniform()) {
      expired = meta.max_time_ns < kept.of_all();
    } else {
      for (const std::uint32_t number : meta.streams.values())
        expired = expired && meta.max_time_ns < kept.of(number);
    }
    if (expired) drop_part(tenant, part, "older than its retention period");
  }
}

void StoreImpl::drop_beyond_bytes() {
  struct Candidate {
    std::shared_ptr<ingest::Tenant> tenant;
    std::shared_ptr<catalog::PartHandle> part;
  };
  std::vector<Candidate> candidates;
  std::uint64_t total = 0;
  std::unordered_map<std::string, std::pair<std::uint64_t, std::uint64_t>> tenants;  // used, limit
  for (const auto& tenant : tenants_.all()) {
    auto& [used, limit] = tenants[tenant->name];
    limit = policy_of(tenant->name).bytes_max;
    for (auto& part : parts_of(*tenant)) {
      used += part->meta().file_bytes;
      total += part->meta().file_bytes;
      candidates.push_back({tenant, std::move(part)});
    }
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.part->meta().max_time_ns < b.part->meta().max_time_ns;
  });
  for (const Candidate& candidate : candidates) {
    auto& [used, limit] = tenants[candidate.tenant->name];
    const std::uint64_t bytes = candidate.part->meta().file_bytes;
    const bool tenant_over = limit > 0 && used > limit;
    const bool disk_over = options_.disk_bytes_max > 0 && total > options_.disk_bytes_max;
    if (!tenant_over && !disk_over) continue;
    drop_part(*candidate.tenant, candidate.part,
              disk_over ? "over the limit of bytes" : "over the tenant's limit of bytes");
    used -= bytes;
    total -= bytes;
  }
}

base::Status StoreImpl::enforce_retention() {
  const std::scoped_lock lock(compact_mutex_);
  for (const auto& tenant : tenants_.all()) drop_expired(*tenant);
  drop_beyond_bytes();
  // Streams with a shorter period than their neighbours: their parts are written again.
  for (const auto& tenant : tenants_.all()) {
    const RetentionPolicy policy = policy_of(tenant->name);
    if (policy.rules.empty()) continue;
    const KeptSince kept(policy, *tenant, clock_.wall_ns());
    compact::MergeOptions options = merge_options(*tenant, Reach::kBackground);
    options.deletes.clear();
    for (const auto& part : parts_of(*tenant)) {
      const auto numbers = part->meta().streams.values();
      const bool some = std::any_of(numbers.begin(), numbers.end(), [&](std::uint32_t number) {
        return part->meta().max_time_ns < kept.of(number);
      });
      if (some && !part->damaged()) SKALD_TRY(run_merge(*tenant, {{part}}, options));
    }
  }
  sync_index();
  return {};
}

}  // namespace skald::store
