#pragma once
// Evaluates the tree of a metric query, series by series over all points at once.

#include "query/exec/query_context.h"
#include "query/exec/steps.h"
#include "query/logql/ast.h"
#include "store/store.h"

namespace skald::query {

struct Evaluation {
  store::Store& store;
  QueryContext& context;
  Steps steps;
  QueryResult& result;  // stats and warnings are added here
  // Inside an aggregation that Loki's frontend hands to its queriers as a whole; outside of those
  // it rewrites some range aggregations, which shows in their answers.
  bool whole = false;
  bool top = true;  // not inside a vector aggregation
};

// Not for literals, which only make sense beside an operator.
base::Result<StepMatrix> evaluate(const Evaluation& evaluation, const logql::Expr& expr);

// `joined`: groups that only differ by an empty label are one. Otherwise `without` gives each a
// series, all with the same labels.
base::Result<StepMatrix> aggregate(const Evaluation& evaluation,
                                   const logql::VectorAggregation& expr, StepMatrix input,
                                   bool joined = false);
// Sums over counts: series with equal labels (empty ones included) are divided.
base::Result<StepMatrix> divide(const Evaluation& evaluation, StepMatrix sums, StepMatrix counts);
base::Result<StepMatrix> combine(const Evaluation& evaluation, const logql::Binary& expr,
                                 StepMatrix left, StepMatrix right);
StepMatrix combine_with_literal(const logql::Binary& expr, StepMatrix input, double literal,
                                bool literal_left);
base::Result<StepMatrix> replace_label(QueryContext& context, const logql::LabelReplace& expr,
                                       StepMatrix input);

}  // namespace skald::query
