#include "store/read/label_queries.h"

#include <algorithm>
#include <map>
#include <optional>
#include <shared_mutex>
#include <utility>

#include "store/read/scan_plan.h"

namespace skald::store::read {
namespace {

// Null when every stream is meant, which spares the intersections.
std::optional<index::Bitmap> selected(const ingest::Tenant& tenant, const LabelQuery& query) {
  index::Bitmap active = active_streams(tenant, query.range, tenant.labels.resolve(query.matchers));
  if (query.matchers.empty() && active.size() == tenant.labels.size()) return std::nullopt;
  return active;
}

// How much of [min, max] lies in the range, for totals that are known only as a whole.
double share(const model::TimeRange& range, model::TimestampNs min_ns, model::TimestampNs max_ns) {
  if (!range.overlaps(min_ns, max_ns)) return 0;
  if (range.contains(min_ns) && range.contains(max_ns)) return 1;
  const double span = static_cast<double>(max_ns) - static_cast<double>(min_ns) + 1;
  const double low = static_cast<double>(std::max(range.start_ns, min_ns));
  const double high = std::min(static_cast<double>(range.end_ns), static_cast<double>(max_ns) + 1);
  return std::clamp((high - low) / span, 0.0, 1.0);
}

std::uint64_t part_of(std::uint64_t total, double fraction) {
  return fraction >= 1 ? total
                       : static_cast<std::uint64_t>(static_cast<double>(total) * fraction + 0.5);
}

struct Totals {
  std::uint64_t entries = 0, bytes = 0, chunks = 0;
};

void add_slice(const ingest::TenantHead::Slice& slice, const model::TimeRange& range,
               const index::Bitmap& wanted, std::map<std::uint32_t, Totals>& totals) {
  for (std::uint32_t i = 0; i < slice.rows; ++i) {
    const ingest::HeadRow& row = slice.chunk->rows[i];
    if (!range.contains(row.timestamp_ns) || !wanted.contains(row.stream)) continue;
    Totals& total = totals[row.stream];
    ++total.entries;
    total.bytes += row.line_size;
  }
}

}  // namespace

std::vector<std::string> label_names(const ingest::Tenant& tenant, const LabelQuery& query) {
  const std::shared_lock lock(tenant.mutex);
  const auto among = selected(tenant, query);
  return tenant.labels.names(among ? &*among : nullptr);
}

std::vector<std::string> label_values(const ingest::Tenant& tenant, const LabelQuery& query,
                                      std::string_view name) {
  const std::shared_lock lock(tenant.mutex);
  const auto among = selected(tenant, query);
  return tenant.labels.values(name, among ? &*among : nullptr);
}

std::vector<StreamInfo> series(const ingest::Tenant& tenant, const LabelQuery& query) {
  std::vector<StreamInfo> out;
  {
    const std::shared_lock lock(tenant.mutex);
    const index::Bitmap streams =
        active_streams(tenant, query.range, tenant.labels.resolve(query.matchers));
    for (const std::uint32_t number : streams.values())
      out.push_back({tenant.labels.id(number), tenant.labels.labels(number)});
  }
  std::sort(out.begin(), out.end(),
            [](const StreamInfo& a, const StreamInfo& b) { return a.labels < b.labels; });
  return out;
}

std::vector<VolumeRow> volume(const ingest::Tenant& tenant, const LabelQuery& query,
                              catalog::PartCache& cache) {
  std::map<std::uint32_t, Totals> totals;
  index::Bitmap wanted;
  catalog::PartList parts;
  std::vector<ingest::TenantHead::Slice> slices;
  {
    const std::shared_lock lock(tenant.mutex);
    wanted = tenant.labels.resolve(query.matchers);
    for (const auto& part : tenant.parts)
      if (query.range.overlaps(part->meta().min_time_ns, part->meta().max_time_ns) &&
          part->meta().streams.intersects(wanted))
        parts.push_back(part);
    for (const auto& head : tenant.heads)
      for (auto& slice : head->snapshot()) slices.push_back(std::move(slice));
  }
  for (const auto& part : parts) {
    const auto open = cache.get(*part, number_streams(tenant));
    if (!open.ok()) continue;
    for (const auto& group : (*open)->reader->row_groups()) {
      if (!query.range.overlaps(group.min_time_ns, group.max_time_ns)) continue;
      for (const auto& stream : group.streams) {
        const std::uint32_t number = (*open)->numbers[stream.stream];
        const double fraction = share(query.range, stream.min_time_ns, stream.max_time_ns);
        if (fraction <= 0 || !wanted.contains(number)) continue;
        Totals& total = totals[number];
        total.entries += part_of(stream.entries, fraction);
        total.bytes += part_of(stream.line_bytes, fraction);
        ++total.chunks;
      }
    }
  }
  for (const auto& slice : slices) add_slice(slice, query.range, wanted, totals);
  std::vector<VolumeRow> out;
  const std::shared_lock lock(tenant.mutex);
  for (const auto& [number, total] : totals)
    out.push_back({{tenant.labels.id(number), tenant.labels.labels(number)},
                   total.entries,
                   total.bytes,
                   std::max<std::uint64_t>(total.chunks, 1)});
  return out;
}

}  // namespace skald::store::read
