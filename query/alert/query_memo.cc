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

QueryMemo::QueryMemo(RuleQuery query, RuleQueries queries)
    : query_(std::move(query)), queries_(std::move(queries)) {}

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

QueryMemo::Results& QueryMemo::results_of(model::TimestampNs at) {
  const auto known = instants_.find(at);
  if (known != instants_.end()) return known->second;
  if (instants_.size() >= kMemoInstantsMax) instants_.erase(instants_.begin());
  return instants_[at];
}

QueryMemo::Shared QueryMemo::ask(const std::string& tenant, const std::string& text,
                                 model::TimestampNs at) {
  const std::pair<std::string, std::string> key(tenant, text);
  {
    const std::lock_guard lock(mutex_);
    Results& results = results_of(at);
    if (const auto known = results.find(key); known != results.end()) {
      if (std::exchange(known->second.used, true)) ++shared_;
      return known->second.result;
    }
    ++asked_;
  }
  auto result =
      std::make_shared<const base::Result<std::vector<RuleSample>>>(query_(tenant, text, at));
  const std::lock_guard lock(mutex_);
  Results& results = results_of(at);
  if (results.size() < kQueryMemoMax) results.emplace(key, Known{result, true});
  return result;
}

std::vector<std::string> QueryMemo::missing(const std::string& tenant,
                                            const std::vector<std::string>& exprs,
                                            model::TimestampNs at) {
  std::set<std::string> texts;
  for (const std::string& expr : exprs) texts.insert(plan_of(expr).text);
  const std::lock_guard lock(mutex_);
  const Results& results = results_of(at);
  std::vector<std::string> out;
  for (const std::string& text : texts)
    if (!results.contains({tenant, text}) && results.size() + out.size() < kQueryMemoMax)
      out.push_back(text);
  return out;
}

bool QueryMemo::knows(const std::string& tenant, const std::string& expr, model::TimestampNs at) {
  return missing(tenant, {expr}, at).empty();
}

void QueryMemo::prepare(const std::string& tenant, const std::vector<std::string>& exprs,
                        model::TimestampNs at) {
  if (!queries_) return;
  const std::pair<std::string, model::TimestampNs> mark(tenant, at);
  {
    std::unique_lock lock(mutex_);
    prepared_.wait(lock, [&] { return !preparing_.contains(mark); });
    preparing_.insert(mark);
  }
  const std::vector<std::string> texts = missing(tenant, exprs, at);
  RuleAnswers answers;
  if (!texts.empty()) answers = queries_(tenant, texts, at);
  {
    const std::lock_guard lock(mutex_);
    Results& results = results_of(at);
    for (std::size_t i = 0; i < answers.results.size(); ++i)
      results.emplace(std::pair(tenant, texts[i]),
                      Known{std::make_shared<const base::Result<std::vector<RuleSample>>>(
                                std::move(answers.results[i])),
                            false});
    asked_ += texts.size();
    scans_.asked += answers.scans.asked;
    scans_.run += answers.scans.run;
    preparing_.erase(mark);
  }
  prepared_.notify_all();
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

ScanCounts QueryMemo::scans() const noexcept {
  const std::lock_guard lock(mutex_);
  return scans_;
}

}  // namespace skald::query::alert
