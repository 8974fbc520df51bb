#pragma once
// The agent's HTTP answers: /ready, /metrics with Promtail's names, /targets, /service-discovery,
// /config, /reload. Safe from several threads.

#include <functional>
#include <memory>
#include <string>

#include "agent/agent.h"
#include "proto/net/http_server.h"

namespace skald::agent {

class HttpSurface {
 public:
  // `reload` is called for /reload, if the configuration allows it.
  HttpSurface(Agent& agent, std::function<base::Status()> reload);
  net::ServerResponse answer(net::ServerRequest& request) const;

 private:
  Agent& agent_;
  std::function<base::Status()> reload_;
};

std::string render_metrics(const std::vector<LaneSnapshot>& lanes, std::uint64_t reloads_ok,
                           std::uint64_t reloads_failed);

constexpr std::string_view kAgentVersion = "0.1.0";

}  // namespace skald::agent
