#pragma once
// Shares queries between rules of one instant. Equal texts are asked once; and of rules that differ
// only in their threshold (`expr > 0.1`, `expr > 0.5`) the expression is asked once and the
// comparison done here. What is known to be needed can be asked together, ahead: then different
// expressions share scans, too.
//
// Threads: safe from several; two threads that miss at once may both ask.

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "query/alert/ruler.h"

namespace skald::query::alert {

class QueryMemo {
 public:
  // Without `queries`, one by one.
  explicit QueryMemo(RuleQuery query, RuleQueries queries = nullptr);

  base::Result<std::vector<RuleSample>> run(const std::string& tenant, const std::string& expr,
                                            model::TimestampNs at);
  // Asks for these together. The tenant's other thread that prepares the same instant waits.
  void prepare(const std::string& tenant, const std::vector<std::string>& exprs,
               model::TimestampNs at);
  // Whether run() would have to ask.
  bool knows(const std::string& tenant, const std::string& expr, model::TimestampNs at);

  std::uint64_t asked() const noexcept;   // of the engine
  std::uint64_t shared() const noexcept;  // answered with what was asked for another rule
  ScanCounts scans() const noexcept;      // of queries that were asked together

 private:
  using Shared = std::shared_ptr<const base::Result<std::vector<RuleSample>>>;
  // How an expression is answered: ask `text`, then keep what compares.
  struct Plan {
    std::string text;
    int op = -1;  // logql::BinaryOp, or -1: as it is
    double threshold = 0;
    bool literal_left = false;
  };
  struct Known {
    Shared result;
    bool used = false;
  };
  using Results = std::map<std::pair<std::string, std::string>, Known>;  // tenant, text
  Shared ask(const std::string& tenant, const std::string& text, model::TimestampNs at);
  Plan plan_of(const std::string& expr);
  Results& results_of(model::TimestampNs at);  // mutex_ is held
  std::vector<std::string> missing(const std::string& tenant, const std::vector<std::string>& exprs,
                                   model::TimestampNs at);

  RuleQuery query_;
  RuleQueries queries_;
  mutable std::mutex mutex_;
  std::condition_variable prepared_;
  std::set<std::pair<std::string, model::TimestampNs>> preparing_;  // tenant, instant
  std::map<std::string, Plan> plans_;
  std::map<model::TimestampNs, Results> instants_;  // the newest kMemoInstantsMax
  std::uint64_t asked_ = 0, shared_ = 0;
  ScanCounts scans_;
};

}  // namespace skald::query::alert
