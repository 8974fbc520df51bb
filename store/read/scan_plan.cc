#include "store/read/scan_plan.h"

#include <shared_mutex>
#include <utility>

namespace skald::store::read {
namespace {

// Below this many streams in the tenant a plain table is cheapest.
constexpr std::uint32_t kDenseMax = 1U << 16;

}  // namespace

StreamMap::StreamMap(std::span<const std::uint32_t> numbers, std::uint32_t numbers_end) {
  if (numbers_end <= kDenseMax)
    dense_.assign(numbers_end, part::kNotSelected);
  else
    sparse_.reserve(numbers.size());
  std::uint32_t next = 0;
  for (const std::uint32_t number : numbers) {
    if (numbers_end <= kDenseMax)
      dense_[number] = next++;
    else
      sparse_.emplace(number, next++);
  }
}

std::uint32_t StreamMap::at(std::uint32_t number) const noexcept {
  if (number < dense_.size()) return dense_[number];
  const auto found = sparse_.find(number);
  return found == sparse_.end() ? part::kNotSelected : found->second;
}

index::Bitmap active_streams(const ingest::Tenant& tenant, const model::TimeRange& range,
                             const index::Bitmap& among) {
  index::Bitmap out;
  for (const auto& part : tenant.parts)
    if (range.overlaps(part->meta().min_time_ns, part->meta().max_time_ns))
      out.unite(part->meta().streams);
  out.intersect(among);
  for (const auto& head : tenant.heads) {
    index::Bitmap open = among;  // what parts have not settled yet
    open.subtract(out);
    out.unite(head->streams_in(range, open));
  }
  return out;
}

catalog::NumberStreams number_streams(const ingest::Tenant& tenant) {
  return [&tenant](std::span<const StreamInfo> streams) {
    std::vector<std::uint32_t> numbers;
    numbers.reserve(streams.size());
    const std::shared_lock lock(tenant.mutex);
    for (const StreamInfo& stream : streams) numbers.push_back(tenant.labels.find(stream.id));
    return numbers;
  };
}

ScanPlan plan_scan(std::shared_ptr<ingest::Tenant> tenant, const ScanRequest& request,
                   const DeleteFilters& delete_filters) {
  ScanPlan plan;
  plan.range = request.range;
  plan.prune = request.prune;
  plan.tenant = std::move(tenant);
  const ingest::Tenant& from = *plan.tenant;
  const std::shared_lock lock(from.mutex);
  const index::Bitmap matched = from.labels.resolve(request.matchers);
  if (matched.empty()) return plan;

  index::Bitmap seen;
  for (const auto& part : from.parts) {
    const catalog::PartMeta& meta = part->meta();
    if (!plan.range.overlaps(meta.min_time_ns, meta.max_time_ns) ||
        !meta.streams.intersects(matched))
      continue;
    plan.parts.push_back(part);
    seen.unite(meta.streams);
  }
  for (const auto& head : from.heads) {
    const index::Bitmap wanted = head->streams_in(plan.range, matched);
    if (wanted.empty()) continue;
    seen.unite(wanted);
    for (auto& slice : head->snapshot())
      if (plan.range.overlaps(slice.min_time_ns, slice.max_time_ns))
        plan.slices.push_back({std::move(slice), head->first_sequence()});
  }
  seen.intersect(matched);
  const std::vector<std::uint32_t> numbers = seen.values();
  plan.stream_map = StreamMap(numbers, from.labels.size());
  plan.streams.reserve(numbers.size());
  for (const std::uint32_t number : numbers)
    plan.streams.push_back({from.labels.id(number), from.labels.labels(number)});

  for (const auto& record : from.deletes) {
    if (record->processed || record->range.end_ns <= plan.range.start_ns ||
        record->range.start_ns >= plan.range.end_ns)
      continue;
    PlannedDelete planned;
    planned.streams = from.labels.resolve(record->matchers);
    planned.streams.intersect(seen);
    if (planned.streams.empty()) continue;
    auto filters = delete_filters(*record);
    if (!filters.ok()) {
      plan.warnings.push_back("delete request " + record->id +
                              " is not applied: " + filters.status().to_string());
      continue;
    }
    planned.filters = std::move(filters).value();
    planned.range = record->range;
    planned.number = record->number;
    plan.deletes.push_back(std::move(planned));
  }
  return plan;
}

}  // namespace skald::store::read
