#pragma once
// Keeps the steps of metric range queries that are known already, so that a dashboard which asks
// every 30 seconds for the last six hours costs the last 30 seconds.
//
// Exact: a step at time t depends on entries up to t. Each append takes back the steps from its
// oldest entry on, before it is acknowledged, so an answer never lacks an acknowledged line,
// however late or out of order it came. Deletes clear everything; what retention removes may be
// seen for kAgeMaxNs more. Equal queries that run at once wait for one of them.
//
// Threads: every call is safe from any thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proto/base/clock.h"
#include "proto/model/push.h"
#include "query/exec/engine.h"
#include "query/logql/ast.h"

namespace skald::query::api {

struct ResultCacheStats {
  std::uint64_t whole = 0, partial = 0,
                missed = 0;  // queries answered from memory: all, part, none
  std::uint64_t bytes = 0;
};

class ResultCache {
 public:
  static constexpr std::uint64_t kBytesMax = 32U << 20;
  static constexpr std::size_t kEntriesMax = 4096;  // each append looks at all of its tenant's
  static constexpr std::int64_t kAgeMaxNs = 600 * base::kNsPerSecond;

  explicit ResultCache(const base::Clock& clock, std::uint64_t bytes_max = kBytesMax);
  ~ResultCache();

  // Whether each step of the answer depends on no entry after it.
  static bool can_keep(const logql::Expr& expr);

  using Run = std::function<base::Result<QueryResult>(const QueryRequest&)>;
  // A metric range query with start and end on multiples of its step. `run` is called for the steps
  // that are not known; a second time, for all, if a part of the answer must not be kept.
  base::Result<QueryResult> run(const QueryRequest& request, const Run& run);

  void on_append(std::string_view tenant, const model::PushBatch& batch);
  void clear();
  ResultCacheStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::query::api
