#include "query/logql/ast.h"

#include <cmath>
#include <limits>

#include "proto/gotext/number.h"
#include "query/logql/fold.h"

namespace skald::query::logql {

std::string_view to_string(LineMatch match) {
  constexpr std::string_view kNames[] = {"|=", "!=", "|~", "!~", "|>", "!>"};
  return kNames[static_cast<std::size_t>(match)];
}

std::string_view to_string(Compare compare) {
  constexpr std::string_view kNames[] = {"==", "!=", ">", ">=", "<", "<="};
  return kNames[static_cast<std::size_t>(compare)];
}

std::string_view to_string(RangeOp op) {
  constexpr std::string_view kNames[] = {"count_over_time",  "rate",
                                         "rate_counter",     "bytes_over_time",
                                         "bytes_rate",       "avg_over_time",
                                         "sum_over_time",    "min_over_time",
                                         "max_over_time",    "stdvar_over_time",
                                         "stddev_over_time", "quantile_over_time",
                                         "first_over_time",  "last_over_time",
                                         "absent_over_time"};
  return kNames[static_cast<std::size_t>(op)];
}

std::string_view to_string(VectorOp op) {
  constexpr std::string_view kNames[] = {"sum",  "avg",    "count",     "max",
                                         "min",  "stddev", "stdvar",    "bottomk",
                                         "topk", "sort",   "sort_desc", "approx_topk"};
  return kNames[static_cast<std::size_t>(op)];
}

std::string_view to_string(BinaryOp op) {
  constexpr std::string_view kNames[] = {"or", "and", "unless", "+", "-",  "*", "/", "%",
                                         "^",  "==",  "!=",     ">", ">=", "<", "<="};
  return kNames[static_cast<std::size_t>(op)];
}

double fold(BinaryOp op, double left, double right) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  switch (op) {
    case BinaryOp::kAdd: return left + right;
    case BinaryOp::kSub: return left - right;
    case BinaryOp::kMul: return left * right;
    case BinaryOp::kDiv: return right == 0 ? kNan : left / right;
    case BinaryOp::kMod: return right == 0 ? kNan : std::fmod(left, right);
    case BinaryOp::kPow: return gotext::power(left, right);
    case BinaryOp::kEqual: return left == right;
    case BinaryOp::kNotEqual: return left != right;
    case BinaryOp::kGreater: return left > right;
    case BinaryOp::kGreaterEqual: return left >= right;
    case BinaryOp::kLess: return left < right;
    case BinaryOp::kLessEqual: return left <= right;
    case BinaryOp::kOr:
    case BinaryOp::kAnd:
    case BinaryOp::kUnless: break;
  }
  CHECK(false);
}

Pipeline execution_order(const Pipeline& pipeline) {
  Pipeline out;
  std::vector<LineFilter> filters;
  std::vector<const Stage*> others;
  const auto flush = [&] {
    if (!filters.empty()) out.emplace_back(LineFilters{std::move(filters)});
    filters.clear();
    for (const Stage* stage : others) out.push_back(*stage);
    others.clear();
  };
  for (const Stage& stage : pipeline) {
    if (const auto* lines = std::get_if<LineFilters>(&stage)) {
      filters.insert(filters.end(), lines->filters.begin(), lines->filters.end());
    } else if (std::holds_alternative<LabelFilterStage>(stage)) {
      flush();
      out.push_back(stage);
    } else {
      others.push_back(&stage);
      if (std::holds_alternative<LineFormat>(stage) || std::holds_alternative<UnpackParser>(stage))
        flush();
    }
  }
  flush();
  return out;
}

model::Matchers copy_matchers(const LogSelector& selector) {
  model::Matchers out;
  out.reserve(selector.matchers.size());
  for (const auto& matcher : selector.matchers) out.push_back(*matcher);
  return out;
}

void for_each_range(const Expr& expr, const std::function<void(const LogRange&)>& visit) {
  if (const auto* range = expr.as<RangeAggregation>()) {
    visit(range->range);
  } else if (const auto* vector = expr.as<VectorAggregation>()) {
    for_each_range(*vector->inner, visit);
  } else if (const auto* binary = expr.as<Binary>()) {
    for_each_range(*binary->left, visit);
    for_each_range(*binary->right, visit);
  } else if (const auto* replace = expr.as<LabelReplace>()) {
    for_each_range(*replace->inner, visit);
  }
}

}  // namespace skald::query::logql
