// The ruler's part of /metrics, with the names Loki's dashboards and alerts know.
#include <functional>

#include "proto/base/metrics_text.h"
#include "query/alert/ruler_impl.h"

namespace skald::query::alert {
namespace {

using base::MetricsText;

struct GroupRow {
  GroupKey key;
  double interval_seconds = 0;
  std::size_t rules = 0;
  GroupCounters counters;
};

double number(std::uint64_t n) { return static_cast<double>(n); }

void append_groups(MetricsText& w, const std::vector<GroupRow>& rows) {
  const auto each = [&](const char* name, const char* type, const char* help,
                        const std::function<double(const GroupRow&)>& get) {
    w.family(name, type, help);
    for (const GroupRow& row : rows)
      w.sample({{"user", row.key.tenant}, {"rule_group", row.key.path()}}, get(row));
  };
  each("loki_prometheus_rule_evaluations_total", "counter", "The total number of rule evaluations.",
       [](const GroupRow& r) { return number(r.counters.evaluations); });
  each("loki_prometheus_rule_evaluation_failures_total", "counter",
       "The total number of rule evaluation failures.",
       [](const GroupRow& r) { return number(r.counters.failures); });
  each("loki_prometheus_rule_group_iterations_total", "counter",
       "The total number of scheduled rule group evaluations, whether executed or missed.",
       [](const GroupRow& r) { return number(r.counters.iterations); });
  each("loki_prometheus_rule_group_iterations_missed_total", "counter",
       "The total number of rule group evaluations missed due to slow rule group evaluation.",
       [](const GroupRow& r) { return number(r.counters.missed); });
  each("loki_prometheus_rule_group_interval_seconds", "gauge", "The interval of a rule group.",
       [](const GroupRow& r) { return r.interval_seconds; });
  each("loki_prometheus_rule_group_last_evaluation_timestamp_seconds", "gauge",
       "The timestamp of the last rule group evaluation in seconds.",
       [](const GroupRow& r) { return static_cast<double>(r.counters.last_evaluation_ns) / 1e9; });
  each("loki_prometheus_rule_group_last_duration_seconds", "gauge",
       "The duration of the last rule group evaluation.",
       [](const GroupRow& r) { return r.counters.last_seconds; });
  each("loki_prometheus_rule_group_rules", "gauge", "The number of rules.",
       [](const GroupRow& r) { return number(r.rules); });
  each("loki_prometheus_last_evaluation_samples", "gauge",
       "The number of samples returned during the last rule group evaluation.",
       [](const GroupRow& r) { return number(r.counters.samples); });
  w.family("loki_prometheus_rule_group_duration_seconds", "summary",
           "The duration of rule group evaluations.");
  std::map<std::string, std::pair<double, std::uint64_t>> by_tenant;
  std::uint64_t template_failures = 0;
  for (const GroupRow& row : rows) {
    auto& [sum, count] = by_tenant[row.key.tenant];
    sum += row.counters.seconds_total;
    count += row.counters.iterations - row.counters.missed;
    template_failures += row.counters.template_failures;
  }
  for (const auto& [tenant, totals] : by_tenant) {
    w.sample({{"user", tenant}}, totals.first, "_sum");
    w.sample({{"user", tenant}}, number(totals.second), "_count");
  }
  w.family("prometheus_template_text_expansion_failures_total", "counter",
           "The total number of template text expansion failures.");
  w.sample({}, number(template_failures));
}

void append_notifiers(MetricsText& w, const std::vector<DeliveryStats>& all) {
  const auto each = [&](const char* name, const char* type, const char* help,
                        const std::function<double(const DeliveryStats&)>& get) {
    w.family(name, type, help);
    for (const DeliveryStats& stats : all) w.sample({{"alertmanager", stats.name}}, get(stats));
  };
  each("loki_prometheus_notifications_sent_total", "counter", "Total number of alerts sent.",
       [](const DeliveryStats& s) { return number(s.sent); });
  each("loki_prometheus_notifications_errors_total", "counter",
       "Total number of requests to an Alertmanager that failed.",
       [](const DeliveryStats& s) { return number(s.failed_requests); });
  each("loki_prometheus_notifications_dropped_total", "counter",
       "Total number of alerts dropped because a queue was full or sending failed for too long.",
       [](const DeliveryStats& s) { return number(s.dropped); });
  each("loki_prometheus_notifications_queue_length", "gauge",
       "The number of alert notifications in the queue.",
       [](const DeliveryStats& s) { return number(s.queued); });
  each("loki_prometheus_notifications_queue_capacity", "gauge",
       "The capacity of the alert notifications queue.",
       [](const DeliveryStats& s) { return number(s.queue_max); });
  w.family("loki_prometheus_notifications_latency_seconds", "summary",
           "Latency of requests to an Alertmanager.");
  for (const DeliveryStats& stats : all) {
    w.sample({{"alertmanager", stats.name}}, stats.seconds_total, "_sum");
    w.sample({{"alertmanager", stats.name}}, number(stats.requests), "_count");
  }
}

void append_writers(MetricsText& w, const std::vector<DeliveryStats>& all) {
  const auto each = [&](const char* name, const char* type, const char* help,
                        const std::function<double(const DeliveryStats&)>& get) {
    w.family(name, type, help);
    for (const DeliveryStats& stats : all) w.sample({{"remote_name", stats.name}}, get(stats));
  };
  each("loki_ruler_remote_write_samples_total", "counter", "Samples a receiver has taken.",
       [](const DeliveryStats& s) { return number(s.sent); });
  each("loki_ruler_remote_write_samples_dropped_total", "counter",
       "Samples dropped: the queue was full or the receiver refused them.",
       [](const DeliveryStats& s) { return number(s.dropped); });
  each("loki_ruler_remote_write_requests_failed_total", "counter", "Requests that failed.",
       [](const DeliveryStats& s) { return number(s.failed_requests); });
  each("loki_ruler_remote_write_samples_pending", "gauge", "Samples in the queue.",
       [](const DeliveryStats& s) { return number(s.queued); });
}

}  // namespace

void Ruler::append_metrics(std::string& out) const {
  std::vector<GroupRow> rows;
  std::map<std::string, TenantReload> reloads;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [key, entry] : impl_->groups)
      rows.push_back({key, static_cast<double>(entry.group->settings().interval_ns) / 1e9,
                      entry.group->definition().rules.size(), entry.group->counters()});
    reloads = impl_->reloads;
  }
  std::vector<DeliveryStats> notifiers, writers;
  for (const auto& notifier : impl_->notifiers) notifiers.push_back(notifier->stats());
  for (const auto& writer : impl_->writers) writers.push_back(writer->stats());
  MetricsText w;
  append_groups(w, rows);
  w.family("loki_ruler_config_last_reload_successful", "gauge",
           "1 if every rule file of the tenant loaded, else 0.");
  for (const auto& [tenant, reload] : reloads)
    w.sample({{"user", tenant}}, reload.successful ? 1U : 0U);
  w.family("loki_ruler_config_last_reload_successful_seconds", "gauge",
           "Timestamp of the last successful load of the tenant's rule files.");
  for (const auto& [tenant, reload] : reloads)
    w.sample({{"user", tenant}}, reload.last_success_seconds);
  w.family("loki_ruler_config_updates_total", "counter", "Total number of rule changes.");
  for (const auto& [tenant, reload] : reloads) w.sample({{"user", tenant}}, number(reload.updates));
  w.family("loki_ruler_config_findings", "gauge", "Findings in rule files that did not load.");
  for (const auto& [tenant, reload] : reloads)
    w.sample({{"user", tenant}}, number(reload.errors.size()));
  append_notifiers(w, notifiers);
  append_writers(w, writers);
  w.family("loki_ruler_queries_total", "counter",
           "Queries the ruler needed: asked of the engine, or shared with another rule.");
  w.sample({{"kind", "asked"}}, number(impl_->memo.asked()));
  w.sample({{"kind", "shared"}}, number(impl_->memo.shared()));
  w.family("loki_ruler_scans_total", "counter",
           "Range aggregations that rules asked for, and the scans of the store that served them.");
  w.sample({{"kind", "asked"}}, number(impl_->memo.scans().asked));
  w.sample({{"kind", "run"}}, number(impl_->memo.scans().run));
  w.family("loki_ruler_start_delay_seconds", "summary",
           "How long after the instant they were due groups began.");
  w.sample({}, static_cast<double>(impl_->late_sum_ns) / 1e9, "_sum");
  w.sample({}, number(impl_->starts), "_count");
  w.family("loki_ruler_start_delay_seconds_max", "gauge", "The longest of these since the start.");
  w.sample({}, static_cast<double>(impl_->late_max_ns) / 1e9);
  const RecorderStats recorded = impl_->recorder ? impl_->recorder->stats() : RecorderStats();
  w.family("loki_ruler_recorded_samples_stored_total", "counter",
           "Samples of recording rules appended to this store.");
  w.sample({}, number(recorded.stored));
  w.family("loki_ruler_recorded_samples_dropped_total", "counter",
           "Samples that were not appended because the queue was full.");
  w.sample({}, number(recorded.dropped));
  w.family("loki_ruler_recorded_samples_store_failures_total", "counter",
           "Appends of recorded samples that failed.");
  w.sample({}, number(recorded.failures));
  w.family("loki_ruler_state_failures_total", "counter",
           "Failures to read or write the state file.");
  w.sample({}, number(impl_->state_failures));
  out += w.text();
}

}  // namespace skald::query::alert
