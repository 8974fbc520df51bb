#include "query/alert/group.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "query/alert/limits.h"
#include "query/logql/parser.h"
#include "query/logql/printer.h"

namespace skald::query::alert {
namespace {

std::string identity(const Rule& rule) {
  std::string out = rule.name();
  for (const auto& [name, value] : rule.labels)
    out.append("\xff").append(name).append("\xfe").append(value);
  return out;
}

std::uint64_t spread_of(const GroupKey& key, const RuleGroup& group) {
  std::string text;
  if (!group.rules.empty()) {
    if (const auto expr = logql::parse(group.rules.front().expr); expr.ok())
      logql::for_each_range(**expr, [&text](const logql::LogRange& range) {
        if (text.empty()) text = logql::to_string(logql::LogSelector{range.selector.matchers, {}});
      });
  }
  if (text.empty()) text = key.space + '/' + key.name;
  return model::Labels{{"selector", text}, {"tenant", key.tenant}}.hash();
}

double seconds_since(const base::Clock& clock, std::int64_t start_ns) {
  return static_cast<double>(clock.monotonic_ns() - start_ns) / 1e9;
}

}  // namespace

Group::Work::Work(Rule r)
    : rule(std::move(r)),
      labels(rule.alert, rule.is_alert() ? rule.labels : TextMap()),
      annotations(rule.alert, rule.annotations) {}

Group::Group(GroupKey key, RuleGroup rules, GroupSettings settings)
    : key_(std::move(key)),
      definition_(std::move(rules)),
      settings_(std::move(settings)),
      spread_(spread_of(key_, definition_)) {
  for (Rule rule : definition_.rules) {
    rule.labels.insert(definition_.labels.begin(), definition_.labels.end());
    rules_.push_back(std::make_unique<Work>(std::move(rule)));
  }
}

std::int64_t Group::next_slot(std::int64_t now_ns) const {
  const std::int64_t interval = settings_.interval_ns;
  std::int64_t offset = static_cast<std::int64_t>(spread_ % static_cast<std::uint64_t>(interval));
  offset -= offset % base::kNsPerMs;  // samples carry milliseconds
  const std::int64_t adjusted = now_ns - offset;
  std::int64_t base = adjusted - adjusted % interval;
  if (adjusted < 0 && adjusted % interval != 0) base -= interval;
  return base + offset + interval;
}

void Group::count_missed(std::uint64_t slots) {
  const std::lock_guard lock(mutex_);
  counters_.missed += slots;
  counters_.iterations += slots;
}

GroupOutput Group::evaluate(std::int64_t slot_ns, QueryMemo& memo, const RuleQuery& raw_query,
                            const base::Clock& wall, std::int64_t began_ns) {
  GroupOutput out;
  for (const auto& work : rules_) {
    const std::int64_t start = wall.monotonic_ns();
    const base::Status status = run_rule(*work, slot_ns, memo, raw_query, out);
    const std::lock_guard lock(mutex_);
    work->evaluated = true;
    work->last_evaluation_ns = wall.wall_ns();
    work->evaluation_seconds = seconds_since(wall, start);
    work->last_error = status.message();
    ++counters_.evaluations;
    if (!status.ok()) ++counters_.failures;
  }
  const std::lock_guard lock(mutex_);
  ++counters_.iterations;
  counters_.samples = out.samples.size();
  counters_.last_evaluation_ns = wall.wall_ns();
  counters_.last_seconds = seconds_since(wall, began_ns);
  counters_.seconds_total += counters_.last_seconds;
  return out;
}

base::Status Group::run_rule(Work& work, std::int64_t slot_ns, QueryMemo& memo,
                             const RuleQuery& raw_query, GroupOutput& out) {
  const std::int64_t at = asks_at(slot_ns);
  SKALD_TRY_ASSIGN(auto result, memo.run(key_.tenant, work.rule.expr, at));
  std::vector<RecordedSample> samples;
  if (work.rule.is_alert()) {
    SKALD_TRY(run_alert(work, std::move(result), slot_ns, raw_query, out, samples));
  } else {
    SKALD_TRY(run_record(work, std::move(result), samples));
  }
  const std::int64_t at_ms = at / base::kNsPerMs;
  for (RecordedSample& sample : samples) sample.timestamp_ms = at_ms;
  const std::lock_guard lock(mutex_);
  mark_stale(work, samples, at_ms);
  out.samples.insert(out.samples.end(), std::make_move_iterator(samples.begin()),
                     std::make_move_iterator(samples.end()));
  return {};
}

std::vector<AlertCandidate> Group::expand(Work& work, const std::vector<RuleSample>& result,
                                          std::int64_t slot_ns, const RuleQuery& raw_query) {
  std::vector<AlertCandidate> candidates;
  candidates.reserve(result.size());
  std::uint64_t failures = 0;
  ExpandData data;
  data.external_labels = &settings_.external_labels;
  data.context.external_url = settings_.external_url;
  data.context.path_prefix = settings_.path_prefix;
  data.context.timestamp_ms = slot_ns / base::kNsPerMs;
  ExpandHost host;
  data.host = &host;
  std::size_t queries_left = 0;
  data.context.query =
      [&](const std::string& text) -> base::Result<std::vector<gotext::AlertContext::Sample>> {
    if (queries_left == 0) return base::resource_exhausted("too many queries in one template");
    --queries_left;
    const std::int64_t asked_ns = base::thread_cpu_ns();
    SKALD_TRY_ASSIGN(const auto samples, raw_query(key_.tenant, text, slot_ns));
    host.forgive(base::thread_cpu_ns() - asked_ns);
    std::vector<gotext::AlertContext::Sample> out;
    for (const RuleSample& sample : samples) out.push_back({sample.labels, sample.value});
    return out;
  };
  for (const RuleSample& sample : result) {
    queries_left = kQueriesPerTemplateMax;
    data.labels = &sample.labels;
    data.value = sample.value;
    model::Labels labels = sample.labels;
    labels.erase("__name__");
    for (const auto& [name, value] : work.labels.expand(data, failures)) labels.set(name, value);
    labels.set("alertname", work.rule.alert);
    candidates.push_back({std::move(labels),
                          model::Labels::from_pairs(work.annotations.expand(data, failures)),
                          sample.value});
  }
  const std::lock_guard lock(mutex_);
  counters_.template_failures += failures;
  return candidates;
}

base::Status Group::run_alert(Work& work, std::vector<RuleSample> result, std::int64_t slot_ns,
                              const RuleQuery& raw_query, GroupOutput& out,
                              std::vector<RecordedSample>& samples) {
  if (result.size() > kRuleSeriesMax)
    return base::resource_exhausted("the expression gives " + std::to_string(result.size()) +
                                    " series; the limit is " + std::to_string(kRuleSeriesMax));
  std::vector<AlertCandidate> candidates = expand(work, result, slot_ns, raw_query);
  const std::lock_guard lock(mutex_);
  SKALD_TRY(work.alerts.update(std::move(candidates),
                               {work.rule.for_ns, work.rule.keep_firing_for_ns}, slot_ns,
                               static_cast<std::size_t>(definition_.limit)));
  auto due = work.alerts.take_due(slot_ns, settings_.resend_delay_ns, settings_.interval_ns);
  if (!due.empty()) out.notices.push_back({std::move(due), work.rule.expr});
  for (const auto& [labels, alert] : work.alerts.all()) {
    if (alert.state == AlertState::kInactive) continue;
    RecordedSample sample;
    sample.alert_series = true;
    sample.labels = labels;
    sample.labels.set("__name__", "ALERTS_FOR_STATE");
    sample.value = static_cast<double>(alert.active_at_ns / base::kNsPerSecond);
    samples.push_back(sample);
    sample.labels.set("__name__", "ALERTS");
    sample.labels.set("alertstate", to_string(alert.state));
    sample.value = 1;
    samples.push_back(std::move(sample));
  }
  return {};
}

base::Status Group::run_record(Work& work, std::vector<RuleSample> result,
                               std::vector<RecordedSample>& samples) {
  const std::size_t limit =
      definition_.limit > 0 ? static_cast<std::size_t>(definition_.limit) : kRuleSeriesMax;
  if (result.size() > limit)
    return base::invalid_argument("exceeded limit of " + std::to_string(limit) + " with " +
                                  std::to_string(result.size()) + " series");
  std::set<model::Labels> seen;
  for (RuleSample& sample : result) {
    RecordedSample recorded;
    recorded.labels = std::move(sample.labels);
    recorded.labels.set("__name__", work.rule.record);
    for (const auto& [name, value] : work.rule.labels) recorded.labels.set(name, value);
    recorded.value = sample.value;
    if (!seen.insert(recorded.labels).second)
      return base::invalid_argument(
          "vector contains metrics with the same labelset after applying rule labels");
    samples.push_back(std::move(recorded));
  }
  return {};
}

void Group::mark_stale(Work& work, std::vector<RecordedSample>& samples, std::int64_t at_ms) {
  std::vector<model::Labels> now;
  now.reserve(samples.size());
  for (const RecordedSample& sample : samples) now.push_back(sample.labels);
  std::sort(now.begin(), now.end());
  for (const model::Labels& before : work.last_series) {
    if (std::binary_search(now.begin(), now.end(), before)) continue;
    RecordedSample gone;
    gone.labels = before;
    gone.stale = true;
    gone.timestamp_ms = at_ms;
    gone.alert_series = work.rule.is_alert();
    samples.push_back(std::move(gone));
  }
  work.last_series = std::move(now);
}

std::vector<RecordedSample> Group::end_series(std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  std::vector<RecordedSample> out;
  for (const auto& work : rules_) {
    std::vector<RecordedSample> samples;
    mark_stale(*work, samples, now_ns / base::kNsPerMs);
    out.insert(out.end(), samples.begin(), samples.end());
  }
  return out;
}

void Group::inherit(Group& from) {
  const std::scoped_lock lock(mutex_, from.mutex_);
  std::multimap<std::string, Work*> known;
  for (const auto& work : from.rules_) known.emplace(identity(work->rule), work.get());
  for (const auto& work : rules_) {
    const auto at = known.find(identity(work->rule));
    if (at == known.end()) continue;
    work->alerts = std::move(at->second->alerts);
    work->last_series = std::move(at->second->last_series);
    known.erase(at);
  }
  counters_ = from.counters_;
}

void Group::restore(const std::vector<SavedAlerts>& saved, std::int64_t saved_at_ns,
                    std::int64_t now_ns, std::int64_t grace_ns) {
  const std::lock_guard lock(mutex_);
  for (const SavedAlerts& entry : saved) {
    if (entry.group != key_) continue;
    for (const auto& work : rules_) {
      if (!work->rule.is_alert() || work->rule.alert != entry.rule ||
          work->rule.labels != entry.rule_labels)
        continue;
      work->alerts.restore(entry.alerts, {work->rule.for_ns, work->rule.keep_firing_for_ns},
                           saved_at_ns, now_ns, grace_ns);
      break;
    }
  }
}

void Group::save(std::vector<SavedAlerts>& out) const {
  const std::lock_guard lock(mutex_);
  for (const auto& work : rules_) {
    if (work->alerts.all().empty()) continue;
    SavedAlerts entry{key_, work->rule.alert, work->rule.labels, {}};
    for (const auto& [labels, alert] : work->alerts.all()) entry.alerts.push_back(alert);
    out.push_back(std::move(entry));
  }
}

std::vector<RuleStatus> Group::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<RuleStatus> out;
  for (const auto& work : rules_) {
    RuleStatus status;
    status.rule = work->rule;
    status.evaluated = work->evaluated;
    status.last_error = work->last_error;
    status.last_evaluation_ns = work->last_evaluation_ns;
    status.evaluation_seconds = work->evaluation_seconds;
    status.state = work->alerts.state();
    for (const Alert* alert : work->alerts.active()) status.alerts.push_back(*alert);
    out.push_back(std::move(status));
  }
  return out;
}

GroupCounters Group::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace skald::query::alert
