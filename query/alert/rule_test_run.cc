// Runs unit tests of rules on a real store and engine, with a clock that only the test moves.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"
#include "proto/model/push.h"
#include "query/alert/group.h"
#include "query/alert/rule_test_file.h"
#include "store/store.h"

namespace skald::query::alert {
namespace {

constexpr const char* kTenant = "fake";

base::Status append_streams(store::Store& store, const RuleTest& test) {
  for (const TestStream& stream : test.streams) {
    model::PushBatch batch;
    model::PushStream& out = batch.streams.emplace_back();
    out.labels = stream.labels;
    for (const TestLine& line : stream.lines)
      out.entries.push_back({kTestStartNs + line.at_ns, line.line, nullptr});
    if (!out.entries.empty()) SKALD_TRY(store.append(kTenant, batch));
  }
  return {};
}

std::string show(const model::Labels& labels, const model::Labels& annotations) {
  return labels.to_string() + " " + annotations.to_string();
}

// Wall time as the test says; deadlines of queries run on the machine's time.
class TestClock final : public base::Clock {
 public:
  explicit TestClock(std::int64_t wall_ns) : wall_ns_(wall_ns) {}
  std::int64_t wall_ns() const override { return wall_ns_; }
  std::int64_t monotonic_ns() const override { return base::Clock::system().monotonic_ns(); }
  void set_wall_ns(std::int64_t wall_ns) { wall_ns_ = wall_ns; }

 private:
  std::int64_t wall_ns_;
};

std::string joined(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  std::string out;
  for (const auto& text : texts) out += "\n      " + text;
  return texts.empty() ? " none" : out;
}

// The firing alerts of one name after each evaluation.
class Recorder {
 public:
  void record(std::int64_t at_ns, const std::vector<std::unique_ptr<Group>>& groups) {
    auto& now = by_time_[at_ns];
    for (const auto& group : groups) {
      for (const RuleStatus& status : group->status()) {
        if (!status.last_error.empty()) errors_[status.rule.name()] = status.last_error;
        for (const Alert& alert : status.alerts) {
          if (alert.state != AlertState::kFiring) continue;
          model::Labels labels = alert.labels;
          labels.erase("alertname");
          now[status.rule.alert].push_back(show(labels, alert.annotations));
        }
      }
    }
  }
  std::vector<std::string> at(std::int64_t eval_ns, const std::string& name) const {
    auto found = by_time_.upper_bound(eval_ns);
    if (found == by_time_.begin()) return {};
    --found;
    const auto alerts = found->second.find(name);
    return alerts == found->second.end() ? std::vector<std::string>() : alerts->second;
  }
  const std::map<std::string, std::string>& errors() const { return errors_; }

 private:
  std::map<std::int64_t, std::map<std::string, std::vector<std::string>>> by_time_;
  std::map<std::string, std::string> errors_;
};

bool close_enough(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b || std::fabs(a - b) <= 1e-9 * std::max(std::fabs(a), std::fabs(b));
}

void check_expr(const ExprTest& test, const RuleQuery& query, std::vector<std::string>& failures) {
  const std::string where = "line " + std::to_string(test.line) + ": expr " + test.expr;
  auto result = query(kTenant, test.expr, kTestStartNs + test.eval_ns);
  if (!result.ok()) {
    failures.push_back(where + ": " + std::string(result.status().message()));
    return;
  }
  std::vector<std::string> expected, got;
  bool same = result->size() == test.samples.size();
  for (const ExpectedSample& sample : test.samples) {
    expected.push_back(sample.labels.to_string() + " " + gotext::format_float(sample.value, 'g'));
    const bool found =
        std::any_of(result->begin(), result->end(), [&](const RuleSample& candidate) {
          return candidate.labels == sample.labels && close_enough(candidate.value, sample.value);
        });
    same = same && found;
  }
  for (const RuleSample& sample : *result)
    got.push_back(sample.labels.to_string() + " " + gotext::format_float(sample.value, 'g'));
  if (!same)
    failures.push_back(where + " at " + gotext::format_duration(test.eval_ns) +
                       "\n    expected:" + joined(expected) + "\n    got:" + joined(got));
}

void check_alert(const AlertTest& test, const Recorder& recorder,
                 std::vector<std::string>& failures) {
  std::vector<std::string> expected;
  for (const ExpectedAlert& alert : test.alerts)
    expected.push_back(show(alert.labels, alert.annotations));
  std::vector<std::string> got = recorder.at(test.eval_ns, test.alertname);
  std::sort(expected.begin(), expected.end());
  std::sort(got.begin(), got.end());
  if (expected != got)
    failures.push_back("line " + std::to_string(test.line) + ": alert " + test.alertname + " at " +
                       gotext::format_duration(test.eval_ns) +
                       "\n    expected:" + joined(expected) + "\n    got:" + joined(got));
}

}  // namespace

base::Result<std::vector<std::string>> run_rule_test(const RuleTest& test,
                                                     const std::vector<RuleGroup>& definitions,
                                                     std::int64_t evaluation_interval_ns,
                                                     const std::string& scratch_dir) {
  TestClock clock(kTestStartNs);
  store::StoreOptions options;
  options.data_dir = scratch_dir;
  options.clock = &clock;
  options.background_threads = 0;
  options.retention = [](std::string_view) {
    store::RetentionPolicy keep;
    keep.period_ns = 0;
    return keep;
  };
  SKALD_TRY_ASSIGN(const auto store, store::Store::open(std::move(options)));
  SKALD_TRY(append_streams(*store, test));
  const Engine engine(*store, clock, {});
  const RuleQuery query = engine_query(engine, 60 * base::kNsPerSecond);
  QueryMemo memo(query);

  std::vector<std::unique_ptr<Group>> groups;
  for (const RuleGroup& definition : definitions) {
    GroupSettings settings;
    settings.interval_ns =
        definition.interval_ns > 0 ? definition.interval_ns : evaluation_interval_ns;
    settings.query_offset_ns = definition.query_offset_ns.value_or(0);
    settings.resend_delay_ns = 60 * base::kNsPerSecond;
    groups.push_back(
        std::make_unique<Group>(GroupKey{kTenant, "test", definition.name}, definition, settings));
  }
  std::int64_t last_ns = 0;
  for (const AlertTest& alert : test.alerts) last_ns = std::max(last_ns, alert.eval_ns);
  Recorder recorder;
  for (std::int64_t at = 0; at <= last_ns && !test.alerts.empty(); at += evaluation_interval_ns) {
    clock.set_wall_ns(kTestStartNs + at);
    for (const auto& group : groups)
      if (at % group->settings().interval_ns == 0)
        static_cast<void>(
            group->evaluate(kTestStartNs + at, memo, query, clock, clock.monotonic_ns()));
    recorder.record(at, groups);
  }
  std::vector<std::string> failures;
  for (const auto& [rule, error] : recorder.errors())
    failures.push_back("rule " + rule + ": " + error);
  for (const AlertTest& alert : test.alerts) check_alert(alert, recorder, failures);
  for (const ExprTest& expr : test.exprs) check_expr(expr, query, failures);
  return failures;
}

}  // namespace skald::query::alert
