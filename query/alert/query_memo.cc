#include "query/alert/query_memo.h"

#include "query/alert/limits.h"
#include "query/logql/parser.h"
#include "query/logql/printer.h"

namespace skald::query::alert {
namespace {

using logql::BinaryOp;

bool holds(BinaryOp op, double left, double right) {
  switch (op) {
    case BinaryOp::kEqual: return left == right;
    case BinaryOp::kNotEqual: return left != right;
    case BinaryOp::kGreater: return left > right;
    case BinaryOp::kGreaterEqual: return left >= right;
    case BinaryOp::kLess: return left < right;
    default: return left <= right;
  }
}

// Only these give a vector of labelled samples whose filtering by a number is plain.
bool is_vector(const logql::Expr& expr) {
  return expr.as<logql::RangeAggregation>() != nullptr ||
         expr.as<logql::VectorAggregation>() != nullptr;
}

// Arithmetic with one number below the comparison: `a / b > 0.01` is Binary(Binary(a, b), 0.01).
bool gives_vector(const logql::Expr& expr) {
  if (is_vector(expr)) return true;
  const auto* binary = expr.as<logql::Binary>();
  if (binary == nullptr || logql::is_comparison(binary->op)) return false;
  return gives_vector(*binary->left) || gives_vector(*binary->right);
}

}  // namespace

QueryMemo::Plan QueryMemo::plan_of(const std::string& expr) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = plans_.find(expr); known != plans_.end()) return known->second;
  }
  Plan plan{expr, -1, 0, false};
  if (auto parsed = logql::parse(expr); parsed.ok()) {
    plan.text = logql::to_string(**parsed);  // however it is spaced
    const auto* binary = (*parsed)->as<logql::Binary>();
    if (binary != nullptr && logql::is_comparison(binary->op) && !binary->return_bool) {
      const auto* left = binary->left->as<logql::Literal>();
      const auto* right = binary->right->as<logql::Literal>();
      const logql::Expr& inner = left != nullptr ? *binary->right : *binary->left;
      if ((left != nullptr) != (right != nullptr) && gives_vector(inner)) {
        plan.text = logql::to_string(inner);
        plan.op = static_cast<int>(binary->op);
        plan.threshold = left != nullptr ? left->value : right->value;
        plan.literal_left = left != nullptr;
      }
    }
  }
  const std::lock_guard lock(mutex_);
  if (plans_.size() >= kQueryMemoMax * 8) plans_.clear();  // rules come and go
  return plans_.emplace(expr, std::move(plan)).first->second;
}

QueryMemo::Shared QueryMemo::ask(const std::string& tenant, const std::string& text,
                                 model::TimestampNs at) {
  const std::pair<std::string, std::string> key(tenant, text);
  {
    const std::lock_guard lock(mutex_);
    if (at != instant_) {
      results_.clear();
      instant_ = at;
    }
    if (const auto known = results_.find(key); known != results_.end()) {
      ++shared_;
      return known->second;
    }
    ++asked_;
  }
  auto result =
      std::make_shared<const base::Result<std::vector<RuleSample>>>(query_(tenant, text, at));
  const std::lock_guard lock(mutex_);
  if (at == instant_ && results_.size() < kQueryMemoMax) results_.emplace(key, result);
  return result;
}

base::Result<std::vector<RuleSample>> QueryMemo::run(const std::string& tenant,
                                                     const std::string& expr,
                                                     model::TimestampNs at) {
  const Plan plan = plan_of(expr);
  const Shared shared = ask(tenant, plan.text, at);
  if (!shared->ok()) return shared->status();
  if (plan.op < 0) return shared->value();
  std::vector<RuleSample> out;
  for (const RuleSample& sample : shared->value()) {
    const double left = plan.literal_left ? plan.threshold : sample.value;
    const double right = plan.literal_left ? sample.value : plan.threshold;
    if (holds(static_cast<BinaryOp>(plan.op), left, right)) out.push_back(sample);
  }
  return out;
}

std::uint64_t QueryMemo::asked() const noexcept {
  const std::lock_guard lock(mutex_);
  return asked_;
}

std::uint64_t QueryMemo::shared() const noexcept {
  const std::lock_guard lock(mutex_);
  return shared_;
}

}  // namespace skald::query::alert
