#pragma once
// One rule group at work: evaluates its rules in order for one instant, and remembers what the API
// and the next evaluation need.
//
// Threads: evaluate() is called by one thread at a time; the read calls may overlap with it (a
// mutex per group, not held while a query runs).

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proto/model/labels.h"
#include "query/alert/alert_state.h"
#include "query/alert/expand.h"
#include "query/alert/query_memo.h"
#include "query/alert/rule_file.h"
#include "query/alert/ruler.h"

namespace skald::query::alert {

struct GroupKey {
  std::string tenant, space, name;  // space: Loki's namespace, a file's name
  friend auto operator<=>(const GroupKey&, const GroupKey&) = default;
  std::string path() const { return space + ";" + name; }  // the rule_group label of metrics
};

// A sample of a recording rule, or of ALERTS and ALERTS_FOR_STATE.
struct RecordedSample {
  model::Labels labels;  // with __name__
  double value = 0;
  std::int64_t timestamp_ms = 0;
  bool stale = false;  // the series ended: Prometheus' stale marker
  bool alert_series = false;
};

struct GroupOutput {
  struct Notice {
    std::vector<Alert> alerts;
    std::string expr;
  };
  std::vector<Notice> notices;
  std::vector<RecordedSample> samples;
};

struct GroupSettings {
  std::int64_t interval_ns = 0;  // resolved: never 0
  std::int64_t query_offset_ns = 0;
  std::int64_t resend_delay_ns = 0;
  std::string external_url, path_prefix;
  model::Labels external_labels;
};

struct RuleStatus {
  Rule rule;
  bool evaluated = false;
  std::string last_error;  // health is "err" if not empty
  std::int64_t last_evaluation_ns = 0;
  double evaluation_seconds = 0;
  AlertState state = AlertState::kInactive;
  std::vector<Alert> alerts;  // pending and firing
};

struct GroupCounters {
  std::uint64_t evaluations = 0, failures = 0, iterations = 0, missed = 0;
  std::uint64_t template_failures = 0, samples = 0;  // samples: of the last evaluation
  std::int64_t last_evaluation_ns = 0;
  double last_seconds = 0, seconds_total = 0;
};

struct SavedAlerts {
  GroupKey group;
  std::string rule;  // name
  TextMap rule_labels;
  std::vector<Alert> alerts;
};

class Group {
 public:
  Group(GroupKey key, RuleGroup rules, GroupSettings settings);

  const GroupKey& key() const noexcept { return key_; }
  const RuleGroup& definition() const noexcept { return definition_; }
  const GroupSettings& settings() const noexcept { return settings_; }
  // The instant that an evaluation for `slot_ns` asks about.
  std::int64_t asks_at(std::int64_t slot_ns) const { return slot_ns - settings_.query_offset_ns; }
  // Whether both begin with the same streams of the same tenant.
  bool looks_where(const Group& other) const {
    return spread_ == other.spread_ && key_.tenant == other.key_.tenant;
  }

  // The first instant after `now_ns` at which this group is due: multiples of its interval, moved
  // by an offset that its tenant and first selector decide. So groups do not all run at once, and
  // those that look at the same streams ask at the same instant and share what they ask.
  std::int64_t next_slot(std::int64_t now_ns) const;

  // `wall` is read to time the evaluation, which began at `began_ns` (monotonic) with what was
  // asked ahead for it; `slot_ns` is the instant asked about.
  GroupOutput evaluate(std::int64_t slot_ns, QueryMemo& memo, const RuleQuery& raw_query,
                       const base::Clock& wall, std::int64_t began_ns);
  void count_missed(std::uint64_t slots);

  // Takes alerts and counters of the group it replaces, rule by rule (name and labels).
  void inherit(Group& from);
  void restore(const std::vector<SavedAlerts>& saved, std::int64_t saved_at_ns, std::int64_t now_ns,
               std::int64_t grace_ns);
  void save(std::vector<SavedAlerts>& out) const;
  // The series of the last evaluation, as stale: when the group goes away.
  std::vector<RecordedSample> end_series(std::int64_t now_ns);

  std::vector<RuleStatus> status() const;
  GroupCounters counters() const;

 private:
  struct Work {
    explicit Work(Rule r);
    Rule rule;
    ExpandedTexts labels, annotations;
    AlertSet alerts;
    std::vector<model::Labels> last_series;
    std::string last_error;
    bool evaluated = false;
    std::int64_t last_evaluation_ns = 0;
    double evaluation_seconds = 0;
  };
  base::Status run_rule(Work& work, std::int64_t slot_ns, QueryMemo& memo,
                        const RuleQuery& raw_query, GroupOutput& out);
  base::Status run_alert(Work& work, std::vector<RuleSample> result, std::int64_t slot_ns,
                         const RuleQuery& raw_query, GroupOutput& out,
                         std::vector<RecordedSample>& samples);
  base::Status run_record(Work& work, std::vector<RuleSample> result,
                          std::vector<RecordedSample>& samples);
  std::vector<AlertCandidate> expand(Work& work, const std::vector<RuleSample>& result,
                                     std::int64_t slot_ns, const RuleQuery& raw_query);
  static void mark_stale(Work& work, std::vector<RecordedSample>& samples, std::int64_t at_ms);

  const GroupKey key_;
  const RuleGroup definition_;
  const GroupSettings settings_;
  const std::uint64_t spread_;  // of slots over the interval
  mutable std::mutex mutex_;    // guards the members below, and the changing parts of Work
  std::vector<std::unique_ptr<Work>> rules_;
  GroupCounters counters_;
};

}  // namespace skald::query::alert
