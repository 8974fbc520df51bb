#pragma once
// promtail.yaml as types: every block with Promtail's defaults. load_config() is strict as
// Promtail is (an unknown key is an error naming key and line) and stricter where that helps: it
// builds every regex, relabel rule and URL, so a configuration that loads will run. Stage bodies
// stay YAML trees; Pipeline::build() (pipeline.h) types and checks them.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/label/label_policy.h"
#include "agent/label/target.h"
#include "agent/parse/yaml_node.h"
#include "agent/tail/text_encoding.h"
#include "proto/base/status.h"
#include "proto/model/labels.h"

namespace skald::agent {

struct ServerTlsConfig {
  std::string cert_file, key_file, client_auth_type, client_ca_file;
};

struct ServerConfig {
  bool disable = false;
  std::string http_listen_address;
  int http_listen_port = 80;  // 0: any free port
  std::string http_path_prefix;
  std::string log_level = "info";     // debug, info, warn, error
  std::string log_format = "logfmt";  // or json
  bool health_check_target = true;    // false: /ready is unconditional
  bool enable_runtime_reload = false;
  std::string external_url;
  std::int64_t graceful_shutdown_timeout_ns = 30'000'000'000;
  std::int64_t http_read_timeout_ns = 30'000'000'000;
  std::int64_t http_write_timeout_ns = 30'000'000'000;
  std::int64_t http_idle_timeout_ns = 120'000'000'000;
};

struct BackoffConfig {
  std::int64_t min_period_ns = 500'000'000;
  std::int64_t max_period_ns = 300'000'000'000;
  int max_retries = 10;  // attempts; 0: for ever
};

struct BasicAuth {
  std::string username, username_file, password, password_file;
};

struct Authorization {
  std::string type = "Bearer";
  std::string credentials, credentials_file;
};

struct ClientTlsConfig {
  std::string ca, cert, key;  // inline PEM
  std::string ca_file, cert_file, key_file, server_name;
  bool insecure_skip_verify = false;
  std::string min_version, max_version;  // TLS10..TLS13
};

struct ClientConfig {
  std::string name;  // never empty: a 6-digit hash of the settings if unset
  std::string url;   // full push path
  std::int64_t batchwait_ns = 1'000'000'000;
  std::size_t batchsize = 1'048'576;
  std::int64_t timeout_ns = 10'000'000'000;
  BackoffConfig backoff;
  bool drop_rate_limited_batches = false;
  std::string tenant_id;
  model::Labels external_labels;  // added where absent
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<BasicAuth> basic_auth;         // at most one of these two
  std::optional<Authorization> authorization;  // bearer_token(_file) ends here too
  ClientTlsConfig tls;
  bool follow_redirects = true;
  int line = 0;
};

struct PositionsConfig {
  std::string filename = "/var/log/positions.yaml";
  std::int64_t sync_period_ns = 10'000'000'000;
  bool ignore_invalid_yaml = false;
};

struct TargetSyncConfig {  // target_config
  std::int64_t sync_period_ns = 10'000'000'000;
  bool stdin_enabled = false;
};

struct FileWatchConfig {  // global.file_watch_config
  std::int64_t min_poll_ns = 250'000'000;
  std::int64_t max_poll_ns = 250'000'000;
};

struct LimitsConfig {
  bool readline_rate_enabled = false;
  double readline_rate = 10'000;
  int readline_burst = 10'000;
  bool readline_rate_drop = true;
  int max_streams = 0;            // per batch; 0: off
  std::size_t max_line_size = 0;  // 0: off
  bool max_line_size_truncate = false;
};

struct PushApiConfig {  // loki_push_api
  ServerConfig server;
  model::Labels labels;
  bool use_incoming_timestamp = false;
};

struct SyslogConfig {
  std::string listen_address;
  std::string listen_protocol = "tcp";  // or udp
  std::int64_t idle_timeout_ns = 120'000'000'000;
  bool label_structured_data = false;
  model::Labels labels;
  bool use_incoming_timestamp = false;
  bool use_rfc5424_message = false;
  bool rfc3164 = false;  // syslog_format
  std::size_t max_message_length = 8192;
  ServerTlsConfig tls;
};

struct JournalConfig {
  std::string path;  // empty: the system's
  std::int64_t max_age_ns = 25'200'000'000'000;
  std::vector<std::string> matches;  // FIELD=value, ANDed
  bool json = false;
  model::Labels labels;
};

enum class ArchiveFormat : unsigned char { kGzip, kZlib, kBzip2, kZstd };

struct DecompressionConfig {
  bool enabled = false;
  std::int64_t initial_delay_ns = 0;
  ArchiveFormat format = ArchiveFormat::kGzip;
};

struct ScrapeConfig {
  TargetConfig target;   // job_name, static/file/kubernetes discovery, relabelling
  Node pipeline_stages;  // sequence or null
  TextEncoding encoding = TextEncoding::kUtf8;
  DecompressionConfig decompression;  // enabled: the job's files are archives, each read once
  // At most one of these; then `target` holds only job_name and relabel_configs.
  std::optional<PushApiConfig> push_api;
  std::optional<SyslogConfig> syslog;
  std::optional<JournalConfig> journal;
  int line = 0;

  bool tails_files() const noexcept {
    return !push_api && !syslog && !journal && !decompression.enabled;
  }
  const std::string& job_name() const noexcept { return target.job_name; }
};

// Our own additions, top-level key `skald`. Promtail refuses it: remove it to roll back.
struct SkaldConfig {
  LabelPolicyOptions label_policy;  // label_values_max, label_values_max_by_name
  std::size_t line_bytes_max = 0;   // tailer: longest line kept in memory; 0: the default
  std::int64_t shutdown_timeout_ns = 20'000'000'000;
  std::string spill_dir;  // empty: no disk queue
  std::size_t spill_bytes_max = std::size_t{1} << 30;
  bool strip_cr = false;
  bool skip_empty_lines = false;
};

struct AgentConfig {
  ServerConfig server;
  std::vector<ClientConfig> clients;
  PositionsConfig positions;
  std::vector<ScrapeConfig> scrape_configs;
  TargetSyncConfig target_config;
  FileWatchConfig file_watch;
  LimitsConfig limits_config;
  SkaldConfig skald;
  std::vector<std::string> warnings;  // "line 12: wal: accepted, no effect: ..."; for the log
  Node document;                      // as read, secrets masked: for /config
};

struct LoadOptions {
  // Which targets beyond files this program serves; the others are refused with the way out.
  bool serves_push_api = false;
  bool serves_syslog = false;
  bool serves_journal = false;
  bool require_clients = true;  // false: --client.url, --dry-run or --stdin fill in
};

// Errors read "promtail.yaml:12: scrape_configs[0].pipline_stages: unknown key; ...". Builds every
// pipeline once (into nothing) so that a broken regex or template is found here.
base::Result<AgentConfig> load_config(std::string_view text, std::string_view file_name,
                                      const LoadOptions& options = {});

// -config.expand-env: ${VAR}, ${VAR:-default} and kin, over the whole text before YAML. `getenv`
// returns null for an unset variable. Notes such as "${1} became empty" are added to `warnings`.
base::Result<std::string> expand_env(std::string_view text, const char* (*getenv)(const char* name),
                                     std::vector<std::string>& warnings);

// A file_sd file's bytes, JSON or YAML; for TargetDiscovery.
base::Result<std::vector<TargetGroup>> parse_target_groups(std::string_view text,
                                                           std::string_view file);

// In plain words, what this configuration will do: for `skald-agent --explain`.
std::string explain(const AgentConfig& config);

// Go durations ("1h30m") and Promtail's byte sizes ("256kb", powers of 1024).
base::Result<std::int64_t> parse_go_duration_ns(std::string_view text);

}  // namespace skald::agent
