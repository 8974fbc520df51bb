#pragma once
// What targets that are no tailed files share: where their lines go, and what their labels become.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/label/relabel.h"
#include "agent/lane.h"

namespace skald::agent {

struct ReceiverCounters {
  std::atomic<std::uint64_t> entries{0}, errors{0}, empty{0}, dropped{0};
};

// What /metrics and /targets show of one.
struct ReceiverSnapshot {
  std::string kind, job, address;  // "syslog", "app", "tcp 0.0.0.0:1514"
  std::uint64_t entries = 0, errors = 0, empty = 0, dropped = 0;
};

class Receiver {
 public:
  virtual ~Receiver() = default;  // after stop(); may save how far things were delivered
  virtual void stop() = 0;        // takes no more; returns soon whatever the servers do
  virtual ReceiverSnapshot snapshot() const = 0;
};

// What becomes of a line when a client's queue is full.
enum class WhenFull : unsigned char {
  kWait,    // however long: the sender can be held back
  kRefuse,  // kStalledLaneWaitNs, the next ones not at all: kUnavailable, the sender keeps it
  kLose,    // as long, then it is lost for that client, counted, if another one took it; while none
            // does, it waits
};

// Every client gets each line. Thread rule: push() from one thread at a time.
class Fanout {
 public:
  Fanout(const std::vector<std::unique_ptr<Lane>>& lanes, std::size_t job, WhenFull when_full);
  ~Fanout();
  // kCancelled after cancel() if it would have to wait; kUnavailable: see kRefuse, clients before
  // the full one have it.
  base::Status push(const model::Labels& labels, const Lane::PushedLine& line);
  // Whether every client's server has what was pushed until tickets() was called.
  std::vector<std::uint64_t> tickets() const { return tickets_; }
  bool is_delivered(const std::vector<std::uint64_t>& tickets) const;
  // Changes when lines with tickets were lost after all: what waits must be sent again.
  std::uint64_t losses() const;
  void cancel() noexcept { cancelled_ = true; }
  bool cancelled() const noexcept { return cancelled_; }
  std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  base::Status offer(std::size_t i, const model::Labels& labels, const Lane::PushedLine& line,
                     std::int64_t wait_ns);
  base::Status push_or_lose(const model::Labels& labels, const Lane::PushedLine& line);

  const std::vector<std::unique_ptr<Lane>>& lanes_;
  const WhenFull when_full_;
  std::vector<std::size_t> accounts_;
  std::vector<std::uint64_t> tickets_;
  std::vector<bool> stalled_;  // it was waited for, and had no room
  std::atomic<bool> cancelled_{false};
  std::atomic<std::uint64_t> dropped_{0};
};

// The labels of a received line: `labels` (configured and meta) through the job's relabel rules,
// then without every __* but the tenant. False: a rule drops the line.
class ReceivedLabels {
 public:
  static base::Result<ReceivedLabels> create(const ScrapeConfig& config);
  bool finish(model::Labels& labels) const;

 private:
  std::vector<RelabelRule> rules_;
};

// Promtail's metrics of them, and ours.
std::string render_receiver_metrics(const std::vector<ReceiverSnapshot>& receivers);

// Each outlives neither `config` nor `lanes`.
base::Result<std::unique_ptr<Receiver>> start_push_receiver(
    const ScrapeConfig& config, std::size_t job, const std::vector<std::unique_ptr<Lane>>& lanes);
base::Result<std::unique_ptr<Receiver>> start_syslog_receiver(
    const ScrapeConfig& config, std::size_t job, const std::vector<std::unique_ptr<Lane>>& lanes);

}  // namespace skald::agent
