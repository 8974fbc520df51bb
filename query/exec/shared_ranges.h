#pragma once
// Range aggregations of several instant queries that read the same streams over the same time, fed
// by one scan. Used in three steps: each query is evaluated once over nothing, which shows what it
// asks for (collector); what is asked by more than one runs together (run); and each query is
// evaluated again with the answers (replay). What fails together is left to the query, which then
// scans for itself: so answers and errors are those of the query alone.
//
// Memory: what runs together has the budget of one query.
// Threads: one at a time. Borrows everything that it is given.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "query/exec/range_query.h"

namespace skald::query {

class SharedRanges {
 public:
  SharedRanges(store::Store& store, const base::Clock& clock, const EngineOptions& options);
  ~SharedRanges();

  // For queries in the same order, first all collectors, then run(), then all replays.
  std::unique_ptr<RangeSource> collector();
  void run();
  std::unique_ptr<RangeSource> replay();
  ScanCounts counts() const noexcept { return counts_; }

 private:
  struct Leaf;
  class Collector;
  class Replay;
  std::size_t leaf_of(const RangeTask& task);
  void run_together(std::vector<Leaf*> leaves);

  store::Store& store_;
  const base::Clock& clock_;
  const EngineOptions& options_;
  std::vector<std::unique_ptr<Leaf>> leaves_;
  std::map<std::string, std::size_t> by_text_;  // equal ones are one leaf
  std::map<std::string, std::vector<Leaf*>> by_scan_;
  std::vector<std::vector<std::size_t>> queries_;  // per query, its leaves in the order of asking
  std::size_t replayed_ = 0;
  ScanCounts counts_;
};

}  // namespace skald::query
