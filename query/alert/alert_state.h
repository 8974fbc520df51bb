#pragma once
// The life of the alerts of one rule: inactive, pending, firing, resolved; as Prometheus defines
// it. Time comes in as an argument: nothing here waits or reads a clock.
//
// Not synchronised: the group that owns it locks.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/labels.h"

namespace skald::query::alert {

enum class AlertState : std::uint8_t { kInactive = 0, kPending = 1, kFiring = 2 };
std::string_view to_string(AlertState state);

struct Alert {
  AlertState state = AlertState::kPending;
  model::Labels labels;  // with alertname
  model::Labels annotations;
  double value = 0;
  std::int64_t active_at_ns = 0;
  std::int64_t fired_at_ns = 0;     // 0: never
  std::int64_t resolved_at_ns = 0;  // 0: still active
  std::int64_t last_sent_at_ns = 0;
  std::int64_t valid_until_ns = 0;
  std::int64_t keep_firing_since_ns = 0;
};

struct AlertTiming {
  std::int64_t for_ns = 0;
  std::int64_t keep_firing_for_ns = 0;
};

// One element of the expression's result, expanded.
struct AlertCandidate {
  model::Labels labels;
  model::Labels annotations;
  double value = 0;
};

class AlertSet {
 public:
  // Takes the result of the evaluation for the instant `now_ns`. kInvalidArgument if two
  // candidates have equal labels (nothing changes then), or if more than `limit` alerts are active
  // (all are forgotten then, as in Prometheus).
  base::Status update(std::vector<AlertCandidate> candidates, const AlertTiming& timing,
                      std::int64_t now_ns, std::size_t limit);

  // Alerts that an Alertmanager must hear of now, marked as sent: firing and resolved ones whose
  // last telling is `resend_delay_ns` ago, and those just resolved.
  std::vector<Alert> take_due(std::int64_t now_ns, std::int64_t resend_delay_ns,
                              std::int64_t interval_ns);

  // After a restart: puts back what was saved at `saved_at_ns`. Time that nobody watched does not
  // count as pending; what remains of `for` is at least `grace_ns` (if it was pending). Firing and
  // resolved alerts are told anew.
  void restore(std::vector<Alert> alerts, const AlertTiming& timing, std::int64_t saved_at_ns,
               std::int64_t now_ns, std::int64_t grace_ns);

  AlertState state() const;                  // the highest of its alerts
  std::vector<const Alert*> active() const;  // pending and firing, ordered by labels
  const std::map<model::Labels, Alert>& all() const noexcept { return alerts_; }

 private:
  std::map<model::Labels, Alert> alerts_;
};

}  // namespace skald::query::alert
