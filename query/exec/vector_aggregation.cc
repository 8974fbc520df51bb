#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "query/exec/evaluator.h"
#include "query/exec/go_sort.h"

namespace skald::query {
namespace {

using logql::VectorOp;

// What tells groups apart.
model::Labels group_key(const model::Labels& labels, const logql::Grouping& grouping) {
  std::vector<model::Labels::Pair> kept;
  for (const auto& [name, value] : labels) {
    const bool named =
        std::find(grouping.labels.begin(), grouping.labels.end(), name) != grouping.labels.end();
    if (named == grouping.without || (grouping.without && name == "__name__")) continue;
    kept.emplace_back(name, value);
  }
  return model::Labels::from_result(std::move(kept));
}

struct Group {
  model::Labels labels;
  std::vector<std::size_t> members;  // indexes into the input, in its order
};
// In a vector that grows.
constexpr std::uint64_t kMemberBytes = 2 * sizeof(std::size_t);

// A group's labels: Loki's label builder, which `without` goes through, loses empty values; `by`
// keeps them. So two groups may have the same labels, unless groups of the same are `joined`.
base::Result<std::vector<Group>> make_groups(QueryContext& context, const StepMatrix& input,
                                             const logql::Grouping& grouping, bool joined) {
  std::vector<Group> out;
  std::unordered_map<model::Labels, std::size_t, model::LabelsHash> index;
  for (std::size_t i = 0; i < input.size(); ++i) {
    model::Labels key = group_key(input[i].labels, grouping);
    model::Labels labels = grouping.without ? model::Labels::from_pairs(key.pairs()) : key;
    if (joined) key = labels;
    const auto [found, inserted] = index.try_emplace(std::move(key), out.size());
    context.charge(kMemberBytes);
    if (inserted) {
      context.charge(2 * (held_bytes(labels) + sizeof(Group)) + kMapNodeBytes + kAllocationBytes);
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

// topk, bottomk and sort go by Go's container/heap and sort.Sort, whose arrangements decide among
// equal values.
class Ranking {
 public:
  Ranking(const StepMatrix& series, std::uint32_t step, bool largest)
      : series_(series), step_(step), largest_(largest) {}

  // Of all that are added the best `k` (at least 1) stay.
  void add(std::size_t i, std::size_t k) {
    if (heap_.size() == k) {
      const double top = value(heap_[0]), own = value(i);
      if (!(largest_ ? top < own : top > own) && !std::isnan(top)) return;
      pop();
    }
    push(i);
  }

  // From the best on.
  std::vector<std::size_t> best_first() && {
    const auto better = [&](std::size_t a, std::size_t b) { return worse(b, a); };
    GoSort<std::size_t, decltype(better)>(heap_, better).run();
    return std::move(heap_);
  }
  std::vector<std::size_t> in_input_order() && {
    std::sort(heap_.begin(), heap_.end());
    return std::move(heap_);
  }

 private:
  double value(std::size_t i) const { return series_[i].values[step_]; }
  bool worse(std::size_t a, std::size_t b) const {
    if (std::isnan(value(a))) return true;
    return largest_ ? value(a) < value(b) : value(a) > value(b);
  }
  // The worst is on top.
  void push(std::size_t i) {
    heap_.push_back(i);
    for (std::size_t at = heap_.size() - 1; at > 0;) {
      const std::size_t parent = (at - 1) / 2;
      if (!worse(heap_[at], heap_[parent])) break;
      std::swap(heap_[at], heap_[parent]);
      at = parent;
    }
  }
  void pop() {
    std::swap(heap_.front(), heap_.back());
    heap_.pop_back();
    for (std::size_t at = 0;;) {
      std::size_t child = 2 * at + 1;
      if (child >= heap_.size()) return;
      if (child + 1 < heap_.size() && worse(heap_[child + 1], heap_[child])) ++child;
      if (!worse(heap_[child], heap_[at])) return;
      std::swap(heap_[at], heap_[child]);
      at = child;
    }
  }

  const StepMatrix& series_;
  std::uint32_t step_;
  bool largest_;
  std::vector<std::size_t> heap_;
};

// topk and bottomk keep whole series, with the points at which they are among the best.
void keep_best(const Steps& steps, const Group& group, std::size_t k, bool largest,
               StepMatrix& series) {
  std::vector<Ranking> rankings;
  rankings.reserve(steps.count);
  for (std::uint32_t step = 0; step < steps.count; ++step)
    rankings.emplace_back(series, step, largest);
  for (const std::size_t i : group.members)
    series[i].values.for_each([&](std::uint32_t step, double) { rankings[step].add(i, k); });
  std::vector<std::vector<std::size_t>> best;
  best.reserve(steps.count);
  for (Ranking& ranking : rankings) best.push_back(std::move(ranking).in_input_order());
  std::vector<std::uint32_t> others;
  for (const std::size_t i : group.members) {
    others.clear();
    series[i].values.for_each([&](std::uint32_t step, double) {
      if (!std::binary_search(best[step].begin(), best[step].end(), i)) others.push_back(step);
    });
    for (const std::uint32_t step : others) series[i].clear(step);
  }
}

// What ranking takes beside the series: places in heaps that grow, and for an instant query the
// answer in its order.
std::uint64_t ranking_bytes(const Steps& steps, const StepMatrix& input, std::size_t k) {
  std::uint64_t points = 0;
  for (const StepSeries& series : input) points += series.points();
  k = std::min(k, input.size());
  const std::uint64_t places = std::min<std::uint64_t>(points, k * steps.count);
  return steps.count * (sizeof(Ranking) + sizeof(std::vector<std::size_t>)) +
         places * kMemberBytes + (steps.count == 1 ? 2 * k * sizeof(StepSeries) : 0);
}

// The same of an instant query, whose answer has each group from the best on.
StepMatrix best_in_order(const std::vector<Group>& groups, std::size_t k, bool largest,
                         StepMatrix series) {
  StepMatrix out;
  for (const Group& group : groups) {
    Ranking ranking(series, 0, largest);
    for (const std::size_t i : group.members)
      if (series[i].has(0)) ranking.add(i, k);
    for (const std::size_t i : std::move(ranking).best_first()) out.push_back(std::move(series[i]));
  }
  return out;
}

base::Result<StepMatrix> fold_groups(const Evaluation& evaluation, VectorOp op,
                                     const std::vector<Group>& groups, StepMatrix input) {
  StepMatrix out;
  out.reserve(groups.size());
  std::vector<Fold> folds(evaluation.steps.count, Fold(op));
  std::vector<std::uint32_t> touched;  // which of them are not empty
  for (const Group& group : groups) {
    for (const std::size_t i : group.members) {
      input[i].values.for_each([&](std::uint32_t k, double value) {
        if (folds[k].empty()) touched.push_back(k);
        folds[k].add(value);
      });
      evaluation.context.release(input[i].bytes());
      input[i] = {};
    }
    std::sort(touched.begin(), touched.end());
    StepSeries series(group.labels);
    for (const std::uint32_t k : touched) {
      series.set(k, folds[k].result());
      folds[k] = Fold(op);
    }
    touched.clear();
    series.values.fit();
    evaluation.context.charge(series.bytes());
    SKALD_TRY(evaluation.context.check());
    out.push_back(std::move(series));
  }
  return out;
}

}  // namespace

base::Result<StepMatrix> aggregate(const Evaluation& evaluation,
                                   const logql::VectorAggregation& expr, StepMatrix input,
                                   bool joined) {
  const Steps& steps = evaluation.steps;
  SKALD_TRY(evaluation.context.check());
  SKALD_TRY_ASSIGN(const std::vector<Group> groups,
                   make_groups(evaluation.context, input, expr.grouping, joined));
  const bool sorts = expr.op == VectorOp::kSort || expr.op == VectorOp::kSortDesc;
  if (sorts || expr.op == VectorOp::kTopK || expr.op == VectorOp::kApproxTopK ||
      expr.op == VectorOp::kBottomK) {
    const std::size_t k = sorts ? SIZE_MAX : static_cast<std::size_t>(expr.parameter);
    evaluation.context.charge(ranking_bytes(steps, input, k));
    SKALD_TRY(evaluation.context.check());
  }
  switch (expr.op) {
    case VectorOp::kTopK:
    case VectorOp::kApproxTopK:
    case VectorOp::kBottomK: {
      const bool largest = expr.op != VectorOp::kBottomK;
      const auto k = static_cast<std::size_t>(expr.parameter);
      if (steps.count == 1) return best_in_order(groups, k, largest, std::move(input));
      for (const Group& group : groups) keep_best(steps, group, k, largest, input);
      std::erase_if(input, [](const StepSeries& series) { return series.empty(); });
      return input;
    }
    case VectorOp::kSort:
    case VectorOp::kSortDesc:
      if (steps.count > 1) return input;
      return best_in_order(groups, SIZE_MAX, expr.op == VectorOp::kSortDesc, std::move(input));
    default: break;
  }
  return fold_groups(evaluation, expr.op, groups, std::move(input));
}

}  // namespace skald::query
