#pragma once
// All targets of a configuration that are no tailed files: loki_push_api, syslog, journal, and
// compressed archives.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/lane.h"
#include "agent/parse/config.h"
#include "agent/receiver.h"

namespace skald::agent {

// How far a source that is no tailed file was delivered, durably, by a key of Promtail's positions
// file ("cursor-<job>", or a path with a count of lines). Calls from any thread.
class Cursors {
 public:
  virtual ~Cursors() = default;
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  virtual std::string cursor(const std::string& key) const = 0;  // empty: none
  virtual void set_cursors(const Pairs& pairs) = 0;              // an empty value erases
  virtual std::vector<std::string> cursor_keys(const std::string& prefix) const = 0;
};

class Receivers {
 public:
  // Starts what `config` names. Borrows all. kUnavailable: an address is taken.
  static base::Result<std::unique_ptr<Receivers>> start(
      const AgentConfig& config, const std::vector<std::unique_ptr<Lane>>& lanes, Cursors& cursors);
  ~Receivers();
  // Takes no more lines. Destroy it after the lanes have drained: cursors are saved then.
  void stop();

  std::vector<ReceiverSnapshot> snapshot() const;

 private:
  Receivers() = default;
  std::vector<std::unique_ptr<Receiver>> all_;
};

}  // namespace skald::agent
