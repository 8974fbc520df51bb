#pragma once
// Shares queries between rules of one instant. Equal texts are asked once; and of rules that differ
// only in their threshold (`expr > 0.1`, `expr > 0.5`) the expression is asked once and the
// comparison done here.
//
// Threads: safe from several; two threads that miss at once may both ask.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "query/alert/ruler.h"

namespace skald::query::alert {

class QueryMemo {
 public:
  explicit QueryMemo(RuleQuery query) : query_(std::move(query)) {}

  base::Result<std::vector<RuleSample>> run(const std::string& tenant, const std::string& expr,
                                            model::TimestampNs at);
  std::uint64_t asked() const noexcept;
  std::uint64_t shared() const noexcept;

 private:
  using Shared = std::shared_ptr<const base::Result<std::vector<RuleSample>>>;
  // How an expression is answered: ask `text`, then keep what compares.
  struct Plan {
    std::string text;
    int op = -1;  // logql::BinaryOp, or -1: as it is
    double threshold = 0;
    bool literal_left = false;
  };
  Shared ask(const std::string& tenant, const std::string& text, model::TimestampNs at);
  Plan plan_of(const std::string& expr);

  RuleQuery query_;
  mutable std::mutex mutex_;
  std::map<std::string, Plan> plans_;
  std::map<std::pair<std::string, std::string>, Shared> results_;  // of instant_ only
  model::TimestampNs instant_ = 0;
  std::uint64_t asked_ = 0, shared_ = 0;
};

}  // namespace skald::query::alert
