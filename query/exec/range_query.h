#pragma once
// Runs range aggregations over the store: the leaves of every metric query.

#include <optional>
#include <span>
#include <vector>

#include "query/exec/query_context.h"
#include "query/exec/steps.h"
#include "query/logql/ast.h"
#include "store/store.h"

namespace skald::query {

struct RangeTask {
  QueryContext& context;
  const logql::RangeAggregation& expr;
  const Steps& steps;
  // The grouping of a sum() right around the range, which then groups already here (and so decides
  // what parsers look for); null: none.
  const logql::Grouping* outer;
  QueryResult& result;  // stats and warnings are added here
};

// Stands between a query and its scans (QueryContext::ranges), for those who run several queries.
class RangeSource {
 public:
  virtual ~RangeSource() = default;
  // The answer where it is known; nothing: the task scans for itself.
  virtual base::Result<std::optional<StepMatrix>> take(const RangeTask& task) = 0;
};

// The times that it reads.
model::TimeRange reach_of(const logql::RangeAggregation& expr, const Steps& steps);

base::Result<StepMatrix> run_range(store::Store& store, const RangeTask& task);

// Several of one tenant with equal matchers on one scan over what they reach together; at least
// one. A task that fails has a status in its place; a status instead of all says that the scan
// itself failed. `scan_context`: whose memory, deadline and cancellation are the scan's.
base::Result<std::vector<base::Result<StepMatrix>>> run_ranges(store::Store& store,
                                                               QueryContext& scan_context,
                                                               std::span<const RangeTask> tasks);

}  // namespace skald::query
