#pragma once
// Loki's HTTP API over a store and an engine. Pure request -> response: the HTTP server is outside.
//
// Threads: handle() is called from many workers at once. Settings may be swapped at any time; a
// request keeps those it started with.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/clock.h"
#include "proto/net/http_server.h"
#include "query/api/auth.h"
#include "query/api/tenant_limits.h"
#include "query/exec/engine.h"
#include "store/store.h"

namespace skald::query::api {

// What a reload may change.
struct ApiSettings {
  bool auth_enabled = false;  // tenants by X-Scope-OrgID; off: everything is tenant "fake"
  TenantLimits limits;
  std::map<std::string, TenantLimits, std::less<>> overrides;  // tenants of their own
  AuthSettings auth;
  std::string config_text;  // what /config shows; without secrets

  const TenantLimits& limits_of(std::string_view tenant) const {
    const auto found = overrides.find(tenant);
    return found == overrides.end() ? limits : found->second;
  }
};

struct ApiDeps {
  store::Store* store = nullptr;
  const Engine* engine = nullptr;
  const base::Clock* clock = &base::Clock::system();
  std::function<base::Status()> reload;  // POST /-/reload
  std::function<net::ServerStats()> server_stats;
  std::function<bool(const std::string& level)> set_log_level;  // false: no such level
  std::function<std::string()> log_level;
  // Requests that the rule routes answer; set when a ruler runs. The tenant is resolved.
  std::function<net::ServerResponse(net::ServerRequest&, const std::string& tenant)> rules;
  std::function<void(std::string& out)> more_metrics;  // Prometheus text, appended
};

class Api {
 public:
  Api(ApiDeps deps, std::shared_ptr<const ApiSettings> settings);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  net::ServerResponse handle(net::ServerRequest& request);

  void set_settings(std::shared_ptr<const ApiSettings> settings);
  std::shared_ptr<const ApiSettings> settings() const;
  void set_ready(bool ready);  // what /ready says
  void stop();                 // ends the tails; call before the server stops

  // Lanes for the server: pushes, queries and small requests do not wait for each other.
  static std::vector<net::Lane> lanes(unsigned query_threads);
  static std::size_t lane_of(const net::ServerRequest& request);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::query::api
