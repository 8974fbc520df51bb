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
};

// Not for literals, which only make sense beside an operator.
base::Result<StepMatrix> evaluate(const Evaluation& evaluation, const logql::Expr& expr);

base::Result<StepMatrix> aggregate(const Evaluation& evaluation,
                                   const logql::VectorAggregation& expr, StepMatrix input);
base::Result<StepMatrix> combine(const Evaluation& evaluation, const logql::Binary& expr,
                                 StepMatrix left, StepMatrix right);
StepMatrix combine_with_literal(const logql::Binary& expr, StepMatrix input, double literal,
                                bool literal_left);
base::Result<StepMatrix> replace_label(QueryContext& context, const logql::LabelReplace& expr,
                                       StepMatrix input);

}  // namespace skald::query
