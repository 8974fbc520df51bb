#pragma once
// Targets that are not files: loki_push_api, an HTTP server of its own. Syslog is refused by the
// loader.

#include <memory>
#include <string>
#include <vector>

#include "agent/lane.h"
#include "agent/parse/config.h"

namespace skald::agent {

class Receivers {
 public:
  // Starts what `config` names. Borrows both. kUnavailable: an address is taken.
  static base::Result<std::unique_ptr<Receivers>> start(
      const AgentConfig& config, const std::vector<std::unique_ptr<Lane>>& lanes);
  ~Receivers();  // stops

  std::vector<std::string> addresses() const;  // "loki_push_api <job> http://..."

 private:
  struct Impl;
  explicit Receivers(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::agent
