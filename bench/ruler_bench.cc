// 10,000 rules over 500 selectors at 15 s: how long one round takes, with the real engine and
// store. Needed: less than 15 s on one core. Reports seconds per round and queries asked and
// shared.
//
// 500 groups of 20 rules; each group has one selector and five expressions with four thresholds,
// as alert files do. The head holds five minutes of lines of 500 streams.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "proto/model/push.h"
#include "query/alert/group.h"
#include "query/alert/query_memo.h"
#include "store/store.h"

namespace skald::query::alert {
namespace {

constexpr int kSelectors = 500;
constexpr int kLinesPerStream = 200;
constexpr std::int64_t kNow = 1'704'067'200'000'000'000;

// The lines' time for the store, the machine's for deadlines.
class BenchClock final : public base::Clock {
 public:
  std::int64_t wall_ns() const override { return kNow; }
  std::int64_t monotonic_ns() const override { return base::Clock::system().monotonic_ns(); }
};

std::unique_ptr<store::Store> filled_store(const std::string& dir, const base::Clock& clock) {
  store::StoreOptions options;
  options.data_dir = dir;
  options.clock = &clock;
  options.background_threads = 0;
  auto store = store::Store::open(std::move(options));
  if (!store.ok()) return nullptr;
  for (int s = 0; s < kSelectors; ++s) {
    model::PushBatch batch;
    std::vector<std::string> lines;
    lines.reserve(kLinesPerStream);
    model::PushStream& stream = batch.streams.emplace_back();
    stream.labels = {{"app", "svc-" + std::to_string(s)}};
    for (int i = 0; i < kLinesPerStream; ++i) {
      lines.push_back(R"({"event": "http_request", "level": ")" +
                      std::string(i % 20 == 0 ? "error" : "info") + R"(", "status": )" +
                      (i % 20 == 0 ? "500" : "200") + R"(, "duration": )" + std::to_string(i) +
                      "}");
      stream.entries.push_back({kNow - (i + 1) * base::kNsPerSecond, lines.back(), nullptr});
    }
    if (!(*store)->append("fake", batch).ok()) return nullptr;
  }
  return std::move(store).value();
}

RuleGroup group_of(int selector) {
  const std::string app = "{app=\"svc-" + std::to_string(selector) + "\"}";
  const std::string expressions[] = {
      "sum(count_over_time(" + app + " |= \"error\" [5m]))",
      "sum(rate(" + app + " [1m]))",
      "sum(count_over_time(" + app + " | json | status >= 500 [5m]))",
      "avg_over_time(" + app + " | json | unwrap duration [5m])",
      "sum(bytes_rate(" + app + " [1m]))",
  };
  RuleGroup group;
  group.name = "g" + std::to_string(selector);
  for (const auto& expression : expressions) {
    for (int threshold = 1; threshold <= 4; ++threshold) {
      Rule rule;
      rule.alert = "A" + std::to_string(group.rules.size());
      rule.expr = expression + " > " + std::to_string(threshold * 1'000'000);
      rule.annotations["summary"] = "{{ $value | humanize }}";
      group.rules.push_back(std::move(rule));
    }
  }
  return group;
}

void BM_TenThousandRules(benchmark::State& state) {
  const auto dir =
      std::filesystem::temp_directory_path() / ("skald_bench_" + std::to_string(::getpid()));
  const BenchClock clock;
  const auto store = filled_store(dir, clock);
  if (!store) return state.SkipWithError("cannot fill the store");
  EngineOptions engine_options;
  engine_options.workers = 1;
  const Engine engine(*store, clock, engine_options);
  const RuleQuery query = engine_query(engine, 60 * base::kNsPerSecond);
  QueryMemo memo(query);
  GroupSettings settings;
  settings.interval_ns = 15 * base::kNsPerSecond;
  settings.resend_delay_ns = 60 * base::kNsPerSecond;
  std::vector<std::unique_ptr<Group>> groups;
  for (int s = 0; s < kSelectors; ++s)
    groups.push_back(std::make_unique<Group>(GroupKey{"fake", "bench", "g" + std::to_string(s)},
                                             group_of(s), settings));
  std::int64_t now = kNow;
  std::uint64_t failures = 0;
  for (auto _ : state) {
    for (const auto& group : groups)  // staggered, as in service: each has its own instant
      benchmark::DoNotOptimize(group->evaluate(++now, memo, query, base::Clock::system(),
                                               base::Clock::system().monotonic_ns()));
  }
  for (const auto& group : groups) failures += group->counters().failures;
  state.counters["rules"] = kSelectors * 20;
  state.counters["failures"] = static_cast<double>(failures);
  state.counters["asked_per_round"] =
      static_cast<double>(memo.asked()) / static_cast<double>(state.iterations());
  state.counters["shared_per_round"] =
      static_cast<double>(memo.shared()) / static_cast<double>(state.iterations());
  std::filesystem::remove_all(dir);
}
BENCHMARK(BM_TenThousandRules)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace skald::query::alert
