#pragma once
// The agent put together: one lane per client, one positions file, one HTTP surface.
// Threads: every call from any thread; reload() and stop() from one at a time.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/lane.h"
#include "agent/parse/config.h"
#include "agent/position/position_store.h"
#include "agent/receivers.h"

namespace skald::agent {

class Agent final : public Cursors {
 public:
  struct Options {
    bool write_positions = true;               // false: -dry-run, -stdin
    bool tail_files = true;                    // false: -stdin
    std::function<void(const EntryOut&)> tap;  // -dry-run
    StageInspector* inspector = nullptr;       // -inspect; borrowed
  };
  // Builds everything and reads the positions; nothing runs yet.
  static base::Result<std::unique_ptr<Agent>> create(AgentConfig config, Options options);
  ~Agent() override;

  base::Status start();
  void stop(std::int64_t drain_ns);
  // Builds the new configuration first; only if all of it builds is the old one stopped. An error
  // leaves everything running as it was.
  base::Status reload(AgentConfig config);

  std::shared_ptr<const AgentConfig> config() const;
  std::vector<LaneSnapshot> snapshot() const;
  bool is_ready() const;  // a target tails a file, or nothing is to be tailed
  std::vector<ReceiverSnapshot> receivers() const;
  std::uint64_t reloads(bool succeeded) const noexcept;
  // Standard input as lines of the first scrape config, until its end; then waits until they are
  // delivered.
  base::Status pump_stdin(const model::Labels& labels);

 private:
  struct Running {
    std::shared_ptr<const AgentConfig> config;
    std::vector<std::unique_ptr<Lane>> lanes;  // borrow from config
    std::unique_ptr<Receivers> receivers;      // borrow from lanes
    ~Running();
  };
  explicit Agent(Options options) : options_(std::move(options)) {}
  base::Result<std::unique_ptr<Running>> build(AgentConfig config);
  base::Status open_positions(const AgentConfig& config);
  base::Status run(Running& running);
  void halt(Running& running, std::int64_t drain_ns);
  base::Status save(ClientPositions positions);
  base::Status save_promtail_file();
  // Cursors
  std::string cursor(const std::string& key) const override;
  void set_cursors(const Pairs& pairs) override;
  std::vector<std::string> cursor_keys(const std::string& prefix) const override;

  const Options options_;
  mutable std::mutex mutex_;  // guards running_
  std::unique_ptr<Running> running_;
  mutable std::mutex positions_mutex_;  // guards what follows
  std::unique_ptr<PositionStore> positions_;
  std::string promtail_file_;
  std::vector<PromtailPosition> imported_;
  std::vector<PromtailPosition> kept_;  // cursors and the like, written back as they were
  std::atomic<std::uint64_t> reloads_succeeded_{0}, reloads_failed_{0};
};

}  // namespace skald::agent
