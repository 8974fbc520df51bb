// The typed blocks of promtail.yaml but scrape_configs, which is config_scrape.cc.

#include "agent/parse/config.h"

#include <algorithm>
#include <array>
#include <set>

#include "agent/parse/config_blocks.h"
#include "agent/parse/config_reader.h"

namespace skald::agent {

namespace {

// dskit's server keys that Promtail takes and that change nothing here.
constexpr std::array<std::string_view, 34> kServerAccepted = {
    "grpc_listen_network",
    "grpc_listen_address",
    "grpc_listen_port",
    "grpc_listen_conn_limit",
    "grpc_tls_config",
    "grpc_server_max_recv_msg_size",
    "grpc_server_max_send_msg_size",
    "grpc_server_max_concurrent_streams",
    "grpc_server_max_connection_idle",
    "grpc_server_max_connection_age",
    "grpc_server_max_connection_age_grace",
    "grpc_server_keepalive_time",
    "grpc_server_keepalive_timeout",
    "grpc_server_min_time_between_pings",
    "grpc_server_ping_without_stream_allowed",
    "grpc_server_num_workers",
    "grpc_server_stats_tracking_enabled",
    "grpc_server_recv_buffer_pools_enabled",
    "report_grpc_codes_in_instrumentation_label_enabled",
    "register_instrumentation",
    "http_listen_network",
    "http_listen_conn_limit",
    "http_server_read_header_timeout",
    "http_log_closed_connections_without_response_enabled",
    "log_source_ips_enabled",
    "log_source_ips_full",
    "log_source_ips_header",
    "log_source_ips_regex",
    "log_request_headers",
    "log_request_at_info_level_enabled",
    "log_request_exclude_headers_list",
    "cluster_validation",
    "throughput_latency_cutoff",
    "throughput_unit",
};

void read_positions(MapReader& body, PositionsConfig& out) {
  body.string("filename", out.filename);
  body.duration("sync_period", out.sync_period_ns);
  body.boolean("ignore_invalid_yaml", out.ignore_invalid_yaml);
  if (out.filename.empty()) body.fail("filename", "is empty");
  if (out.sync_period_ns <= 0) body.fail("sync_period", "must be greater than 0");
  body.finish();
}

void read_limits(MapReader& body, LimitsConfig& out) {
  body.boolean("readline_rate_enabled", out.readline_rate_enabled);
  body.number("readline_rate", out.readline_rate);
  body.integer("readline_burst", out.readline_burst);
  body.boolean("readline_rate_drop", out.readline_rate_drop);
  body.integer("max_streams", out.max_streams);
  body.bytes("max_line_size", out.max_line_size);
  body.boolean("max_line_size_truncate", out.max_line_size_truncate);
  if (out.readline_rate_enabled && (out.readline_rate <= 0 || out.readline_burst <= 0)) {
    body.fail("readline_rate_enabled", "needs readline_rate and readline_burst greater than 0");
  }
  body.finish();
}

void read_skald(MapReader& body, SkaldConfig& out) {
  body.size("label_values_max", out.label_policy.values_max);
  std::vector<std::pair<std::string, std::string>> by_name;
  body.string_map("label_values_max_by_name", by_name);
  for (const auto& [name, value] : by_name) {
    std::size_t count = 0;
    if (!parse_size(value, count)) {
      body.fail("label_values_max_by_name", "`" + value + "` is not a number");
    }
    out.label_policy.values_max_by_name[name] = count;
  }
  body.size("label_sets_max", out.label_policy.sets_max);
  body.bytes("line_bytes_max", out.line_bytes_max);
  body.duration("shutdown_timeout", out.shutdown_timeout_ns);
  body.string("spill_dir", out.spill_dir);
  body.bytes("spill_bytes_max", out.spill_bytes_max);
  body.boolean("strip_cr", out.strip_cr);
  body.boolean("skip_empty_lines", out.skip_empty_lines);
  body.finish();
}

void read_wal(MapReader& body) {
  bool enabled = false;
  body.boolean("enabled", enabled);
  for (std::string_view key : {"dir", "cleanSegmentsOlderThan", "watchConfig"}) body.accept(key);
  if (enabled) {
    body.warn("enabled",
              "accepted, no effect: the files themselves are the buffer, positions advance only "
              "when the store has acknowledged; skald.spill_dir adds a disk queue");
  }
  body.finish();
}

// /config shows the document; nobody's password.
void mask_secrets(Node& node) {
  static const std::set<std::string_view> kSecret = {"password", "credentials", "bearer_token",
                                                     "client_secret", "key"};
  for (auto& [key, value] : node.fields) {
    if (kSecret.contains(key) && value.is_scalar()) {
      value.scalar = "<secret>";
    } else if (key == "headers" && value.is_map()) {
      for (auto& header : value.fields) header.second.scalar = "<secret>";
    } else if (key == "url" && value.is_scalar()) {
      const auto scheme = value.scalar.find("://");
      const auto at = value.scalar.find('@');
      if (scheme != std::string::npos && at != std::string::npos && at > scheme) {
        value.scalar.replace(scheme + 3, at - scheme - 3, "<secret>");
      }
    } else {
      mask_secrets(value);
    }
  }
  for (Node& item : node.items) mask_secrets(item);
}

void read_clients(MapReader& top, const LoadOptions& options, AgentConfig& out) {
  top.map("client", [&](MapReader& body) {
    if (body.has("url") || body.has("external_labels")) {
      read_client(body, out.clients.emplace_back());
    }
  });
  top.each("clients", [&](const Node& node, std::string path) {
    MapReader body(node, std::move(path), top.state());
    read_client(body, out.clients.emplace_back());
  });
  if (out.clients.empty() && options.require_clients) {
    top.fail("clients",
             "at least one is needed: clients: [{url: http://host:3100/loki/api/v1/push}]");
  }
  std::set<std::string> names;
  for (const ClientConfig& client : out.clients) {
    if (!names.insert(client.name).second) {
      top.state().fail(client.line, "clients",
                       "two clients have the same name or the same settings; give them `name`s");
    }
  }
}

void read_top(MapReader& top, const LoadOptions& options, AgentConfig& out) {
  top.map("server", [&](MapReader& body) { read_server(body, out.server); });
  read_clients(top, options, out);
  top.map("positions", [&](MapReader& body) { read_positions(body, out.positions); });
  top.map("target_config", [&](MapReader& body) {
    body.duration("sync_period", out.target_config.sync_period_ns);
    body.boolean("stdin", out.target_config.stdin_enabled);
    if (out.target_config.sync_period_ns <= 0) {
      body.fail("sync_period", "must be greater than 0");
    }
    body.finish();
  });
  top.map("global", [&](MapReader& body) {
    body.map("file_watch_config", [&](MapReader& watch) {
      watch.duration("min_poll_frequency", out.file_watch.min_poll_ns);
      watch.duration("max_poll_frequency", out.file_watch.max_poll_ns);
      watch.finish();
    });
    body.finish();
  });
  top.map("limits_config", [&](MapReader& body) { read_limits(body, out.limits_config); });
  top.map("skald", [&](MapReader& body) { read_skald(body, out.skald); });
  top.map("wal", read_wal);
  top.map("tracing", [&](MapReader& body) {
    bool enabled = false;
    body.boolean("enabled", enabled);
    if (body.has("enabled") && enabled) body.warn("enabled", "accepted, no effect");
    body.finish();
  });
  top.map("options", [&](MapReader& body) {
    body.accept("stream_lag_labels", "accepted, no effect");
    body.finish();
  });
  read_scrape_configs(top, options, out);
  top.finish();
}

}  // namespace

void read_server_tls(MapReader& body, ServerTlsConfig& out) {
  body.string("cert_file", out.cert_file);
  body.string("key_file", out.key_file);
  body.string("client_auth_type", out.client_auth_type);
  body.string("client_ca_file", out.client_ca_file);
  for (std::string_view key : {"cert", "key", "client_ca"}) body.accept(key);
  body.finish();
}

void read_server(MapReader& body, ServerConfig& out) {
  body.boolean("disable", out.disable);
  body.string("http_listen_address", out.http_listen_address);
  body.integer("http_listen_port", out.http_listen_port);
  if (out.http_listen_port < 0 || out.http_listen_port > 65535) {
    body.fail("http_listen_port", "must lie between 0 and 65535");
  }
  body.string("http_path_prefix", out.http_path_prefix);
  body.string("log_level", out.log_level);
  if (out.log_level != "debug" && out.log_level != "info" && out.log_level != "warn" &&
      out.log_level != "error") {
    body.fail("log_level", "`" + out.log_level + "` is none of debug, info, warn, error");
  }
  body.string("log_format", out.log_format);
  if (out.log_format != "logfmt" && out.log_format != "json") {
    body.fail("log_format", "`" + out.log_format + "` is neither logfmt nor json");
  }
  body.boolean("health_check_target", out.health_check_target);
  body.boolean("enable_runtime_reload", out.enable_runtime_reload);
  body.string("external_url", out.external_url);
  body.duration("graceful_shutdown_timeout", out.graceful_shutdown_timeout_ns);
  body.duration("http_server_read_timeout", out.http_read_timeout_ns);
  body.duration("http_server_write_timeout", out.http_write_timeout_ns);
  body.duration("http_server_idle_timeout", out.http_idle_timeout_ns);
  body.accept("profiling_enabled", "accepted, no effect: there are no Go profiles here");
  for (std::string_view key : kServerAccepted) body.accept(key);
  // These would seem to protect something that they do not.
  static constexpr std::string_view kNoTls =
      "accepted, no effect: this port speaks plain HTTP; bind it to localhost or put a proxy "
      "before";
  for (std::string_view key : {"http_tls_config", "tls_cipher_suites", "tls_min_version"}) {
    body.accept(key, kNoTls);
  }
  body.accept("proxy_protocol_enabled", "accepted, no effect");
  body.finish();
}

base::Result<AgentConfig> load_config(std::string_view text, std::string_view file_name,
                                      const LoadOptions& options) {
  SKALD_TRY_ASSIGN(Node document, parse_yaml(text, file_name));
  ReadState state;
  state.file = file_name;
  AgentConfig config;
  MapReader top(document, "", state);
  read_top(top, options, config);
  if (!state.ok()) return state.status;
  config.warnings = std::move(state.warnings);
  mask_secrets(document);
  config.document = std::move(document);
  return config;
}

}  // namespace skald::agent
