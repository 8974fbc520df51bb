// The `ruler:` block of the configuration.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <functional>

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"
#include "proto/gotext/strings.h"
#include "proto/net/http_client.h"
#include "query/alert/limits.h"
#include "query/alert/ruler.h"

namespace skald::query::alert {
namespace {

// Reads one block of fields; the first mistake wins and names its line.
class Block {
 public:
  Block(const YAML::Node& node, std::string path, base::Status& status)
      : node_(node), path_(std::move(path)), status_(status) {
    if (node_ && !node_.IsNull() && !node_.IsMap()) fail(node_, path_ + " must be a map");
  }

  void text(const char* key, std::string& out) {
    const YAML::Node value = take(key);
    if (!value) return;
    if (value.IsScalar())
      out = value.Scalar();
    else if (!value.IsNull())
      fail(value, name(key) + " must be text");
  }
  void flag(const char* key, bool& out) {
    std::string value;
    text(key, value);
    if (value == "true" || value == "false")
      out = value == "true";
    else if (!value.empty())
      fail(node_[key], name(key) + " must be true or false");
  }
  void duration(const char* key, std::int64_t& out) {
    std::string value;
    text(key, value);
    if (value.empty()) return;
    auto ns = gotext::parse_logql_duration(value);
    if (ns.ok() && *ns >= 0)
      out = *ns;
    else
      fail(node_[key], name(key) + ": not a duration: " + value);
  }
  template <typename T>
  void count(const char* key, T& out) {
    std::string value;
    text(key, value);
    if (value.empty()) return;
    std::int64_t n = 0;
    if (gotext::read_int(value, 10, 32, n) == gotext::NumberError::kNone && n >= 0)
      out = static_cast<T>(n);
    else
      fail(node_[key], name(key) + " must be a whole number");
  }
  void labels(const char* key, model::Labels& out) {
    const YAML::Node value = take(key);
    if (!value || value.IsNull()) return;
    if (!value.IsMap()) return fail(value, name(key) + " must be a map");
    for (const auto& entry : value) {
      if (!entry.first.IsScalar() || !entry.second.IsScalar() ||
          !model::is_label_name(entry.first.Scalar()))
        return fail(entry.first, name(key) + ": names of labels and texts are expected");
      out.set(entry.first.Scalar(), entry.second.Scalar());
    }
  }
  void pairs(const char* key, std::vector<std::pair<std::string, std::string>>& out) {
    const YAML::Node value = take(key);
    if (!value || value.IsNull()) return;
    if (!value.IsMap()) return fail(value, name(key) + " must be a map");
    for (const auto& entry : value) {
      if (!entry.first.IsScalar() || !entry.second.IsScalar())
        return fail(entry.first, name(key) + ": texts are expected");
      out.emplace_back(entry.first.Scalar(), entry.second.Scalar());
    }
  }
  // A nested block; absent: nothing is read.
  void block(const char* key, const std::function<void(Block&)>& read) {
    const YAML::Node value = take(key);
    if (!value || value.IsNull()) return;
    Block inner(value, name(key), status_);
    if (!status_.ok()) return;
    read(inner);
    inner.finish();
  }
  // A map of named blocks.
  void blocks(const char* key, const std::function<void(const std::string&, Block&)>& read) {
    const YAML::Node value = take(key);
    if (!value || value.IsNull()) return;
    if (!value.IsMap()) return fail(value, name(key) + " must be a map");
    for (const auto& entry : value) {
      Block inner(entry.second, name(key) + "." + entry.first.Scalar(), status_);
      if (!status_.ok()) return;
      read(entry.first.Scalar(), inner);
      inner.finish();
    }
  }
  // Keys of Loki that mean nothing here.
  void ignore(std::initializer_list<const char*> keys) {
    for (const char* key : keys) seen_.emplace_back(key);
  }
  // Keys of Loki that would change what happens: better refused than silently without effect.
  void refuse(std::initializer_list<const char*> keys) {
    for (const char* key : keys) {
      const YAML::Node value = take(key);
      if (!value || value.IsNull() || (!value.IsScalar() && value.size() == 0)) continue;
      if (value.IsScalar() && (value.Scalar().empty() || value.Scalar() == "false")) continue;
      fail(value, name(key) + " is not supported");
    }
  }
  void finish() {
    if (!node_ || !node_.IsMap()) return;
    for (const auto& entry : node_) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : std::string();
      if (std::find(seen_.begin(), seen_.end(), key) == seen_.end())
        fail(entry.first, "field " + key + " not found in " + path_);
    }
  }

 private:
  YAML::Node take(const char* key) {
    seen_.emplace_back(key);
    if (!node_ || !node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
    return node_[key];
  }
  std::string name(const char* key) const { return path_ + "." + key; }
  void fail(const YAML::Node& at, const std::string& message) {
    if (!status_.ok()) return;
    const YAML::Mark mark = at.IsDefined() ? at.Mark() : YAML::Mark::null_mark();
    status_ = base::invalid_argument(
        (mark.is_null() ? "" : "line " + std::to_string(mark.line + 1) + ": ") + message);
  }

  const YAML::Node node_;
  std::string path_;
  base::Status& status_;
  std::vector<std::string> seen_;
};

// A secret given as text or as the file that holds it.
base::Status secret(const std::string& file, std::string& out) {
  if (file.empty()) return {};
  SKALD_TRY_ASSIGN(std::string text, base::FileSystem::posix().read_file(file, 64U << 10));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  out = std::move(text);
  return {};
}

void read_alertmanager_client(Block& block, Target& target, base::Status& status) {
  std::string credentials_file;
  block.text("basic_auth_username", target.basic_user);
  block.text("basic_auth_password", target.basic_password);
  block.text("type", target.authorization_type);
  block.text("credentials", target.bearer_token);
  block.text("credentials_file", credentials_file);
  block.text("tls_ca_path", target.tls.ca_file);
  block.text("tls_cert_path", target.tls.cert_file);
  block.text("tls_key_path", target.tls.key_file);
  block.text("tls_server_name", target.tls.server_name);
  block.flag("tls_insecure_skip_verify", target.tls.insecure_skip_verify);
  block.ignore({"tls_cipher_suites", "tls_min_version"});
  if (status.ok()) status = secret(credentials_file, target.bearer_token);
}

void read_tls(Block& block, net::TlsOptions& tls) {
  block.text("ca_file", tls.ca_file);
  block.text("cert_file", tls.cert_file);
  block.text("key_file", tls.key_file);
  block.text("server_name", tls.server_name);
  block.flag("insecure_skip_verify", tls.insecure_skip_verify);
  block.ignore({"min_version"});
}

Target read_remote(const std::string& id, Block& block, base::Status& status) {
  Target target;
  target.name = id;
  target.timeout_ns = 30 * base::kNsPerSecond;
  std::string password_file, credentials_file, token_file;
  block.text("url", target.url);
  block.text("name", target.name);
  block.duration("remote_timeout", target.timeout_ns);
  block.pairs("headers", target.headers);
  block.text("bearer_token", target.bearer_token);
  block.text("bearer_token_file", token_file);
  block.block("basic_auth", [&](Block& b) {
    b.text("username", target.basic_user);
    b.text("password", target.basic_password);
    b.text("password_file", password_file);
  });
  block.block("authorization", [&](Block& b) {
    b.text("type", target.authorization_type);
    b.text("credentials", target.bearer_token);
    b.text("credentials_file", credentials_file);
  });
  block.block("tls_config", [&](Block& b) { read_tls(b, target.tls); });
  block.ignore({"queue_config", "metadata_config", "send_exemplars", "send_native_histograms",
                "follow_redirects", "enable_http2", "protobuf_message", "round_robin_dns"});
  block.refuse({"write_relabel_configs", "proxy_url", "sigv4", "azuread", "oauth2"});
  if (status.ok()) status = secret(password_file, target.basic_password);
  if (status.ok()) status = secret(credentials_file, target.bearer_token);
  if (status.ok()) status = secret(token_file, target.bearer_token);
  if (status.ok() && target.url.empty())
    status = base::invalid_argument("ruler.remote_write client " + id + " has no url");
  // The tenant is ours to say, as in Loki.
  std::erase_if(target.headers, [](const auto& header) {
    return gotext::to_lower(header.first) == "x-scope-orgid";
  });
  return target;
}

void read_remote_write(Block& block, RulerOptions& options, base::Status& status) {
  bool enabled = false;
  std::vector<Target> targets;
  block.flag("enabled", enabled);
  block.flag("add_org_id_header", options.add_org_id_header);
  block.ignore({"config_refresh_period"});
  block.block("client", [&](Block& b) { targets.push_back(read_remote("client", b, status)); });
  block.blocks("clients", [&](const std::string& id, Block& b) {
    targets.push_back(read_remote(id, b, status));
  });
  if (enabled && targets.empty() && status.ok())
    status = base::invalid_argument("remote-write enabled but no clients are configured");
  if (enabled) options.remote_write = std::move(targets);
}

// user:password@ in a URL are credentials, not part of what is logged.
base::Status take_user_info(Target& target) {
  auto url = net::parse_http_url(target.url);
  if (!url.ok()) return std::move(url).status().with_context(target.url);
  if (url->user_info.empty()) return {};
  const auto colon = url->user_info.find(':');
  if (target.basic_user.empty()) {
    target.basic_user = url->user_info.substr(0, colon);
    if (colon != std::string::npos) target.basic_password = url->user_info.substr(colon + 1);
  }
  target.url = std::string(url->tls ? "https://" : "http://") + url->authority() +
               (url->target == "/" ? "" : url->target);
  return {};
}

void read_block(Block& block, RulerOptions& options, base::Status& status) {
  std::string alertmanagers;
  Target client;
  block.text("external_url", options.external_url);
  block.text("datasource_uid", options.datasource_uid);
  block.labels("external_labels", options.external_labels);
  block.duration("evaluation_interval", options.evaluation_interval_ns);
  block.duration("poll_interval", options.poll_interval_ns);
  block.block("storage", [&](Block& b) {
    std::string type;
    b.text("type", type);
    b.block("local", [&](Block& local) { local.text("directory", options.rules_dir); });
    b.ignore({"s3", "gcs", "azure", "swift", "alibabacloud", "bos", "cos"});
    if (!type.empty() && type != "local" && status.ok())
      status = base::unsupported("ruler.storage.type " + type + ": rules lie in local files");
  });
  block.text("alertmanager_url", alertmanagers);
  block.count("notification_queue_capacity", options.notification_queue_capacity);
  block.duration("notification_timeout", client.timeout_ns);
  block.block("alertmanager_client",
              [&](Block& b) { read_alertmanager_client(b, client, status); });
  block.duration("for_outage_tolerance", options.for_outage_tolerance_ns);
  block.duration("for_grace_period", options.for_grace_period_ns);
  block.duration("resend_delay", options.resend_delay_ns);
  block.flag("enable_api", options.enable_api);
  block.block("remote_write", [&](Block& b) { read_remote_write(b, options, status); });
  block.duration("query_offset", options.query_offset_ns);
  block.duration("query_timeout", options.query_timeout_ns);
  block.duration("drain_timeout", options.drain_timeout_ns);
  block.flag("store_recorded_series", options.store_recorded);
  block.count("evaluation_threads", options.threads);
  block.ignore({"rule_path", "enable_alertmanager_v2", "alertmanager_refresh_interval",
                "ruler_client", "enable_sharding", "sharding_strategy", "sharding_algo",
                "search_pending_for", "ring", "flush_period", "query_stats_enabled",
                "disable_rule_group_label", "wal", "wal_cleaner", "evaluation"});
  block.refuse({"enable_alertmanager_discovery", "alert_relabel_configs", "enabled_tenants",
                "disabled_tenants"});
  for (const std::string_view part : gotext::split(alertmanagers, ",")) {
    const std::string_view url = gotext::trim_space(part);
    if (url.empty()) continue;
    Target target = client;
    target.url = url;
    options.alertmanagers.push_back(std::move(target));
  }
}

}  // namespace

base::Result<RulerOptions> read_ruler_options(std::string_view config_yaml,
                                              const std::string& data_dir) {
  RulerOptions options;
  options.data_dir = data_dir;
  base::Status status;
  try {
    const YAML::Node root = YAML::Load(std::string(config_yaml));
    const YAML::Node node = root.IsMap() ? root["ruler"] : YAML::Node(YAML::NodeType::Undefined);
    if (node && !node.IsNull()) {
      Block block(node, "ruler", status);
      if (status.ok()) read_block(block, options, status);
      block.finish();
    }
  } catch (const YAML::Exception& e) {
    return base::invalid_argument("configuration: " + std::string(e.what()));
  }
  if (!status.ok()) return std::move(status).with_context("configuration");
  while (!options.external_url.empty() && options.external_url.back() == '/')
    options.external_url.pop_back();
  if (options.evaluation_interval_ns < base::kNsPerMs)
    return base::invalid_argument("ruler.evaluation_interval must be at least 1ms");
  for (auto* targets : {&options.alertmanagers, &options.remote_write})
    for (Target& target : *targets) SKALD_TRY(take_user_info(target));
  return options;
}

}  // namespace skald::query::alert
