#pragma once
// What the log and the metric scan of the row engine share.

#include <functional>
#include <memory>

#include "query/exec/query_context.h"
#include "query/exec/stage.h"
#include "query/plan/pushdown.h"
#include "store/store.h"

namespace skald::query {

// A pipeline made ready: the line filters for the store, and the stages that rows go through.
struct ReadyPipeline {
  logql::Pipeline order;         // execution order, as a whole
  plan::LineFilterPlan filters;  // those that see the stored line
  logql::Pipeline left;          // the order without `filters`
  Stages stages;                 // what is left, compiled
  bool needs_line = false;       // of stages
  // Of the only stage that needs it; lines refused by this may be left empty. Null: none may.
  const store::LineFilter* reads_only = nullptr;
};
// `line_formats` false: without those that a metric query does not need.
base::Result<ReadyPipeline> make_ready(const logql::Pipeline& pipeline);

// The pipeline without line_format stages that nothing reads (as Loki does for metric queries).
logql::Pipeline without_unread_line_formats(const logql::Pipeline& pipeline);

base::Result<std::unique_ptr<store::Scan>> open_scan(store::Store& store,
                                                     const QueryContext& context,
                                                     const logql::LogSelector& selector,
                                                     model::TimeRange range,
                                                     const plan::LineFilterPlan& filters);
// Decodes into the query's memory.
store::ScanOptions scan_options(QueryContext& context, model::Direction direction);

// How many rows to read next, when so many had so many bytes of lines.
std::size_t batch_after(std::size_t rows, std::uint64_t bytes);
// Visits the selection in parts of at most kBatchRows rows or about kBatchBytes: so many lines are
// rebuilt at once, and no more. `visit` says how many bytes there were. The first error ends it.
base::Status in_batches(
    const store::Selection& selection,
    const std::function<base::Result<std::uint64_t>(const store::Selection&)>& visit);

// Adds what a scan did and warned of to the result.
void take_stats(const store::Scan& scan, QueryResult& result);

}  // namespace skald::query
