#pragma once
// The blocks of the configuration, one reader each. Internal to agent/parse.

#include "agent/parse/config.h"
#include "agent/parse/config_reader.h"

namespace skald::agent {

void read_server(MapReader& body, ServerConfig& out);
void read_server_tls(MapReader& body, ServerTlsConfig& out);
void read_client(MapReader& body, ClientConfig& out);
void read_scrape_configs(MapReader& top, const LoadOptions& options, AgentConfig& out);
void read_target_group(MapReader& body, TargetGroup& out);

}  // namespace skald::agent
