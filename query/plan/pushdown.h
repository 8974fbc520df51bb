#pragma once
// Push-down: which part of a LogQL pipeline a block of typed columns can decide by itself, and the
// grouping keys and unwrapped values of a metric query read from columns instead of from lines.
//
// The rule that keeps answers exact: push-down may remove a row only if the row engine would
// remove it too, and may claim a block as decided only if no row of it could carry an error label.
// Whatever is not understood (a stage, a value that does not convert, a name that is a label of
// some streams only) is left to the row engine, block by block. tests/query/exec compares both.
//
// Semantics of the names follow Loki's `| json`: nested keys joined by '_' and sanitized, arrays
// and null skipped, a clash with a stream label suffixed "_extracted".

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/labels.h"
#include "query/logql/ast.h"
#include "query/plan/line_automaton.h"
#include "store/scan.h"

namespace skald::query::plan {

// What a metric query reads of the rows that pass. `by` must hold every label that the series
// keep; without grouping the series' identity is all labels, which columns serve only when no
// stage adds any.
struct MetricNeeds {
  bool grouped = false;
  std::vector<std::string> by;
  const logql::Unwrap* unwrap = nullptr;  // borrowed; outlives the plan
};

// The line filters of a pipeline that see the line as it was stored, ready for the store. Owns the
// matchers that the filters point to.
struct LineFilterPlan {
  std::vector<store::LineFilter> filters;
  std::vector<std::shared_ptr<const store::LineMatcher>> matchers;
  // What does the work of a matcher on columns. Null: nothing does.
  struct OnColumns {
    std::shared_ptr<const LineAutomaton> automaton;
    bool ascii_only = false;  // on other lines it may differ
  };
  std::vector<OnColumns> on_columns;  // by filter
};

// Makes the exact matcher of one line filter (the same code that the row engine runs).
using LineMatcherFactory = std::function<base::Result<std::shared_ptr<const store::LineMatcher>>(
    const logql::LineFilter&)>;

base::Result<LineFilterPlan> plan_line_filters(const logql::Pipeline& execution_order,
                                               const LineMatcherFactory& factory);

// Takes the rows out of the selection that a filter refuses.
base::Status filter_lines(const LineFilterPlan& plan, store::Block& block,
                          store::Selection& selection);

// Keys of selected rows: row i (of the selected, in row order) belongs to labels[ids[i]]; with
// empty ids all rows belong to labels[0].
struct RowGroups {
  std::vector<model::Labels> labels;
  std::vector<std::uint32_t> ids;
};

// What of a pipeline columns can do, for one scan. Immutable; workers share it.
class Pushdown {
 public:
  // Borrows pipeline, filters and streams; all outlive the plan. `needs` null: a log query.
  Pushdown(const logql::Pipeline& execution_order, const LineFilterPlan& filters,
           const MetricNeeds* needs, std::span<const store::StreamInfo> streams);
  ~Pushdown();
  Pushdown(Pushdown&&) noexcept;

  // True when every row passes and the series of a row depends on its stream alone, whatever the
  // block, unless the block's metadata says otherwise (BlockPass::counts_by_stream).
  bool may_count_by_stream() const;
  // Then: the series' labels of each stream of the scan.
  model::Labels stream_group(std::uint32_t stream) const;

 private:
  friend class BlockPass;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A plan at work on one block, for one worker: filter() first, then, if it decided, the rest.
class BlockPass {
 public:
  enum class Outcome {
    kDecided,     // the rows left are the answer; groups() and values() serve them
    kCandidates,  // the rows left may pass: run the whole pipeline on their lines
  };

  // Borrows both for its life.
  BlockPass(const Pushdown& plan, store::Block& block);
  ~BlockPass();

  base::Result<bool> counts_by_stream();
  base::Result<Outcome> filter(store::Selection& selection);

  // values() reads the unwrapped numbers of the selected rows, dropping rows without the label from
  // `selection`. groups() gives the series of the rows then left: call values() first. False: some
  // value is not for columns to judge; treat the rows as kCandidates.
  base::Result<bool> values(store::Selection& selection, std::vector<double>& out);
  base::Result<bool> groups(const store::Selection& selection, RowGroups& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::query::plan
