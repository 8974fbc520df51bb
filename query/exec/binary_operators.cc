#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "query/exec/evaluator.h"
#include "query/logql/fold.h"

namespace skald::query {
namespace {

using logql::BinaryOp;
using Card = logql::VectorMatching::Card;

// What must be equal for two series to match.
model::Labels signature(const model::Labels& labels, const logql::VectorMatching& matching) {
  std::vector<model::Labels::Pair> kept;
  for (const auto& [name, value] : labels) {
    const bool named =
        std::find(matching.labels.begin(), matching.labels.end(), name) != matching.labels.end();
    if (named == matching.on && !value.empty()) kept.emplace_back(name, value);
  }
  return model::Labels::from_result(std::move(kept));
}

// A number per signature, the same for both sides.
struct Signatures {
  std::vector<std::size_t> left, right;
  std::size_t count = 0;

  Signatures(const StepMatrix& lhs, const StepMatrix& rhs, const logql::VectorMatching& matching) {
    std::unordered_map<model::Labels, std::size_t, model::LabelsHash> ids;
    const auto number = [&](const StepMatrix& side, std::vector<std::size_t>& out) {
      for (const StepSeries& series : side)
        out.push_back(
            ids.try_emplace(signature(series.labels, matching), ids.size()).first->second);
    };
    number(lhs, left);
    number(rhs, right);
    count = ids.size();
  }
};

bool present_any(const StepMatrix& side, std::uint32_t k) {
  return std::any_of(side.begin(), side.end(), [&](const StepSeries& s) { return s.has(k); });
}

// ---- and, or, unless ----

StepMatrix combine_sets(const Steps& steps, const logql::Binary& expr, StepMatrix lhs,
                        StepMatrix rhs) {
  const Signatures ids(lhs, rhs, expr.matching);
  std::vector<std::uint32_t> seen(ids.count, 0);  // step + 1 at which the other side has it
  for (std::uint32_t k = 0; k < steps.count; ++k) {
    const auto mark = [&](const StepMatrix& side, const std::vector<std::size_t>& numbers) {
      for (std::size_t i = 0; i < side.size(); ++i)
        if (side[i].has(k)) seen[numbers[i]] = k + 1;
    };
    const auto drop = [&](StepMatrix& side, const std::vector<std::size_t>& numbers, bool if_seen) {
      for (std::size_t i = 0; i < side.size(); ++i)
        if (side[i].has(k) && (seen[numbers[i]] == k + 1) == if_seen) side[i].clear(k);
    };
    if (expr.op == BinaryOp::kOr) {
      if (!present_any(lhs, k)) continue;
      mark(lhs, ids.left);
      drop(rhs, ids.right, true);
    } else {
      mark(rhs, ids.right);
      drop(lhs, ids.left, expr.op == BinaryOp::kUnless);
    }
  }
  if (expr.op == BinaryOp::kOr) std::move(rhs.begin(), rhs.end(), std::back_inserter(lhs));
  std::erase_if(lhs, [](const StepSeries& series) { return series.empty(); });
  return lhs;
}

// ---- arithmetic and comparison ----

model::Labels result_labels(const model::Labels& many, const model::Labels& one,
                            const logql::VectorMatching& matching) {
  model::Labels out = model::Labels::from_pairs(many.pairs());  // without empty values
  if (matching.card == Card::kOneToOne) {
    for (const auto& [name, value] : many) {
      const bool named =
          std::find(matching.labels.begin(), matching.labels.end(), name) != matching.labels.end();
      if (named != matching.on) out.erase(name);
    }
  }
  for (const std::string& name : matching.include) out.set(name, one.get(name));
  return out;
}

// One result value; false: the comparison filters it out.
bool apply(const logql::Binary& expr, double left, double right, double kept, double& out) {
  const double value = logql::fold(expr.op, left, right);
  if (!logql::is_comparison(expr.op) || expr.return_bool) {
    out = value;
    return true;
  }
  out = kept;
  return value != 0;
}

class Matcher {
 public:
  Matcher(const Evaluation& evaluation, const logql::Binary& expr)
      : evaluation_(evaluation), expr_(expr), swapped_(expr.matching.card == Card::kOneToMany) {}

  // `many` is the left side, or for group_right the right one.
  base::Result<StepMatrix> run(const StepMatrix& many, const StepMatrix& one) {
    const Signatures ids(many, one, expr_.matching);
    std::vector<std::size_t> partner(ids.count, kNone);
    std::vector<std::uint32_t> partner_step(ids.count, 0), used_step(ids.count, 0);
    for (std::uint32_t k = 0; k < evaluation_.steps.count; ++k) {
      for (std::size_t i = 0; i < one.size(); ++i) {
        if (!one[i].has(k)) continue;
        const std::size_t id = ids.right[i];
        if (partner_step[id] == k + 1)
          return base::invalid_argument(
              "found duplicate series on the " + std::string(swapped_ ? "left" : "right") +
              " hand-side;many-to-many matching not allowed: matching labels must be unique on one "
              "side");
        partner_step[id] = k + 1;
        partner[id] = i;
      }
      inserted_.clear();
      for (std::size_t i = 0; i < many.size(); ++i) {
        const std::size_t id = ids.left[i];
        if (!many[i].has(k) || partner_step[id] != k + 1) continue;
        if (expr_.matching.card == Card::kOneToOne && used_step[id] == k + 1)
          return base::invalid_argument(
              "multiple matches for labels: many-to-one matching must be explicit "
              "(group_left/group_right)");
        used_step[id] = k + 1;
        SKALD_TRY(pair(many[i], i, one[partner[id]], partner[id], id, k));
      }
    }
    return std::move(out_);
  }

 private:
  static constexpr std::size_t kNone = SIZE_MAX;

  base::Status pair(const StepSeries& many, std::size_t i, const StepSeries& one, std::size_t j,
                    std::size_t id, std::uint32_t k) {
    const std::size_t target = series_of(many, i, one, j);
    if (expr_.matching.card != Card::kOneToOne && !inserted_.insert({id, target}).second)
      return base::invalid_argument(
          "multiple matches for labels: grouping labels must ensure unique matches");
    SKALD_TRY(evaluation_.context.check());
    const double left = swapped_ ? one.values[k] : many.values[k];
    const double right = swapped_ ? many.values[k] : one.values[k];
    double value = 0;
    if (apply(expr_, left, right, left, value)) out_[target].set(k, value);
    return {};
  }

  std::size_t series_of(const StepSeries& many, std::size_t i, const StepSeries& one,
                        std::size_t j) {
    const auto [found, inserted] = pairs_.try_emplace(i * 0x9E3779B97F4A7C15ULL + j, 0);
    if (!inserted) return found->second;
    evaluation_.context.charge(kMapNodeBytes);
    model::Labels labels = result_labels(many.labels, one.labels, expr_.matching);
    const auto [known, fresh] = by_labels_.try_emplace(labels, out_.size());
    if (fresh) {
      out_.emplace_back(std::move(labels), evaluation_.steps.count);
      evaluation_.context.charge(out_.back().bytes() + held_bytes(out_.back().labels) +
                                 kMapNodeBytes);
    }
    return found->second = known->second;
  }

  struct PairHash {
    std::size_t operator()(const std::pair<std::size_t, std::size_t>& p) const {
      return p.first * 0x9E3779B97F4A7C15ULL ^ p.second;
    }
  };

  const Evaluation& evaluation_;
  const logql::Binary& expr_;
  const bool swapped_;
  StepMatrix out_;
  std::unordered_map<std::uint64_t, std::size_t> pairs_;
  std::unordered_map<model::Labels, std::size_t, model::LabelsHash> by_labels_;
  std::unordered_set<std::pair<std::size_t, std::size_t>, PairHash> inserted_;
};

}  // namespace

base::Result<StepMatrix> combine(const Evaluation& evaluation, const logql::Binary& expr,
                                 StepMatrix left, StepMatrix right) {
  if (logql::is_set_op(expr.op))
    return combine_sets(evaluation.steps, expr, std::move(left), std::move(right));
  Matcher matcher(evaluation, expr);
  SKALD_TRY_ASSIGN(StepMatrix out, expr.matching.card == Card::kOneToMany
                                       ? matcher.run(right, left)
                                       : matcher.run(left, right));
  std::erase_if(out, [](const StepSeries& series) { return series.empty(); });
  return out;
}

StepMatrix divide(const Steps& steps, const StepMatrix& sums, const StepMatrix& counts) {
  std::unordered_map<model::Labels, const StepSeries*, model::LabelsHash> by_labels;
  for (const StepSeries& count : counts) by_labels.emplace(count.labels, &count);
  StepMatrix out;
  for (const StepSeries& sum : sums) {
    const auto count = by_labels.find(sum.labels);
    if (count == by_labels.end()) continue;
    StepSeries series(model::Labels::from_pairs(sum.labels.pairs()), steps.count);
    for (std::uint32_t k = 0; k < steps.count; ++k)
      if (sum.has(k) && count->second->has(k))
        series.set(k, logql::fold(BinaryOp::kDiv, sum.values[k], count->second->values[k]));
    if (!series.empty()) out.push_back(std::move(series));
  }
  return out;
}

StepMatrix combine_with_literal(const logql::Binary& expr, StepMatrix input, double literal,
                                bool literal_left) {
  for (StepSeries& series : input) {
    for (std::uint32_t k = 0; k < series.values.size(); ++k) {
      if (!series.has(k)) continue;
      const double own = series.values[k];
      const double left = literal_left ? literal : own, right = literal_left ? own : literal;
      double value = 0;
      if (apply(expr, left, right, own, value))
        series.values[k] = value;
      else
        series.clear(k);
    }
  }
  std::erase_if(input, [](const StepSeries& series) { return series.empty(); });
  return input;
}

}  // namespace skald::query
