#pragma once
// Runs one range aggregation over the store: the leaf of every metric query.

#include "query/exec/query_context.h"
#include "query/exec/steps.h"
#include "query/logql/ast.h"
#include "store/store.h"

namespace skald::query {

// `outer`: the grouping of a sum() right around the range, which then groups already here (and so
// decides what parsers look for); null: none. Adds to result's stats and warnings.
base::Result<StepMatrix> run_range(store::Store& store, QueryContext& context,
                                   const logql::RangeAggregation& expr, const Steps& steps,
                                   const logql::Grouping* outer, QueryResult& result);

}  // namespace skald::query
