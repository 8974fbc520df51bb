#pragma once
// The state of a range aggregation: samples of many series go in, in any order and from several
// workers; one value per series and evaluation point comes out.
//
// Every sample is taken once, whatever the number of points: it goes to the slot of those points
// whose windows hold it (the windows that hold a sample are neighbours). A window is then the merge
// of its slots, kept by two stacks as in "sliding window aggregation": linear in slots.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "proto/base/status.h"
#include "query/exec/query_context.h"
#include "query/exec/steps.h"
#include "query/logql/ast.h"
#include "store/scan.h"

namespace skald::query {

// Windows (t - offset - range, t - offset] of the points t.
struct Windows {
  Steps steps;
  std::int64_t range_ns = 0;
  std::int64_t offset_ns = 0;

  struct Span {
    std::uint32_t first = 1, last = 0;  // points, inclusive; empty if first > last
    bool empty() const { return first > last; }
  };
  Span points_of(std::int64_t timestamp_ns) const;

  // The times [low_ns, high_ns] around a sample whose windows are the same.
  struct Slot {
    Span points;
    std::int64_t low_ns = 0, high_ns = -1;
    bool holds(std::int64_t t) const { return t >= low_ns && t <= high_ns; }
  };
  Slot slot_of(std::int64_t timestamp_ns) const;
};

// Samples of one block: row i of the selected ones has values[i], belongs to series[groups[i]] and
// lies at times[row].
struct RowSamples {
  const store::Selection& rows;
  std::span<const std::uint32_t> series;
  std::span<const std::uint32_t> groups;  // empty: all 0
  std::span<const double> values;         // empty: all 1
  std::span<const std::int64_t> times;    // empty: all lie in `slot`
  Windows::Slot slot;
};

class RangeState {
 public:
  virtual ~RangeState() = default;
  // One per worker; merge_series() joins them.
  static std::unique_ptr<RangeState> create(const logql::RangeAggregation& expr, Windows windows,
                                            QueryContext& context);

  // Before the samples of each block: where it stands among blocks of equal times.
  virtual void begin_block(std::uint64_t sequence, std::int64_t time_ns) = 0;
  // `series` are small numbers, given out by the caller. `value` is 1 or the line's bytes or the
  // unwrapped number. Ignored outside of all windows.
  virtual void add(std::uint32_t series, std::int64_t timestamp_ns, double value) = 0;
  // `count` samples at once, equal in all but their time, which lies in the same slot.
  virtual void add_many(std::uint32_t series, Windows::Span points, std::uint64_t count,
                        double sum) = 0;
  virtual void add_rows(const RowSamples& samples) = 0;
  // False: which slot a sample is in is all that its time matters for.
  virtual bool needs_times() const = 0;
  virtual void merge_series(std::uint32_t series, RangeState& other,
                            std::uint32_t other_series) = 0;
  // Before finish(): how many blocks all workers took. The order of one is Loki's, and counts.
  virtual void came_from(std::size_t blocks) = 0;
  virtual void finish(std::uint32_t series, StepSeries& out) = 0;
};

}  // namespace skald::query
