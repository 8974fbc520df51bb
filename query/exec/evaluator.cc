#include "query/exec/evaluator.h"

#include <re2/re2.h>

#include "proto/gotext/number.h"
#include "query/exec/range_query.h"
#include "query/logql/regex.h"

namespace skald::query {
namespace {

base::Status no_literal() {
  return base::invalid_argument(
      "unexpected expr type (*syntax.LiteralExpr) for Evaluator type (*logql.DefaultEvaluator) ");
}

// Whether the grouping of this sum may already be done on the samples (Loki's rule).
bool groups_samples(const logql::VectorAggregation& expr, const logql::RangeAggregation& range) {
  using logql::RangeOp;
  if (expr.op != logql::VectorOp::kSum || range.grouping) return false;
  return range.op == RangeOp::kBytes || range.op == RangeOp::kBytesRate ||
         range.op == RangeOp::kSum || range.op == RangeOp::kRate || range.op == RangeOp::kCount;
}

// Go's Regexp.Expand: $1, ${1}, $name, ${name}, $$. A name is as long as it can be.
std::string expand(std::string_view format, const re2::RE2& regex,
                   const std::vector<re2::StringPiece>& groups) {
  const auto word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  std::string out;
  while (!format.empty()) {
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

base::Result<StepMatrix> evaluate_vector(const Evaluation& evaluation,
                                         const logql::VectorAggregation& expr) {
  const auto* range = expr.inner->as<logql::RangeAggregation>();
  if (range != nullptr && groups_samples(expr, *range)) {
    SKALD_TRY_ASSIGN(StepMatrix input,
                     run_range(evaluation.store, evaluation.context, *range, evaluation.steps,
                               &expr.grouping, evaluation.result));
    return aggregate(evaluation, expr, std::move(input));
  }
  SKALD_TRY_ASSIGN(StepMatrix input, evaluate(evaluation, *expr.inner));
  return aggregate(evaluation, expr, std::move(input));
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

base::Result<StepMatrix> replace_label(const logql::LabelReplace& expr, StepMatrix input) {
  SKALD_TRY_ASSIGN(const auto regex, logql::compile_regex(expr.regex, true));
  const int count = regex->NumberOfCapturingGroups() + 1;
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(count));
  for (StepSeries& series : input) {
    const std::string source(series.labels.get(expr.source));
    if (!regex->Match(source, 0, source.size(), re2::RE2::UNANCHORED, groups.data(), count))
      continue;
    const std::string value = expand(expr.replacement, *regex, groups);
    series.labels.erase(expr.destination);
    if (!value.empty()) series.labels.set(expr.destination, value);
  }
  return input;
}

base::Result<StepMatrix> evaluate(const Evaluation& evaluation, const logql::Expr& expr) {
  if (const auto* range = expr.as<logql::RangeAggregation>())
    return run_range(evaluation.store, evaluation.context, *range, evaluation.steps, nullptr,
                     evaluation.result);
  if (const auto* vector = expr.as<logql::VectorAggregation>())
    return evaluate_vector(evaluation, *vector);
  if (const auto* binary = expr.as<logql::Binary>()) return evaluate_binary(evaluation, *binary);
  if (const auto* replace = expr.as<logql::LabelReplace>()) {
    SKALD_TRY_ASSIGN(StepMatrix input, evaluate(evaluation, *replace->inner));
    return replace_label(*replace, std::move(input));
  }
  if (const auto* vector = expr.as<logql::VectorLiteral>()) {
    StepMatrix out(1, StepSeries({}, evaluation.steps.count));
    for (std::uint32_t k = 0; k < evaluation.steps.count; ++k) out[0].set(k, vector->value);
    return out;
  }
  return no_literal();
}

}  // namespace skald::query
