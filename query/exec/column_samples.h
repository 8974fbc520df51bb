#pragma once
// Samples of a metric query taken from columns: no line is rebuilt. The fast path of range
// aggregations; what it declines goes through the row engine.

#include <functional>

#include "query/exec/range_state.h"
#include "query/plan/pushdown.h"
#include "store/scan.h"

namespace skald::query {

struct ColumnSampler {
  const plan::Pushdown& plan;
  const Windows& windows;
  QueryContext& context;
  bool sample_bytes = false;  // the value is the line's length
  bool unwrap = false;        // the value is a label's
  bool countable = false;     // the state takes counts and sums: RangeState::add_many

  // The number of the series with these labels (as the plan's grouping leaves them).
  using SeriesOf = std::function<std::uint32_t(const model::Labels&)>;

  // Counts from the block's statistics alone, or from them and the times. False: not decided.
  base::Result<bool> count_whole(plan::BlockPass& pass, store::Block& block,
                                 const SeriesOf& series_of, RangeState& state) const;

  // The rows of `selection`, which `pass` has decided. False: some value is for the row engine;
  // then nothing was added and `selection` is still a superset of the answer.
  base::Result<bool> sample(plan::BlockPass& pass, store::Block& block, store::Selection& selection,
                            const SeriesOf& series_of, RangeState& state) const;

 private:
  // Several slots in one block: their edges are found in the times of each stream.
  base::Result<bool> count_runs(store::Block& block, const SeriesOf& series_of,
                                RangeState& state) const;
  struct RowColumns {
    std::span<const std::uint32_t> series;      // by group
    std::span<const std::uint32_t> groups;      // by selected row; empty: all 0
    std::span<const std::int64_t> times = {};   // by row; empty: all rows are in one slot
    std::span<const std::uint32_t> sizes = {};  // by row; empty: not asked
  };
  void add_counts(const store::Selection& selection, const RowColumns& columns, Windows::Slot slot,
                  RangeState& state) const;
};

}  // namespace skald::query
