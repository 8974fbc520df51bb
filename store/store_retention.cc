// Retention: what is too old, by time, and what is too much, by bytes.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_map>

#include "store/kept_since.h"
#include "store/store_impl.h"

namespace skald::store {

// Under compact_mutex_.
KeptSince StoreImpl::kept_since(const ingest::Tenant& tenant) const {
  const auto found = byte_cutoffs_.find(tenant.name);
  return {policy_of(tenant.name),
          found != byte_cutoffs_.end() ? found->second : std::vector<model::TimestampNs>(), tenant,
          clock_.wall_ns()};
}

namespace {

// Adds a part to what each rule's streams take; a rule that this puts over its limit is cut within
// the part, in proportion.
void count_part(const RetentionPolicy& policy, const part::PartReader& reader,
                std::vector<double>& used, std::vector<model::TimestampNs>& cutoffs) {
  const part::PartSummary& summary = reader.summary();
  std::vector<double> lines(policy.rules.size(), 0);
  for (const part::StreamTotals& stream : summary.streams) {
    const std::size_t rule = rule_of(policy, reader.streams()[stream.stream].labels);
    if (rule < lines.size()) lines[rule] += static_cast<double>(stream.line_bytes);
  }
  const double stored_per_line_byte =
      static_cast<double>(summary.file_bytes) /
      static_cast<double>(std::max<std::uint64_t>(1, summary.line_bytes));
  for (std::size_t rule = 0; rule < lines.size(); ++rule) {
    const auto limit = static_cast<double>(policy.rules[rule].bytes_max);
    const double bytes = lines[rule] * stored_per_line_byte;
    if (limit == 0 || bytes == 0 || cutoffs[rule] != KeptSince::kEverything) continue;
    used[rule] += bytes;
    if (used[rule] <= limit) continue;
    const double over = std::min(1.0, (used[rule] - limit) / bytes);
    const double span =
        static_cast<double>(summary.max_time_ns) - static_cast<double>(summary.min_time_ns);
    cutoffs[rule] = summary.min_time_ns + static_cast<std::int64_t>(over * span) + 1;
  }
}

}  // namespace

// For each rule with a limit of bytes the time from which on its streams are within it, counting
// parts from the newest.
std::vector<model::TimestampNs> StoreImpl::byte_cutoffs(const ingest::Tenant& tenant) {
  const RetentionPolicy policy = policy_of(tenant.name);
  std::vector<model::TimestampNs> out(policy.rules.size(), KeptSince::kEverything);
  if (std::none_of(policy.rules.begin(), policy.rules.end(),
                   [](const RetentionRule& rule) { return rule.bytes_max > 0; }))
    return out;
  catalog::PartList parts = tenant.part_list();
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
    return a->meta().max_time_ns > b->meta().max_time_ns;
  });
  std::vector<double> used(out.size(), 0);
  for (const auto& part : parts) {
    if (!part->unread().empty()) continue;
    const auto open = cache_.get(*part, read::number_streams(tenant));
    if (open.ok()) count_part(policy, *(*open)->reader, used, out);
  }
  return out;
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
  const KeptSince kept = kept_since(tenant);
  if (kept.unlimited()) return;
  for (const auto& part : tenant.part_list()) {
    const catalog::PartMeta& meta = part->meta();
    bool expired = kept.uniform() || part->unread().empty();  // else: its streams are not known
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
    for (auto& part : tenant->part_list()) {
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
  for (const auto& tenant : tenants_.all()) {
    retry_unread_parts(*tenant);
    byte_cutoffs_[tenant->name] = byte_cutoffs(*tenant);
    drop_expired(*tenant);
  }
  drop_beyond_bytes();
  base::Status result;
  // Streams with a shorter period than their neighbours: their parts are written again.
  for (const auto& tenant : tenants_.all()) {
    const KeptSince kept = kept_since(*tenant);
    if (kept.uniform()) continue;
    compact::MergeOptions options = merge_options(*tenant, Reach::kBackground);
    options.deletes.clear();
    options.deletes_through = 0;
    for (const auto& part : tenant->part_list()) {
      const auto numbers = part->meta().streams.values();
      const bool some = std::any_of(numbers.begin(), numbers.end(), [&](std::uint32_t number) {
        return part->meta().max_time_ns < kept.of(number);
      });
      if (!some || part->damaged()) continue;
      base::Status status = run_merge(*tenant, {{part}}, options);
      if (!status.ok() && !concerns_one_run(status)) return status;
      if (status.code() == base::Code::kCorrupt) result = std::move(status);
    }
  }
  sync_index();
  return result;
}

}  // namespace skald::store
