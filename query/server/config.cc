#include "query/server/config.h"

#include <algorithm>
#include <thread>

#include "proto/base/fs.h"
#include "query/logql/parser.h"
#include "query/server/yaml_reader.h"

namespace skald::query::server {
namespace {

constexpr std::uint64_t kConfigBytesMax = 4U << 20;

void read_server(YamlMap map, ServerConfig& config) {
  std::string host = "127.0.0.1";
  unsigned port = 3100;
  const bool any = map.has("http_listen_address") || map.has("http_listen_port");
  map.get("http_listen_address", host);
  map.get("http_listen_port", port);
  if (port > 65'535) map.fail("http_listen_port", "must be at most 65535");
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  if (any) config.http.listen = host + ":" + std::to_string(port);
  map.get("log_level", config.log_level);
  map.get_duration("graceful_shutdown_timeout", config.drain_ns);
  map.get_duration("http_server_read_timeout", config.http.body_stall_timeout_ns);
  map.get_duration("http_server_write_timeout", config.http.write_stall_timeout_ns);
  map.get_duration("http_server_idle_timeout", config.http.idle_timeout_ns);
  std::uint64_t body_max = config.http.body_bytes_max;
  map.get_bytes("http_max_request_size", body_max);
  config.http.body_bytes_max = body_max;
  unsigned connections = static_cast<unsigned>(config.http.connections_max);
  map.get("http_listen_conn_limit", connections);
  config.http.connections_max = connections;
  map.get("compress_responses", config.http.compress);
  YamlMap tls = map.map("http_tls_config");
  net::ServerTls files;
  std::string client_auth;
  tls.get("cert_file", files.cert_file);
  tls.get("key_file", files.key_file);
  tls.get("client_ca_file", files.client_ca_file);
  tls.get("client_auth_type", client_auth);
  files.client_cert_optional = client_auth == "VerifyClientCertIfGiven";
  if (!client_auth.empty() && client_auth != "VerifyClientCertIfGiven" &&
      client_auth != "RequireAndVerifyClientCert")
    tls.fail("client_auth_type", "must be RequireAndVerifyClientCert or VerifyClientCertIfGiven");
  tls.finish();
  if (!files.cert_file.empty() || !files.key_file.empty()) config.http.tls = files;
  for (const char* key :
       {"grpc_listen_port", "grpc_listen_address", "grpc_server_max_recv_msg_size",
        "grpc_server_max_send_msg_size", "grpc_server_max_concurrent_streams", "log_format",
        "register_instrumentation"})
    map.ignore(key, config.warnings);
  map.finish();
}

void read_retention(YamlMap& map, store::RetentionPolicy& policy) {
  map.get_duration("retention_period", policy.period_ns);
  map.get_bytes("retention_bytes", policy.bytes_max);
  if (!map.has("retention_stream")) return;
  policy.rules.clear();
  for (YamlMap& item : map.list("retention_stream")) {
    std::string selector;
    std::int64_t period_ns = policy.period_ns;
    std::uint64_t bytes_max = 0;
    unsigned priority = 0;
    item.get("selector", selector);
    item.get_duration("period", period_ns);
    item.get_bytes("bytes", bytes_max);
    item.get("priority", priority);
    item.finish();
    auto matchers = logql::parse_matchers(selector);
    if (!matchers.ok()) {
      item.fail("selector", std::string(matchers.status().message()));
      continue;
    }
    policy.rules.push_back(
        {std::move(*matchers), period_ns, static_cast<int>(priority), bytes_max});
  }
}

// A list of label names, or `false`/empty for off.
void read_service_names(YamlMap& map, std::vector<std::string>& names) {
  const YAML::Node node = map.raw("discover_service_name");
  if (node.IsDefined() && node.IsScalar() && (node.Scalar() == "false" || node.Scalar().empty()))
    names.clear();
  else
    map.get("discover_service_name", names);
}

void read_limits(YamlMap map, api::TenantLimits& limits, std::vector<std::string>& warnings) {
  map.get("ingestion_rate_mb", limits.ingestion_rate_mb);
  map.get("ingestion_burst_size_mb", limits.ingestion_burst_size_mb);
  map.get_bytes("per_stream_rate_limit", limits.per_stream_rate_limit);
  map.get_bytes("per_stream_rate_limit_burst", limits.per_stream_rate_limit_burst);
  map.get("max_streams_per_user", limits.max_global_streams_per_user);
  map.get("max_global_streams_per_user", limits.max_global_streams_per_user);
  map.get_bytes("max_line_size", limits.max_line_size);
  map.get("max_line_size_truncate", limits.max_line_size_truncate);
  map.get("max_label_name_length", limits.max_label_name_length);
  map.get("max_label_value_length", limits.max_label_value_length);
  map.get("max_label_names_per_series", limits.max_label_names_per_series);
  map.get("allow_structured_metadata", limits.allow_structured_metadata);
  map.get_bytes("max_structured_metadata_size", limits.max_structured_metadata_size);
  map.get("max_structured_metadata_entries_count", limits.max_structured_metadata_entries_count);
  map.get("reject_old_samples", limits.reject_old_samples);
  map.get_duration("reject_old_samples_max_age", limits.reject_old_samples_max_age_ns);
  map.get_duration("creation_grace_period", limits.creation_grace_period_ns);
  read_service_names(map, limits.discover_service_name);
  map.get("discover_log_levels", limits.discover_log_levels);
  map.get("log_level_fields", limits.log_level_fields);
  map.get("max_entries_limit_per_query", limits.max_entries_limit_per_query);
  map.get("max_query_series", limits.max_query_series);
  map.get_duration("max_query_length", limits.max_query_length_ns);
  map.get_duration("max_query_lookback", limits.max_query_lookback_ns);
  map.get_duration("query_timeout", limits.query_timeout_ns);
  map.get_duration("max_query_range", limits.max_query_range_ns);
  map.get_bytes("max_query_bytes_read", limits.max_query_bytes_read);
  map.get("required_labels", limits.required_labels);
  map.get("minimum_labels_number", limits.minimum_labels_number);
  map.get("volume_enabled", limits.volume_enabled);
  map.get("volume_max_series", limits.volume_max_series);
  map.get("max_concurrent_tail_requests", limits.max_concurrent_tail_requests);
  std::string deletion;
  map.get("deletion_mode", deletion);
  if (!deletion.empty()) limits.deletes_enabled = deletion != "disabled";
  read_retention(map, limits.retention);
  for (const char* key :
       {"unordered_writes", "increment_duplicate_timestamp", "max_chunks_per_query",
        "max_query_parallelism", "tsdb_max_query_parallelism", "split_queries_by_interval",
        "max_cache_freshness_per_query", "cardinality_limit", "max_queriers_per_tenant",
        "ingestion_rate_strategy", "max_streams_matchers_per_query", "shard_streams",
        "per_tenant_override_config", "otlp_config", "pattern_ingester_enabled"})
    map.ignore(key, warnings);
  map.finish();
}

void read_auth(YamlMap map, api::AuthSettings& auth) {
  for (YamlMap& item : map.list("users")) {
    api::AuthUser user;
    std::vector<std::string> scopes;
    std::string token;
    item.get("name", user.name);
    item.get("password_hash", user.password_hash);
    item.get("token_sha256", user.token_sha256);
    item.get("scopes", scopes);
    item.get("tenants", user.tenants);
    item.finish();
    if (user.password_hash.empty() == user.token_sha256.empty())
      item.fail("name", "give either password_hash or token_sha256");
    if (!user.password_hash.empty() && user.name.empty())
      item.fail("name", "a user with a password needs a name");
    for (const std::string& name : scopes) {
      auto scope = api::parse_scope(name);
      if (!scope.ok())
        item.fail("scopes", std::string(scope.status().message()));
      else
        user.scopes |= *scope;
    }
    std::transform(user.token_sha256.begin(), user.token_sha256.end(), user.token_sha256.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    auth.users.push_back(std::move(user));
  }
  map.finish();
}

void read_storage(YamlMap map, store::StoreOptions& store) {
  map.get("data_dir", store.data_dir);
  map.get_bytes("head_bytes_max", store.head_bytes_max);
  map.get_duration("head_age_max", store.head_age_max_ns);
  map.get_bytes("disk_bytes_max", store.disk_bytes_max);
  map.get_bytes("disk_free_min", store.disk_free_min);
  map.get("background_threads", store.background_threads);
  map.get_bytes("compaction_memory_max", store.compaction_memory_max);
  map.get_bytes("compaction_bytes_per_second", store.compaction_bytes_per_second);
  map.finish();
}

void read_querier(YamlMap map, ServerConfig& config) {
  map.get("max_concurrent", config.query_threads);
  if (config.query_threads == 0 || config.query_threads > 1024)
    map.fail("max_concurrent", "must be 1 to 1024");
  map.get("workers_per_query", config.engine.workers);
  std::uint64_t memory = config.engine.memory_max;
  map.get_bytes("memory_max", memory);
  config.engine.memory_max = memory;
  map.get_bytes("total_memory_max", config.queries_memory_max);
  map.finish();
}

base::Status read_all(const YAML::Node& root, const std::string& name, ServerConfig& config) {
  base::Status error;
  YamlMap map(root, "", name, error);
  map.get("auth_enabled", config.api->auth_enabled);
  read_server(map.map("server"), config);
  read_limits(map.map("limits_config"), config.api->limits, config.warnings);
  YamlMap overrides = map.map("overrides");
  for (auto& [tenant, limits] : overrides.all_maps()) {
    // What an override does not name is the tenant default's.
    api::TenantLimits& own =
        config.api->overrides.emplace(tenant, config.api->limits).first->second;
    read_limits(limits, own, config.warnings);
  }
  read_auth(map.map("auth"), config.api->auth);
  read_storage(map.map("storage"), config.store);
  read_querier(map.map("querier"), config);
  map.raw("ruler");  // checked by the ruler
  for (const char* key :
       {"compactor", "common", "schema_config", "storage_config", "query_range", "frontend",
        "ingester", "analytics", "pattern_ingester", "chunk_store_config", "table_manager",
        "memberlist", "distributor", "query_scheduler"})
    map.ignore(key, config.warnings);
  map.finish();
  return error;
}

// /config shows the file, but no credentials.
std::string without_secrets(YAML::Node root) {
  if (root.IsMap() && root["auth"].IsDefined() && root["auth"]["users"].IsSequence())
    for (YAML::Node user : root["auth"]["users"])
      for (const char* key : {"password_hash", "token_sha256"})
        if (user[key].IsDefined()) user[key] = "<secret>";
  if (root.IsMap() && root["ruler"].IsDefined()) root["ruler"] = "<see the file>";
  YAML::Emitter out;
  out << root;
  return std::string(out.c_str()) + "\n";
}

}  // namespace

base::Result<ServerConfig> parse_config(std::string_view text, const std::string& name) {
  ServerConfig config;
  config.engine.workers = std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
  config.query_threads = std::clamp(std::thread::hardware_concurrency() * 2, 4U, 32U);
  config.store.data_dir = "data";
  config.text = text;
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    SKALD_TRY(read_all(root, name, config));
    config.api->config_text =
        root.IsMap() ? without_secrets(YAML::Clone(root)) : "# all defaults\n";
  } catch (const YAML::Exception& error) {  // the adapter: yaml-cpp reports by throwing
    return base::invalid_argument(name + ":" + std::to_string(error.mark.line + 1) + ": " +
                                  error.msg);
  }
  return config;
}

base::Result<ServerConfig> load_config(const std::string& path) {
  if (path.empty()) return parse_config("", "defaults");
  auto text = base::FileSystem::posix().read_file(path, kConfigBytesMax);
  if (!text.ok()) return std::move(text).status().with_context("configuration " + path);
  return parse_config(*text, path);
}

}  // namespace skald::query::server
