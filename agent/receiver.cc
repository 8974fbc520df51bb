#include "agent/receiver.h"

#include <algorithm>

#include "agent/limits.h"
#include "agent/log.h"

namespace skald::agent {

namespace {

bool is_full(const base::Status& status) { return status.code() == base::Code::kUnavailable; }

}  // namespace

Fanout::Fanout(const std::vector<std::unique_ptr<Lane>>& lanes, std::size_t job, WhenFull when_full)
    : lanes_(lanes), when_full_(when_full), tickets_(lanes.size()), stalled_(lanes.size()) {
  for (const auto& lane : lanes) accounts_.push_back(lane->open_account(job));
}

Fanout::~Fanout() = default;

base::Status Fanout::offer(std::size_t i, const model::Labels& labels, const Lane::PushedLine& line,
                           std::int64_t wait_ns) {
  auto ticket = lanes_[i]->push(accounts_[i], labels, line, wait_ns, &cancelled_);
  if (!ticket.ok()) return std::move(ticket).status();
  tickets_[i] = *ticket;
  stalled_[i] = false;
  return {};
}

base::Status Fanout::push(const model::Labels& labels, const Lane::PushedLine& line) {
  if (when_full_ == WhenFull::kLose) return push_or_lose(labels, line);
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const std::int64_t patience_ns = stalled_[i] ? 0 : kStalledLaneWaitNs;
    base::Status status =
        offer(i, labels, line, when_full_ == WhenFull::kWait ? kForeverNs : patience_ns);
    stalled_[i] = is_full(status);
    if (!status.ok()) return status;
  }
  return {};
}

base::Status Fanout::push_or_lose(const model::Labels& labels, const Lane::PushedLine& line) {
  std::vector<bool> has(lanes_.size());
  const auto try_one = [&](std::size_t i, std::int64_t wait_ns) {
    base::Status status = offer(i, labels, line, wait_ns);
    has[i] = status.ok();
    return status;
  };
  const auto taken = [&has] { return std::find(has.begin(), has.end(), true) != has.end(); };
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    if (base::Status status = try_one(i, 0); !status.ok() && !is_full(status)) return status;
  while (!taken())
    for (std::size_t i = 0; i < lanes_.size() && !taken(); ++i)
      if (base::Status status =
              try_one(i, lanes_.size() == 1 ? kForeverNs : kStalledLaneWaitNs / 10);
          !status.ok() && !is_full(status))
        return status;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (has[i]) continue;
    base::Status status = try_one(i, stalled_[i] ? 0 : kStalledLaneWaitNs);
    if (status.ok()) continue;
    if (!is_full(status)) return status;
    if (!stalled_[i])
      log_error("client " + lanes_[i]->client_name() +
                ": its queue is full; received lines are dropped for it until there is room");
    stalled_[i] = true;
    ++dropped_;
  }
  return {};
}

bool Fanout::is_delivered(const std::vector<std::uint64_t>& tickets) const {
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    if (lanes_[i]->delivered_to(accounts_[i]) < tickets[i]) return false;
  return true;
}

std::uint64_t Fanout::losses() const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < lanes_.size(); ++i) sum += lanes_[i]->losses(accounts_[i]);
  return sum;
}

std::string render_receiver_metrics(const std::vector<ReceiverSnapshot>& receivers) {
  struct Family {
    std::string_view kind, name, help;
    std::uint64_t ReceiverSnapshot::*value;
  };
  static constexpr Family kFamilies[] = {
      {"syslog", "promtail_syslog_target_entries_total", "Syslog messages taken.",
       &ReceiverSnapshot::entries},
      {"syslog", "promtail_syslog_target_parsing_errors_total", "Syslog messages not understood.",
       &ReceiverSnapshot::errors},
      {"syslog", "promtail_syslog_empty_messages_total", "Syslog messages without a text.",
       &ReceiverSnapshot::empty},
      {"journal", "promtail_journal_target_lines_total", "Journal entries taken.",
       &ReceiverSnapshot::entries},
      {"journal", "promtail_journal_target_parsing_errors_total",
       "Times the journal could not be read.", &ReceiverSnapshot::errors},
      {"loki_push_api", "skald_agent_push_entries_total", "Pushed entries taken.",
       &ReceiverSnapshot::entries},
      {"decompression", "skald_agent_archive_lines_total", "Lines read from archives.",
       &ReceiverSnapshot::entries},
      {"", "skald_agent_received_dropped_total",
       "Received lines not sent to a client whose queue was full.", &ReceiverSnapshot::dropped},
  };
  std::string out;
  for (const Family& family : kFamilies) {
    const std::string name(family.name);
    std::uint64_t sum = 0;
    for (const ReceiverSnapshot& receiver : receivers)
      if (family.kind.empty() || family.kind == receiver.kind) sum += receiver.*family.value;
    out += "# HELP " + name + " " + std::string(family.help) + "\n# TYPE " + name + " counter\n" +
           name + " " + std::to_string(sum) + "\n";
  }
  return out;
}

base::Result<ReceivedLabels> ReceivedLabels::create(const ScrapeConfig& config) {
  ReceivedLabels out;
  for (const RelabelConfig& rule : config.target.relabel_configs) {
    SKALD_TRY_ASSIGN(RelabelRule built, RelabelRule::create(rule));
    out.rules_.push_back(std::move(built));
  }
  return out;
}

bool ReceivedLabels::finish(model::Labels& labels) const {
  if (!apply_rules(rules_, labels)) return false;
  std::vector<std::string> reserved;
  for (const auto& [name, value] : labels)
    if (name.starts_with("__") && name != kTenantLabel) reserved.push_back(name);
  for (const std::string& name : reserved) labels.erase(name);
  return true;
}

}  // namespace skald::agent
