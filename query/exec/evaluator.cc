#include "query/exec/evaluator.h"

#include <re2/re2.h>

#include <algorithm>

#include "proto/gotext/number.h"
#include "query/exec/limits.h"
#include "query/exec/range_query.h"
#include "query/logql/regex.h"

namespace skald::query {
namespace {

using logql::Expr;

base::Status no_literal() {
  return base::invalid_argument(
      "unexpected expr type (*syntax.LiteralExpr) for Evaluator type (*logql.DefaultEvaluator) ");
}

// Sorted by labels, as Loki's frontend gets it: this order, which nothing above changes, decides
// among equal values.
base::Result<StepMatrix> run_leaf(const Evaluation& evaluation, const logql::RangeAggregation& expr,
                                  const logql::Grouping* outer) {
  SKALD_TRY_ASSIGN(StepMatrix out,
                   run_range(evaluation.store, {evaluation.context, expr, evaluation.steps, outer,
                                                evaluation.result}));
  std::stable_sort(out.begin(), out.end(),
                   [](const StepSeries& a, const StepSeries& b) { return a.labels < b.labels; });
  return out;
}

// Whether each of a leaf's series, which have different labels, is a group of its own.
bool is_grouped(const StepMatrix& leaf, const logql::Grouping& grouping) {
  if (grouping.without) return false;
  return std::all_of(leaf.begin(), leaf.end(), [&](const StepSeries& series) {
    return std::all_of(series.labels.begin(), series.labels.end(), [&](const auto& label) {
      return std::find(grouping.labels.begin(), grouping.labels.end(), label.first) !=
             grouping.labels.end();
    });
  });
}

// Whether a sum of this may be grouped on the samples already (Loki's rule).
bool sums_samples(const logql::RangeAggregation& range) {
  using logql::RangeOp;
  if (range.grouping) return false;
  return range.op == RangeOp::kBytes || range.op == RangeOp::kBytesRate ||
         range.op == RangeOp::kSum || range.op == RangeOp::kRate || range.op == RangeOp::kCount;
}

// ---- what Loki's query frontend rewrites, as far as it shows in answers ----

bool is_noop(const logql::Grouping& grouping) {
  return grouping.without && grouping.labels.empty();
}

// Whether series of different streams may end up with equal labels.
bool reduces_labels(const Expr& expr) {
  if (const auto* vector = expr.as<logql::VectorAggregation>())
    return !vector->grouping.labels.empty() || reduces_labels(*vector->inner);
  if (const auto* binary = expr.as<logql::Binary>())
    return reduces_labels(*binary->left) || reduces_labels(*binary->right);
  if (const auto* replace = expr.as<logql::LabelReplace>()) return reduces_labels(*replace->inner);
  const auto* range = expr.as<logql::RangeAggregation>();
  if (range == nullptr) return false;
  if (range->grouping && !range->grouping->labels.empty()) return true;
  for (const logql::Stage& stage : range->range.selector.pipeline) {
    if (std::holds_alternative<logql::DropLabels>(stage) ||
        std::holds_alternative<logql::KeepLabels>(stage))
      return true;
    if (const auto* format = std::get_if<logql::LabelFormat>(&stage))
      for (const auto& item : format->items)
        if (item.rename) return true;
  }
  return false;
}

bool is_shardable(const Expr& expr, bool top) {
  if (const auto* range = expr.as<logql::RangeAggregation>()) {
    switch (range->op) {
      case logql::RangeOp::kRateCounter:
      case logql::RangeOp::kStdvar:
      case logql::RangeOp::kStddev:
      case logql::RangeOp::kAbsent: return false;
      case logql::RangeOp::kQuantile: return top;
      default: return true;
    }
  }
  if (const auto* vector = expr.as<logql::VectorAggregation>()) {
    const Expr& inner = *vector->inner;
    switch (vector->op) {
      case logql::VectorOp::kCount:
      case logql::VectorOp::kAvg: return is_shardable(inner, top) && !reduces_labels(inner);
      case logql::VectorOp::kMax:
      case logql::VectorOp::kMin:
        return inner.as<logql::RangeAggregation>() != nullptr && is_shardable(inner, false);
      case logql::VectorOp::kSum: {
        const auto* child = inner.as<logql::VectorAggregation>();
        const bool extremum = child != nullptr && (child->op == logql::VectorOp::kMax ||
                                                   child->op == logql::VectorOp::kMin);
        return is_shardable(inner, top) && !extremum;
      }
      case logql::VectorOp::kApproxTopK: return is_shardable(inner, top);
      default: return false;
    }
  }
  if (const auto* binary = expr.as<logql::Binary>())
    return (binary->op == logql::BinaryOp::kAdd || binary->op == logql::BinaryOp::kMul) &&
           !binary->matching.on && binary->matching.labels.empty() &&
           is_shardable(*binary->left, top) && is_shardable(*binary->right, top);
  return expr.as<logql::Literal>() != nullptr;
}

// Whether the frontend sends the whole aggregation to the queriers, so that nothing inside is
// rewritten.
bool goes_down_whole(const logql::VectorAggregation& expr, const Expr& as_expr, bool top) {
  if (!is_shardable(as_expr, top)) return false;
  if (expr.op == logql::VectorOp::kMax || expr.op == logql::VectorOp::kMin)
    return !reduces_labels(*expr.inner);
  return true;
}

// avg_over_time by (x) becomes sum by (x) of sums over sum by (x) of counts. The count knows no
// unwrap: lines without the label, which the sum leaves out, count too.
base::Result<StepMatrix> average_in_parts(const Evaluation& evaluation,
                                          const logql::RangeAggregation& expr) {
  logql::Grouping grouping = expr.grouping.value_or(logql::Grouping{true, {}});
  logql::RangeAggregation sum, count;
  sum.op = logql::RangeOp::kSum;
  sum.range = expr.range;
  count.op = logql::RangeOp::kCount;
  count.range.selector = expr.range.selector;
  count.range.interval_ns = expr.range.interval_ns;
  count.range.offset_ns = expr.range.offset_ns;
  logql::Grouping count_grouping = grouping;
  if (grouping.without && expr.range.unwrap)
    count_grouping.labels.push_back(expr.range.unwrap->label);
  const auto sum_of = [&](const logql::RangeAggregation& range,
                          const logql::Grouping& by) -> base::Result<StepMatrix> {
    SKALD_TRY_ASSIGN(StepMatrix input, run_leaf(evaluation, range, &by));
    logql::VectorAggregation outer;
    outer.op = logql::VectorOp::kSum;
    outer.grouping = by;
    return aggregate(evaluation, outer, std::move(input), true);
  };
  SKALD_TRY_ASSIGN(StepMatrix sums, sum_of(sum, grouping));
  SKALD_TRY_ASSIGN(StepMatrix counts, sum_of(count, count_grouping));
  return divide(evaluation, std::move(sums), std::move(counts));
}

base::Result<StepMatrix> evaluate_range(const Evaluation& evaluation,
                                        const logql::RangeAggregation& expr, const Expr& as_expr) {
  using logql::RangeOp;
  const auto plain = [&] { return run_leaf(evaluation, expr, nullptr); };
  const bool whole = !reduces_labels(as_expr) && (!expr.grouping || is_noop(*expr.grouping));
  if (evaluation.whole || whole) return plain();
  logql::VectorAggregation outer;
  switch (expr.op) {
    case RangeOp::kAvg: return average_in_parts(evaluation, expr);
    case RangeOp::kCount:
    case RangeOp::kRate:
    case RangeOp::kBytes:
    case RangeOp::kBytesRate:
    case RangeOp::kSum: outer.op = logql::VectorOp::kSum; break;
    case RangeOp::kMin: outer.op = logql::VectorOp::kMin; break;
    case RangeOp::kMax: outer.op = logql::VectorOp::kMax; break;
    default: return plain();
  }
  outer.grouping = expr.grouping.value_or(logql::Grouping{true, {}});
  SKALD_TRY_ASSIGN(StepMatrix input, plain());
  return aggregate(evaluation, outer, std::move(input));
}

// Go's Regexp.Expand: $1, ${1}, $name, ${name}, $$. A name is as long as it can be.
base::Result<std::string> expand(std::string_view format, const re2::RE2& regex,
                                 const std::vector<re2::StringPiece>& groups) {
  const auto word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  std::string out;
  while (!format.empty()) {
    if (out.size() > kFormatOutputMax)
      return base::resource_exhausted("label_replace: a value is longer than 4 MiB");
    const std::size_t dollar = format.find('$');
    out += format.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    format.remove_prefix(dollar + 1);
    if (format.starts_with('$')) {
      out += '$';
      format.remove_prefix(1);
      continue;
    }
    const bool brace = format.starts_with('{');
    std::size_t end = brace ? 1 : 0;
    while (end < format.size() && word(format[end])) ++end;
    const std::string_view name = format.substr(brace ? 1 : 0, end - (brace ? 1 : 0));
    if (name.empty() || (brace && (end >= format.size() || format[end] != '}'))) {
      out += '$';  // malformed: plain text
      continue;
    }
    format.remove_prefix(brace ? end + 1 : end);
    std::int64_t number = -1;
    if (gotext::read_int(name, 10, 31, number) != gotext::NumberError::kNone) {
      const auto& names = regex.NamedCapturingGroups();
      const auto found = names.find(std::string(name));
      number = found == names.end() ? -1 : found->second;
    }
    if (number >= 0 && static_cast<std::size_t>(number) < groups.size()) {
      const re2::StringPiece& group = groups[static_cast<std::size_t>(number)];
      out.append(group.data(), group.size());
    }
  }
  return out;
}

// avg by (x) of series that lie apart becomes sum by (x) over count by (x). Where the sum goes by
// samples, the two have their own series.
base::Result<StepMatrix> average_in_parts(const Evaluation& evaluation,
                                          const logql::VectorAggregation& expr) {
  const auto part = [&](logql::VectorOp op, StepMatrix input) {
    logql::VectorAggregation outer;
    outer.op = op;
    outer.grouping = expr.grouping;
    return aggregate(evaluation, outer, std::move(input), true);
  };
  Evaluation inner = evaluation;
  inner.whole = true;
  const auto* range = expr.inner->as<logql::RangeAggregation>();
  const bool apart = range != nullptr && sums_samples(*range);
  SKALD_TRY_ASSIGN(StepMatrix summed, apart ? run_leaf(evaluation, *range, &expr.grouping)
                                            : evaluate(inner, *expr.inner));
  StepMatrix counted;
  if (!apart) {
    for (const StepSeries& series : summed) evaluation.context.charge(series.bytes());
    SKALD_TRY(evaluation.context.check());
    counted = summed;
  }
  SKALD_TRY_ASSIGN(StepMatrix sums, part(logql::VectorOp::kSum, std::move(summed)));
  if (apart) {
    SKALD_TRY_ASSIGN(counted, evaluate(inner, *expr.inner));
  }
  SKALD_TRY_ASSIGN(StepMatrix counts, part(logql::VectorOp::kCount, std::move(counted)));
  return divide(evaluation, std::move(sums), std::move(counts));
}

base::Result<StepMatrix> evaluate_vector(const Evaluation& evaluation,
                                         const logql::VectorAggregation& expr,
                                         const Expr& as_expr) {
  if (expr.op == logql::VectorOp::kApproxTopK && !evaluation.context.request.instant)
    return base::invalid_argument("count min sketches are only supported on instant queries");
  const bool parted = !evaluation.whole && goes_down_whole(expr, as_expr, evaluation.top);
  if (parted && expr.op == logql::VectorOp::kAvg) return average_in_parts(evaluation, expr);
  const auto* range = expr.inner->as<logql::RangeAggregation>();
  if (expr.op == logql::VectorOp::kSum && range != nullptr && sums_samples(*range)) {
    SKALD_TRY_ASSIGN(StepMatrix input, run_leaf(evaluation, *range, &expr.grouping));
    if (is_grouped(input, expr.grouping)) return input;
    return aggregate(evaluation, expr, std::move(input), parted);
  }
  Evaluation inner = evaluation;
  inner.whole = evaluation.whole || parted;
  inner.top = false;
  SKALD_TRY_ASSIGN(StepMatrix input, evaluate(inner, *expr.inner));
  return aggregate(evaluation, expr, std::move(input), parted);
}

base::Result<StepMatrix> evaluate_binary(const Evaluation& evaluation, const logql::Binary& expr) {
  if (const auto* literal = expr.left->as<logql::Literal>()) {
    SKALD_TRY_ASSIGN(StepMatrix input, evaluate(evaluation, *expr.right));
    return combine_with_literal(expr, std::move(input), literal->value, true);
  }
  if (const auto* literal = expr.right->as<logql::Literal>()) {
    SKALD_TRY_ASSIGN(StepMatrix input, evaluate(evaluation, *expr.left));
    return combine_with_literal(expr, std::move(input), literal->value, false);
  }
  SKALD_TRY_ASSIGN(StepMatrix left, evaluate(evaluation, *expr.left));
  SKALD_TRY_ASSIGN(StepMatrix right, evaluate(evaluation, *expr.right));
  return combine(evaluation, expr, std::move(left), std::move(right));
}

}  // namespace

base::Result<StepMatrix> replace_label(QueryContext& context, const logql::LabelReplace& expr,
                                       StepMatrix input) {
  SKALD_TRY_ASSIGN(const auto regex, logql::compile_regex(expr.regex, true));
  const int count = regex->NumberOfCapturingGroups() + 1;
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(count));
  for (StepSeries& series : input) {
    const std::string source(series.labels.get(expr.source));
    if (!regex->Match(source, 0, source.size(), re2::RE2::UNANCHORED, groups.data(), count))
      continue;
    SKALD_TRY_ASSIGN(const std::string value, expand(expr.replacement, *regex, groups));
    context.charge(value.size());
    SKALD_TRY(context.check());
    series.labels = model::Labels::from_pairs(series.labels.pairs());
    series.labels.erase(expr.destination);
    if (!value.empty()) series.labels.set(expr.destination, value);
  }
  return input;
}

base::Result<StepMatrix> evaluate(const Evaluation& evaluation, const logql::Expr& expr) {
  if (const auto* range = expr.as<logql::RangeAggregation>())
    return evaluate_range(evaluation, *range, expr);
  if (const auto* vector = expr.as<logql::VectorAggregation>())
    return evaluate_vector(evaluation, *vector, expr);
  if (const auto* binary = expr.as<logql::Binary>()) return evaluate_binary(evaluation, *binary);
  if (const auto* replace = expr.as<logql::LabelReplace>()) {
    SKALD_TRY_ASSIGN(StepMatrix input, evaluate(evaluation, *replace->inner));
    return replace_label(evaluation.context, *replace, std::move(input));
  }
  if (const auto* vector = expr.as<logql::VectorLiteral>()) {
    StepMatrix out(1);
    evaluation.context.charge(out[0].bytes());
    for (std::uint32_t k = 0; k < evaluation.steps.count; ++k) out[0].set(k, vector->value);
    return out;
  }
  return no_literal();
}

}  // namespace skald::query
