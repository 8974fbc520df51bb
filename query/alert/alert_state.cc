#include "query/alert/alert_state.h"

#include <algorithm>

#include "query/alert/limits.h"

namespace skald::query::alert {

std::string_view to_string(AlertState state) {
  switch (state) {
    case AlertState::kPending: return "pending";
    case AlertState::kFiring: return "firing";
    default: return "inactive";
  }
}

namespace {

// Moves one alert on. False: forget it.
bool advance(Alert& alert, bool present, const AlertTiming& timing, std::int64_t now_ns) {
  if (present) {
    alert.keep_firing_since_ns = 0;
  } else {
    bool keep_firing = false;
    if (alert.state == AlertState::kFiring && timing.keep_firing_for_ns > 0) {
      if (alert.keep_firing_since_ns == 0) alert.keep_firing_since_ns = now_ns;
      keep_firing = now_ns - alert.keep_firing_since_ns < timing.keep_firing_for_ns;
    }
    if (alert.state == AlertState::kPending ||
        (alert.resolved_at_ns != 0 && now_ns - alert.resolved_at_ns > kResolvedRetentionNs))
      return false;
    if (!keep_firing) {
      if (alert.state != AlertState::kInactive) {
        alert.state = AlertState::kInactive;
        alert.resolved_at_ns = now_ns;
      }
      return true;
    }
  }
  const std::int64_t age = now_ns - alert.active_at_ns;
  if (alert.state == AlertState::kPending && age >= timing.for_ns) {
    alert.state = AlertState::kFiring;
    alert.fired_at_ns = now_ns;
  } else if (alert.state == AlertState::kFiring && age < timing.for_ns) {
    alert.state = AlertState::kPending;  // the rule's `for` was raised
    alert.fired_at_ns = 0;
    alert.last_sent_at_ns = 0;
    alert.keep_firing_since_ns = 0;
  }
  return true;
}

}  // namespace

base::Status AlertSet::update(std::vector<AlertCandidate> candidates, const AlertTiming& timing,
                              std::int64_t now_ns, std::size_t limit) {
  std::map<model::Labels, AlertCandidate*> present;
  for (AlertCandidate& candidate : candidates) {
    if (!present.emplace(candidate.labels, &candidate).second)
      return base::invalid_argument(
          "vector contains metrics with the same labelset after applying alert labels");
  }
  for (auto& [labels, candidate] : present) {
    const auto known = alerts_.find(labels);
    if (known != alerts_.end() && known->second.state != AlertState::kInactive) {
      known->second.value = candidate->value;
      known->second.annotations = std::move(candidate->annotations);
      continue;
    }
    Alert fresh;
    fresh.labels = labels;
    fresh.annotations = std::move(candidate->annotations);
    fresh.value = candidate->value;
    fresh.active_at_ns = now_ns;
    alerts_.insert_or_assign(labels, std::move(fresh));
  }
  std::size_t active_count = 0;
  for (auto at = alerts_.begin(); at != alerts_.end();) {
    if (!advance(at->second, present.contains(at->first), timing, now_ns)) {
      at = alerts_.erase(at);
      continue;
    }
    if (at->second.state != AlertState::kInactive) ++active_count;
    ++at;
  }
  const std::size_t most = limit > 0 ? limit : kRuleSeriesMax;
  if (active_count > most) {
    alerts_.clear();
    return base::invalid_argument("exceeded limit of " + std::to_string(most) + " with " +
                                  std::to_string(active_count) + " alerts");
  }
  return {};
}

std::vector<Alert> AlertSet::take_due(std::int64_t now_ns, std::int64_t resend_delay_ns,
                                      std::int64_t interval_ns) {
  std::vector<Alert> out;
  for (auto& [labels, alert] : alerts_) {
    if (alert.state == AlertState::kPending) continue;
    const bool just_resolved = alert.resolved_at_ns > alert.last_sent_at_ns;
    const bool told = alert.last_sent_at_ns != 0;
    if (!just_resolved && told && alert.last_sent_at_ns + resend_delay_ns >= now_ns) continue;
    alert.last_sent_at_ns = now_ns;
    // Two failed evaluations or deliveries must not resolve it.
    alert.valid_until_ns = now_ns + 4 * std::max(interval_ns, resend_delay_ns);
    out.push_back(alert);
  }
  return out;
}

void AlertSet::restore(std::vector<Alert> alerts, const AlertTiming& timing,
                       std::int64_t saved_at_ns, std::int64_t now_ns, std::int64_t grace_ns) {
  const std::int64_t unseen_ns = std::max<std::int64_t>(now_ns - saved_at_ns, 0);
  for (Alert& alert : alerts) {
    // What was told last may have been in a queue that ended with the process.
    alert.last_sent_at_ns = 0;
    if (alert.state == AlertState::kPending) {
      const std::int64_t spent = saved_at_ns - alert.active_at_ns;
      const std::int64_t remaining = timing.for_ns - spent;
      if (remaining > 0 && remaining < grace_ns && timing.for_ns >= grace_ns)
        alert.active_at_ns = now_ns + grace_ns - timing.for_ns;
      else if (remaining > 0)
        alert.active_at_ns += unseen_ns;
    }
    alerts_.insert_or_assign(alert.labels, std::move(alert));
  }
}

AlertState AlertSet::state() const {
  AlertState highest = AlertState::kInactive;
  for (const auto& [labels, alert] : alerts_) highest = std::max(highest, alert.state);
  return highest;
}

std::vector<const Alert*> AlertSet::active() const {
  std::vector<const Alert*> out;
  for (const auto& [labels, alert] : alerts_)
    if (alert.resolved_at_ns == 0) out.push_back(&alert);
  return out;
}

}  // namespace skald::query::alert
