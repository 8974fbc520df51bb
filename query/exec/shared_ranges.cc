#include "query/exec/shared_ranges.h"

#include <algorithm>
#include <utility>

#include "query/exec/limits.h"
#include "query/logql/printer.h"

namespace skald::query {

struct SharedRanges::Leaf {
  QueryRequest request;
  logql::RangeAggregation expr;
  Steps steps;
  std::optional<logql::Grouping> outer;
  std::size_t uses = 0;
  std::optional<StepMatrix> answer;
  std::shared_ptr<const void> share;  // of the memory of all queries, for the answer
  QueryResult result;                 // its stats and warnings
};

namespace {

std::string text_of(const logql::RangeAggregation& expr, const logql::Grouping* outer) {
  std::string out = logql::to_string(logql::Expr{expr});
  if (outer == nullptr) return out;
  out += outer->without ? " without" : " by";
  for (const std::string& label : outer->labels) out.append(" ").append(label);
  return out;
}

// What those that may share a scan have in common: streams, and where their times end.
std::string scan_of(const RangeTask& task) {
  return task.context.request.tenant + '\n' +
         logql::to_string(logql::LogSelector{task.expr.range.selector.matchers, {}}) + '\n' +
         std::to_string(reach_of(task.expr, task.steps).end_ns);
}

// Without filters that might rule out parts of the store.
bool reads_all(const logql::RangeAggregation& expr) {
  const logql::Pipeline& pipeline = expr.range.selector.pipeline;
  return std::none_of(pipeline.begin(), pipeline.end(), [](const logql::Stage& stage) {
    return std::holds_alternative<logql::LineFilters>(stage);
  });
}

std::uint64_t bytes_of(const StepMatrix& matrix) {
  std::uint64_t out = 0;
  for (const StepSeries& series : matrix) out += series.bytes();
  return out;
}

}  // namespace

class SharedRanges::Collector final : public RangeSource {
 public:
  Collector(SharedRanges& all, std::size_t query) : all_(all), query_(query) {}
  base::Result<std::optional<StepMatrix>> take(const RangeTask& task) override {
    all_.queries_[query_].push_back(all_.leaf_of(task));
    return std::optional<StepMatrix>(StepMatrix());
  }

 private:
  SharedRanges& all_;
  const std::size_t query_;
};

class SharedRanges::Replay final : public RangeSource {
 public:
  Replay(SharedRanges& all, std::size_t query) : all_(all), leaves_(all.queries_[query]) {}
  base::Result<std::optional<StepMatrix>> take(const RangeTask& task) override {
    Leaf* leaf = next_ < leaves_.size() ? all_.leaves_[leaves_[next_++]].get() : nullptr;
    if (leaf == nullptr || !leaf->answer) {
      ++all_.counts_.run;
      return std::optional<StepMatrix>();
    }
    task.context.charge(bytes_of(*leaf->answer));
    SKALD_TRY(task.context.check());
    for (const std::string& warning : leaf->result.warnings)
      task.result.warnings.push_back(warning);
    if (--leaf->uses == 0) {
      leaf->share = nullptr;
      return std::optional<StepMatrix>(std::move(*leaf->answer));
    }
    return leaf->answer;
  }

 private:
  SharedRanges& all_;
  const std::vector<std::size_t>& leaves_;
  std::size_t next_ = 0;
};

SharedRanges::SharedRanges(store::Store& store, const base::Clock& clock,
                           const EngineOptions& options)
    : store_(store), clock_(clock), options_(options) {}
SharedRanges::~SharedRanges() = default;

std::unique_ptr<RangeSource> SharedRanges::collector() {
  queries_.emplace_back();
  return std::make_unique<Collector>(*this, queries_.size() - 1);
}

std::unique_ptr<RangeSource> SharedRanges::replay() {
  return std::make_unique<Replay>(*this, replayed_++);
}

std::size_t SharedRanges::leaf_of(const RangeTask& task) {
  ++counts_.asked;
  const std::string scan = scan_of(task);
  const auto [at, added] =
      by_text_.emplace(scan + '\n' + text_of(task.expr, task.outer), leaves_.size());
  if (added) {
    auto leaf = std::make_unique<Leaf>();
    leaf->request = task.context.request;
    leaf->expr = task.expr;
    leaf->steps = task.steps;
    if (task.outer != nullptr) leaf->outer = *task.outer;
    by_scan_[scan].push_back(leaf.get());
    leaves_.push_back(std::move(leaf));
  }
  ++leaves_[at->second]->uses;
  return at->second;
}

void SharedRanges::run() {
  const auto start_of = [](const Leaf* leaf) { return reach_of(leaf->expr, leaf->steps).start_ns; };
  for (auto& [scan, leaves] : by_scan_) {
    std::stable_sort(leaves.begin(), leaves.end(),
                     [&](const Leaf* a, const Leaf* b) { return start_of(a) < start_of(b); });
    for (std::size_t from = 0, to = 0; from < leaves.size(); from = to) {
      // Shorter ones join where the whole of the longest time is read anyway.
      bool all = false;
      for (to = from; to < leaves.size() && to - from < kRangesPerScanMax; ++to) {
        if (!all && start_of(leaves[to]) != start_of(leaves[from])) break;
        all = all || reads_all(leaves[to]->expr);
      }
      const auto at = [&](std::size_t i) {
        return leaves.begin() + static_cast<std::ptrdiff_t>(i);
      };
      // One that nobody shares runs where it is asked for.
      if (to - from > 1 || leaves[from]->uses > 1) run_together({at(from), at(to)});
    }
  }
}

void SharedRanges::run_together(std::vector<Leaf*> leaves) {
  // Half of the memory for the scan, half for what is kept of it.
  EngineOptions scan_options = options_, options = options_;
  scan_options.memory_max /= 2;
  options.memory_max /= 2 * leaves.size();
  QueryContext scan_context(leaves.front()->request, scan_options, clock_);
  std::vector<std::unique_ptr<QueryContext>> contexts;
  std::vector<RangeTask> tasks;
  for (Leaf* leaf : leaves) {
    contexts.push_back(std::make_unique<QueryContext>(leaf->request, options, clock_));
    tasks.push_back({*contexts.back(), leaf->expr, leaf->steps,
                     leaf->outer ? &*leaf->outer : nullptr, leaf->result});
  }
  ++counts_.run;
  auto answers = run_ranges(store_, scan_context, tasks);
  if (!answers.ok()) return;  // each tries alone, and says what is wrong
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if ((*answers)[i].ok()) {
      leaves[i]->answer = std::move(*(*answers)[i]);
      leaves[i]->share = contexts[i]->keep_share();
    }
}

}  // namespace skald::query
