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
class Signatures {
 public:
  explicit Signatures(QueryContext& context) : context_(context) {}
  ~Signatures() { context_.release(held_); }
  Signatures(const Signatures&) = delete;
  Signatures& operator=(const Signatures&) = delete;

  base::Status number(const StepMatrix& lhs, const StepMatrix& rhs,
                      const logql::VectorMatching& matching) {
    charge((lhs.size() + rhs.size()) * sizeof(std::size_t));
    SKALD_TRY(number(lhs, matching, left));
    return number(rhs, matching, right);
  }
  std::size_t count() const { return ids_.size(); }

  std::vector<std::size_t> left, right;

 private:
  // What those who use a signature keep for it: a place in three vectors.
  static constexpr std::uint64_t kUseBytes = 2 * sizeof(std::size_t);

  base::Status number(const StepMatrix& side, const logql::VectorMatching& matching,
                      std::vector<std::size_t>& out) {
    out.reserve(side.size());
    for (const StepSeries& series : side) {
      const auto [known, added] = ids_.try_emplace(signature(series.labels, matching), ids_.size());
      out.push_back(known->second);
      if (added) charge(held_bytes(known->first) + kMapNodeBytes + kUseBytes);
      SKALD_TRY(context_.check());
    }
    return {};
  }
  void charge(std::uint64_t bytes) {
    context_.charge(bytes);
    held_ += bytes;
  }

  QueryContext& context_;
  std::uint64_t held_ = 0;
  std::unordered_map<model::Labels, std::size_t, model::LabelsHash> ids_;
};

void release(QueryContext& context, const StepMatrix& matrix) {
  for (const StepSeries& series : matrix) context.release(series.bytes());
}

bool present_any(const StepMatrix& side, std::uint32_t k) {
  return std::any_of(side.begin(), side.end(), [&](const StepSeries& s) { return s.has(k); });
}

// ---- and, or, unless ----

base::Result<StepMatrix> combine_sets(const Evaluation& evaluation, const logql::Binary& expr,
                                      StepMatrix lhs, StepMatrix rhs) {
  Signatures ids(evaluation.context);
  SKALD_TRY(ids.number(lhs, rhs, expr.matching));
  std::vector<std::uint32_t> seen(ids.count(), 0);  // step + 1 at which the other side has it
  for (std::uint32_t k = 0; k < evaluation.steps.count; ++k) {
    SKALD_TRY(evaluation.context.check());
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
    Signatures ids(evaluation_.context);
    SKALD_TRY(ids.number(many, one, expr_.matching));
    std::vector<std::size_t> partner(ids.count(), kNone);
    std::vector<std::uint32_t> partner_step(ids.count(), 0), used_step(ids.count(), 0);
    for (std::uint32_t k = 0; k < evaluation_.steps.count; ++k) {
      SKALD_TRY(evaluation_.context.check());
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
      evaluation_.context.release(inserted_.size() * kMapNodeBytes);
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
    if (expr_.matching.card != Card::kOneToOne) {
      if (!inserted_.insert({id, target}).second)
        return base::invalid_argument(
            "multiple matches for labels: grouping labels must ensure unique matches");
      evaluation_.context.charge(kMapNodeBytes);
    }
    SKALD_TRY(evaluation_.context.check());
    const double left = swapped_ ? one.values[k] : many.values[k];
    const double right = swapped_ ? many.values[k] : one.values[k];
    double value = 0;
    if (!apply(expr_, left, right, left, value)) return {};
    StepSeries& out = out_[target];
    const std::uint64_t before = out.values.bytes();
    out.set(k, value);
    if (out.values.bytes() != before) evaluation_.context.charge(out.values.bytes() - before);
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
      out_.emplace_back(std::move(labels));
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
    return combine_sets(evaluation, expr, std::move(left), std::move(right));
  Matcher matcher(evaluation, expr);
  SKALD_TRY_ASSIGN(StepMatrix out, expr.matching.card == Card::kOneToMany
                                       ? matcher.run(right, left)
                                       : matcher.run(left, right));
  release(evaluation.context, left);
  release(evaluation.context, right);
  std::erase_if(out, [](const StepSeries& series) { return series.empty(); });
  return out;
}

base::Result<StepMatrix> divide(const Evaluation& evaluation, StepMatrix sums, StepMatrix counts) {
  QueryContext& context = evaluation.context;
  std::unordered_map<model::Labels, const StepSeries*, model::LabelsHash> by_labels;
  for (const StepSeries& count : counts) {
    by_labels.emplace(count.labels, &count);
    context.charge(held_bytes(count.labels) + kMapNodeBytes);
    SKALD_TRY(context.check());
  }
  StepMatrix out;
  for (StepSeries& sum : sums) {
    const std::uint64_t bytes = sum.bytes();
    const auto count = by_labels.find(sum.labels);
    if (count != by_labels.end()) {
      StepSeries series(model::Labels::from_pairs(sum.labels.pairs()));
      sum.values.for_each([&](std::uint32_t k, double value) {
        if (count->second->has(k))
          series.set(k, logql::fold(BinaryOp::kDiv, value, count->second->values[k]));
      });
      series.values.fit();
      if (!series.empty()) {
        context.charge(series.bytes());
        out.push_back(std::move(series));
      }
    }
    sum = {};
    context.release(bytes);
    SKALD_TRY(context.check());
  }
  for (const StepSeries& count : counts) context.release(held_bytes(count.labels) + kMapNodeBytes);
  release(context, counts);
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
