#include "query/exec/column_samples.h"

#include <algorithm>
#include <numeric>

namespace skald::query {
namespace {

// Counts per series that wait for their time slot to end, so that the state is asked once per slot
// and series and not once per row.
class SlotCounts {
 public:
  SlotCounts(std::span<const std::uint32_t> series, RangeState& state)
      : series_(series), state_(state), counts_(series.size()), sums_(series.size()) {}

  void add(std::uint32_t group, double sum) {
    if (counts_[group]++ == 0) touched_.push_back(group);
    sums_[group] += sum;
  }
  void flush(const Windows::Span& points) {
    for (const std::uint32_t group : touched_) {
      if (!points.empty()) state_.add_many(series_[group], points, counts_[group], sums_[group]);
      counts_[group] = 0;
      sums_[group] = 0;
    }
    touched_.clear();
  }

 private:
  std::span<const std::uint32_t> series_;
  RangeState& state_;
  std::vector<std::uint64_t> counts_;
  std::vector<double> sums_;
  std::vector<std::uint32_t> touched_;
};

}  // namespace

base::Result<bool> ColumnSampler::count_whole(plan::BlockPass& pass, store::Block& block,
                                              const SeriesOf& series_of, RangeState& state) const {
  if (!countable || !plan.may_count_by_stream()) return false;
  SKALD_TRY_ASSIGN(const bool by_stream, pass.counts_by_stream());
  if (!by_stream) return false;
  const Windows::Slot slot = windows.slot_of(block.min_time_ns());
  if (!slot.holds(block.max_time_ns())) return count_runs(block, series_of, state);
  const auto counts = block.whole_counts();
  if (!counts) return false;
  for (const store::StreamCount& count : *counts) {
    const auto bytes = static_cast<double>(count.line_bytes);
    const auto entries = static_cast<double>(count.entries);
    if (!slot.points.empty())
      state.add_many(series_of(plan.stream_group(count.stream)), slot.points, count.entries,
                     sample_bytes ? bytes : entries);
    context.lines += count.entries;
    context.line_bytes += count.line_bytes;
    context.lines_kept += count.entries;
  }
  return true;
}

base::Result<bool> ColumnSampler::count_runs(store::Block& block, const SeriesOf& series_of,
                                             RangeState& state) const {
  const auto runs = block.whole_runs();
  if (!runs) return false;
  SKALD_TRY_ASSIGN(const auto times, block.timestamps());
  const auto at = [&](std::uint32_t row) { return times.begin() + row; };
  for (const store::StreamRun& run : *runs)
    if (!std::is_sorted(at(run.begin), at(run.end))) return false;
  std::span<const std::uint32_t> sizes;
  if (sample_bytes) {
    SKALD_TRY_ASSIGN(sizes, block.line_sizes());
  }
  for (const store::StreamRun& run : *runs) {
    const std::uint32_t series = series_of(plan.stream_group(run.stream));
    for (auto from = at(run.begin); from != at(run.end);) {
      const Windows::Slot slot = windows.slot_of(*from);
      const auto end = std::upper_bound(from, at(run.end), slot.high_ns);
      const auto count = static_cast<std::uint64_t>(end - from);
      std::uint64_t sum = count;
      if (sample_bytes) {
        const auto first = sizes.begin() + (from - times.begin());
        sum = std::accumulate(first, first + (end - from), std::uint64_t{0});
        context.line_bytes += sum;
      }
      if (!slot.points.empty())
        state.add_many(series, slot.points, count, static_cast<double>(sum));
      from = end;
    }
  }
  context.lines += block.rows();
  context.lines_kept += block.rows();
  return true;
}

base::Result<bool> ColumnSampler::sample(plan::BlockPass& pass, store::Block& block,
                                         store::Selection& selection, const SeriesOf& series_of,
                                         RangeState& state) const {
  std::vector<double> values;
  plan::RowGroups groups;
  store::Selection left = selection;
  if (unwrap) {
    SKALD_TRY_ASSIGN(const bool known, pass.values(left, values));
    if (!known) return false;
  }
  if (left.none()) return true;
  SKALD_TRY_ASSIGN(const bool known, pass.groups(left, groups));
  if (!known) return false;
  std::vector<std::uint32_t> series;
  for (const model::Labels& labels : groups.labels) series.push_back(series_of(labels));
  context.lines_kept += left.count();

  RowColumns columns{.series = series, .groups = groups.ids};
  const Windows::Slot slot = windows.slot_of(block.min_time_ns());
  const bool one_slot = slot.holds(block.max_time_ns());
  const bool by_value = !countable || unwrap;
  if (!one_slot || (by_value && state.needs_times())) {
    SKALD_TRY_ASSIGN(columns.times, block.timestamps());
  }
  if (by_value) {
    state.add_rows({left, columns.series, columns.groups, values, columns.times, slot});
    return true;
  }
  if (sample_bytes) {
    SKALD_TRY_ASSIGN(columns.sizes, block.line_sizes());
  }
  if (one_slot && groups.ids.empty() && !sample_bytes) {
    const std::uint64_t count = left.count();
    if (!slot.points.empty())
      state.add_many(series[0], slot.points, count, static_cast<double>(count));
  } else {
    add_counts(left, columns, slot, state);
  }
  return true;
}

void ColumnSampler::add_counts(const store::Selection& selection, const RowColumns& columns,
                               Windows::Slot slot, RangeState& state) const {
  SlotCounts counts(columns.series, state);
  std::size_t i = 0;
  selection.for_each([&](std::uint32_t row) {
    if (!columns.times.empty() && !slot.holds(columns.times[row])) {
      counts.flush(slot.points);
      slot = windows.slot_of(columns.times[row]);
    }
    counts.add(columns.groups.empty() ? 0 : columns.groups[i],
               columns.sizes.empty() ? 1.0 : columns.sizes[row]);
    ++i;
  });
  counts.flush(slot.points);
}

}  // namespace skald::query
