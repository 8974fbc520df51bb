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

class RangeState {
 public:
  virtual ~RangeState() = default;
  // One per worker; merge_series() joins them.
  static std::unique_ptr<RangeState> create(const logql::RangeAggregation& expr, Windows windows,
                                            QueryContext& context);

  // `series` are small numbers, given out by the caller. `value` is 1 or the line's bytes or the
  // unwrapped number. Ignored outside of all windows.
  virtual void add(std::uint32_t series, std::int64_t timestamp_ns, double value) = 0;
  // `count` samples at once, equal in all but their time, which lies in the same slot.
  virtual void add_many(std::uint32_t series, Windows::Span points, std::uint64_t count,
                        double sum) = 0;
  // The selected rows of a block: row i of them has values[i] (1 if there are none), belongs to
  // series[groups[i]] (series[0] if groups is empty) and lies at times[row].
  virtual void add_rows(const store::Selection& rows, std::span<const std::int64_t> times,
                        std::span<const double> values, std::span<const std::uint32_t> groups,
                        std::span<const std::uint32_t> series) = 0;
  virtual void merge_series(std::uint32_t series, RangeState& other,
                            std::uint32_t other_series) = 0;
  virtual void finish(std::uint32_t series, StepSeries& out) = 0;
};

}  // namespace skald::query
