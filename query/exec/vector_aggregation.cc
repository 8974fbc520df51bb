#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "query/exec/evaluator.h"

namespace skald::query {
namespace {

using logql::VectorOp;

model::Labels group_labels(const model::Labels& labels, const logql::Grouping& grouping) {
  std::vector<model::Labels::Pair> kept;
  for (const auto& [name, value] : labels) {
    const bool named =
        std::find(grouping.labels.begin(), grouping.labels.end(), name) != grouping.labels.end();
    // Loki's label builder, which `without` goes through, loses empty values; `by` keeps them.
    if (named == grouping.without || (grouping.without && (name == "__name__" || value.empty())))
      continue;
    kept.emplace_back(name, value);
  }
  return model::Labels::from_result(std::move(kept));
}

struct Group {
  model::Labels labels;
  std::vector<std::size_t> members;  // indexes into the input, in its order
};

base::Result<std::vector<Group>> make_groups(QueryContext& context, const StepMatrix& input,
                                             const logql::Grouping& grouping) {
  std::vector<Group> out;
  std::unordered_map<model::Labels, std::size_t, model::LabelsHash> index;
  for (std::size_t i = 0; i < input.size(); ++i) {
    model::Labels labels = group_labels(input[i].labels, grouping);
    const auto [found, inserted] = index.try_emplace(labels, out.size());
    if (inserted) {
      context.charge(2 * (held_bytes(labels) + sizeof(Group)) + kMapNodeBytes);
      SKALD_TRY(context.check());
      out.push_back({std::move(labels), {}});
    }
    out[found->second].members.push_back(i);
  }
  return out;
}

// One group at one point, over the members present there.
class Fold {
 public:
  explicit Fold(VectorOp op) : op_(op) {}
  void add(double v) {
    ++count_;
    if (count_ == 1) {
      value_ = op_ == VectorOp::kStddev || op_ == VectorOp::kStdvar ? 0 : v;
      mean_ = v;
      return;
    }
    const auto n = static_cast<double>(count_);
    const double delta = v - mean_;
    switch (op_) {
      case VectorOp::kSum: value_ += v; break;
      case VectorOp::kAvg: mean_ += delta / n; break;
      case VectorOp::kMax:
        if (value_ < v || std::isnan(value_)) value_ = v;
        break;
      case VectorOp::kMin:
        if (value_ > v || std::isnan(value_)) value_ = v;
        break;
      case VectorOp::kStddev:
      case VectorOp::kStdvar:
        mean_ += delta / n;
        value_ += delta * (v - mean_);
        break;
      default: break;
    }
  }
  bool empty() const { return count_ == 0; }
  double result() const {
    const auto n = static_cast<double>(count_);
    switch (op_) {
      case VectorOp::kAvg: return mean_;
      case VectorOp::kCount: return n;
      case VectorOp::kStddev: return std::sqrt(value_ / n);
      case VectorOp::kStdvar: return value_ / n;
      default: return value_;
    }
  }

 private:
  VectorOp op_;
  std::uint64_t count_ = 0;
  double value_ = 0, mean_ = 0;
};

bool ranks_before(double a, double b, bool largest) {
  if (std::isnan(a)) return false;
  if (std::isnan(b)) return true;
  return largest ? a > b : a < b;
}

// topk and bottomk keep whole series, with the points at which they are among the best.
void keep_best(const Steps& steps, const Group& group, std::size_t k, bool largest,
               StepMatrix& series) {
  std::vector<std::size_t> order;
  for (std::uint32_t step = 0; step < steps.count; ++step) {
    order.clear();
    for (const std::size_t i : group.members)
      if (series[i].has(step)) order.push_back(i);
    if (order.size() <= k) continue;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return ranks_before(series[a].values[step], series[b].values[step], largest);
    });
    for (std::size_t i = k; i < order.size(); ++i) series[order[i]].clear(step);
  }
}

// Order of the answer of an instant query: each group from the best on.
StepMatrix in_order(const std::vector<Group>& groups, bool largest, StepMatrix series) {
  StepMatrix out;
  out.reserve(series.size());
  for (const Group& group : groups) {
    std::vector<std::size_t> order = group.members;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return ranks_before(series[a].values[0], series[b].values[0], largest);
    });
    for (const std::size_t i : order) out.push_back(std::move(series[i]));
  }
  return out;
}

}  // namespace

base::Result<StepMatrix> aggregate(const Evaluation& evaluation,
                                   const logql::VectorAggregation& expr, StepMatrix input) {
  const Steps& steps = evaluation.steps;
  SKALD_TRY(evaluation.context.check());
  std::stable_sort(input.begin(), input.end(),
                   [](const StepSeries& a, const StepSeries& b) { return a.labels < b.labels; });
  SKALD_TRY_ASSIGN(const std::vector<Group> groups,
                   make_groups(evaluation.context, input, expr.grouping));
  switch (expr.op) {
    case VectorOp::kTopK:
    case VectorOp::kApproxTopK:
    case VectorOp::kBottomK: {
      const bool largest = expr.op != VectorOp::kBottomK;
      // Of equal values the first by labels stay.
      for (const Group& group : groups)
        keep_best(steps, group, static_cast<std::size_t>(expr.parameter), largest, input);
      if (steps.count == 1) input = in_order(groups, largest, std::move(input));
      std::erase_if(input, [](const StepSeries& series) { return series.empty(); });
      return input;
    }
    case VectorOp::kSort:
    case VectorOp::kSortDesc:
      if (steps.count == 1)
        return in_order(groups, expr.op == VectorOp::kSortDesc, std::move(input));
      return input;
    default: break;
  }
  StepMatrix out;
  out.reserve(groups.size());
  for (const Group& group : groups) {
    StepSeries series(group.labels, steps.count);
    evaluation.context.charge(series.bytes());
    SKALD_TRY(evaluation.context.check());
    std::vector<Fold> folds(steps.count, Fold(expr.op));
    for (const std::size_t i : group.members)
      for (std::uint32_t k = 0; k < steps.count; ++k)
        if (input[i].has(k)) folds[k].add(input[i].values[k]);
    for (std::uint32_t k = 0; k < steps.count; ++k)
      if (!folds[k].empty()) series.set(k, folds[k].result());
    out.push_back(std::move(series));
  }
  for (const StepSeries& series : input) evaluation.context.release(series.bytes());
  return out;
}

}  // namespace skald::query
