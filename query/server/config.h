#pragma once
// The server's configuration file: YAML with Loki's names where Loki has one, ours beside them.
// Strict: an unknown key is an error that names key and line.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/net/http_server.h"
#include "query/api/api.h"
#include "query/exec/engine.h"
#include "store/store.h"

namespace skald::query::server {

struct ServerConfig {
  net::ServerOptions http;
  std::string log_level = "info";
  std::int64_t drain_ns = 10LL * base::kNsPerSecond;  // server.graceful_shutdown_timeout
  store::StoreOptions store;
  EngineOptions engine;
  unsigned query_threads = 4;
  std::uint64_t queries_memory_max = 0;  // querier.total_memory_max; 0: by the machine's memory
  std::shared_ptr<api::ApiSettings> api = std::make_shared<api::ApiSettings>();
  std::string text;                   // the whole file: the ruler reads its own block
  std::vector<std::string> warnings;  // keys that are known but have no effect
};

// `text` may be empty: all defaults. `name` is for messages.
base::Result<ServerConfig> parse_config(std::string_view text, const std::string& name);
base::Result<ServerConfig> load_config(const std::string& path);  // empty path: defaults

}  // namespace skald::query::server
