// scrape_configs[]: targets, relabelling and pipelines.

#include <algorithm>
#include <array>
#include <set>

#include "agent/label/glob.h"
#include "agent/parse/config_blocks.h"
#include "agent/parse/program.h"

namespace skald::agent {

namespace {

void read_relabel(const Node& node, std::string path, ReadState& state,
                  std::vector<RelabelConfig>& out) {
  MapReader body(node, std::move(path), state);
  RelabelConfig rule;
  rule.line = node.line;
  std::string action = "replace";
  body.strings("source_labels", rule.source_labels);
  body.string("separator", rule.separator);
  body.string("target_label", rule.target_label);
  body.string("regex", rule.regex);
  body.uint64("modulus", rule.modulus);
  body.string("replacement", rule.replacement);
  body.string("action", action);
  if (action.empty()) action = "replace";
  auto parsed = parse_relabel_action(action);
  if (!parsed.ok()) return body.fail("action", parsed.status().message());
  rule.action = *parsed;
  body.finish();
  if (!state.ok()) return;
  if (auto built = RelabelRule::create(rule); !built.ok()) {
    return body.fail("", built.status().message());
  }
  if (rule.replacement.empty() && body.has("regex") && body.raw("replacement") != nullptr &&
      rule.action == RelabelAction::kReplace && rule.regex.find('(') != std::string::npos) {
    body.warn("replacement",
              "is empty, so the label is removed; if ${1} stood here, -config.expand-env ate it: "
              "write $1 or $${1}");
  }
  out.push_back(std::move(rule));
}

void check_globs(MapReader& body, const model::Labels& labels) {
  for (const char* name : {"__path__", "__path_exclude__"}) {
    const std::string pattern(labels.get(name));
    if (pattern.empty()) continue;
    if (auto glob = Glob::compile(pattern); !glob.ok()) {
      body.fail("labels",
                std::string(name) + " `" + pattern + "`: " + std::string(glob.status().message()));
    }
    if (pattern.front() != '/') {
      body.warn("labels", std::string(name) + " `" + pattern +
                              "` is relative to the directory the agent is started in");
    }
  }
}

void read_file_sd(MapReader& body, FileSdConfig& out) {
  body.strings("files", out.files);
  body.long_duration("refresh_interval", out.refresh_interval_ns);
  if (out.files.empty()) body.fail("files", "is needed: a list of .json, .yml or .yaml files");
  for (const auto& file : out.files) {
    const bool known = file.ends_with(".json") || file.ends_with(".yml") || file.ends_with(".yaml");
    const std::string_view name = std::string_view(file).substr(file.rfind('/') + 1);
    const bool stars =
        file.find('*') < file.size() - name.size() || std::count(name.begin(), name.end(), '*') > 1;
    if (!known || stars) {
      body.fail("files", "`" + file +
                             "`: must end in .json, .yml or .yaml, and may hold one * in its last "
                             "path segment");
    }
  }
  body.finish();
}

// ---- Kubernetes

constexpr std::array<std::string_view, 7> kKnownPodMeta = {
    "__meta_kubernetes_namespace",
    "__meta_kubernetes_pod_name",
    "__meta_kubernetes_pod_uid",
    "__meta_kubernetes_pod_container_name",
    "__meta_kubernetes_pod_node_name",
    "__meta_kubernetes_pod_controller_kind",
    "__meta_kubernetes_pod_controller_name",
};

bool is_unknown_meta(const std::string& label) {
  return label.starts_with("__meta_kubernetes_") &&
         std::find(kKnownPodMeta.begin(), kKnownPodMeta.end(), label) == kKnownPodMeta.end();
}

// Without the API server pod labels, annotations and addresses are not known. Rules that only fill
// a label do without; rules that decide about targets must not guess.
void check_kubernetes_rules(MapReader& body, const TargetConfig& target) {
  std::string unset;
  for (const RelabelConfig& rule : target.relabel_configs) {
    const bool uses_unknown =
        std::any_of(rule.source_labels.begin(), rule.source_labels.end(), is_unknown_meta);
    const bool maps_unknown = rule.action == RelabelAction::kLabelMap &&
                              rule.regex.find("__meta_kubernetes_") != std::string::npos;
    if (!uses_unknown && !maps_unknown) continue;
    const bool only_unknown =
        std::all_of(rule.source_labels.begin(), rule.source_labels.end(), is_unknown_meta);
    if (rule.action != RelabelAction::kReplace && !maps_unknown) {
      body.state().fail(
          rule.line, body.path() + ".relabel_configs",
          "action " + std::string(relabel_action_name(rule.action)) + " decides on `" +
              rule.source_labels[0] +
              "`, which only the Kubernetes API server knows, and this agent does not ask it. "
              "Decide on namespace, pod name, container or controller name instead, or use a "
              "static_configs path such as /var/log/pods/<namespace>_*/*/*.log");
      return;
    }
    if (rule.target_label == "__path__") continue;  // the chart's rule for static pods
    std::string what = maps_unknown ? "labelmap " + rule.regex : "`" + rule.target_label + "`";
    if (!maps_unknown && !only_unknown) what += " (from its other sources)";
    unset += (unset.empty() ? "" : ", ") + what;
  }
  if (!unset.empty()) {
    body.warn("kubernetes_sd_configs",
              "pod labels, annotations and addresses are not known without the API server; "
              "affected: " +
                  unset);
  }
}

void read_kubernetes(MapReader& body, KubernetesSdConfig& out) {
  out.line = body.line();
  body.string("role", out.role);
  if (out.role != "pod") {
    body.fail("role", "`" + out.role +
                          "` needs the Kubernetes API server, which this agent does not ask; role "
                          "pod is served from the paths under /var/log/pods");
  }
  body.map("namespaces", [&](MapReader& namespaces) {
    bool own = false;
    namespaces.strings("names", out.namespaces);
    namespaces.boolean("own_namespace", own);
    if (own) {
      namespaces.fail("own_namespace", "not supported; name the namespace in namespaces.names");
    }
    namespaces.finish();
  });
  body.refuse("selectors",
              "label and field selectors need the API server; use namespaces.names, or "
              "relabel_configs with keep on pod name, container or controller name");
  static constexpr std::string_view kNoServer =
      "accepted, no effect: the API server is not asked, pods are found under /var/log/pods";
  body.accept("api_server", kNoServer);
  body.accept("kubeconfig_file", kNoServer);
  body.accept("attach_metadata", "accepted, no effect: node labels need the API server");
  for (std::string_view key :
       {"basic_auth", "authorization", "bearer_token", "bearer_token_file", "oauth2", "tls_config",
        "proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header",
        "follow_redirects", "enable_http2", "http_headers"}) {
    body.accept(key);
  }
  body.string("pods_directory", out.pods_directory);  // extension, for mounts elsewhere
  while (out.pods_directory.size() > 1 && out.pods_directory.ends_with('/')) {
    out.pods_directory.pop_back();
  }
  body.finish();
}

// ---- targets beyond files

void read_push_api(MapReader& body, PushApiConfig& out) {
  if (!body.has("server")) {
    body.fail("server", "is needed: the receiver has its own http_listen_port");
  }
  body.map("server", [&](MapReader& server) { read_server(server, out.server); });
  body.labels("labels", out.labels);
  body.boolean("use_incoming_timestamp", out.use_incoming_timestamp);
  body.finish();
}

// As Promtail: a ca_file makes every client show a certificate of that authority.
void read_syslog_tls(MapReader& body, ServerTlsConfig& out) {
  body.string("ca_file", out.client_ca_file);
  body.accept("server_name");
  body.accept("insecure_skip_verify");
  body.accept("min_version");
  read_server_tls(body, out);
  if (out.cert_file.empty() != out.key_file.empty())
    body.fail("", "needs both cert_file and key_file");
  if (out.cert_file.empty() && !out.client_ca_file.empty()) {
    body.fail("", "needs cert_file and key_file beside ca_file");
  }
  if (out.client_auth_type.empty()) return;
  if (out.client_auth_type != "RequireAndVerifyClientCert" &&
      out.client_auth_type != "VerifyClientCertIfGiven") {
    body.fail("client_auth_type", "`" + out.client_auth_type +
                                      "` is neither RequireAndVerifyClientCert nor "
                                      "VerifyClientCertIfGiven");
  }
}

void read_syslog(MapReader& body, SyslogConfig& out) {
  body.string("listen_address", out.listen_address);
  body.string("listen_protocol", out.listen_protocol);
  body.duration("idle_timeout", out.idle_timeout_ns);
  body.boolean("label_structured_data", out.label_structured_data);
  body.labels("labels", out.labels);
  body.boolean("use_incoming_timestamp", out.use_incoming_timestamp);
  body.boolean("use_rfc5424_message", out.use_rfc5424_message);
  std::string format = "rfc5424";
  body.string("syslog_format", format);
  out.rfc3164 = format == "rfc3164";
  if (!out.rfc3164 && format != "rfc5424") {
    body.fail("syslog_format", "`" + format + "` is neither rfc5424 nor rfc3164");
  }
  body.bytes("max_message_length", out.max_message_length);
  body.map("tls_config", [&](MapReader& tls) { read_syslog_tls(tls, out.tls); });
  if (out.listen_address.empty()) body.fail("listen_address", "is needed: 0.0.0.0:1514");
  if (!out.tls.cert_file.empty() && out.listen_protocol != "tcp") {
    body.fail("tls_config", "is for listen_protocol tcp");
  }
  if (out.max_message_length == 0) body.fail("max_message_length", "must be greater than 0");
  if (out.listen_protocol != "tcp" && out.listen_protocol != "udp") {
    body.fail("listen_protocol", "`" + out.listen_protocol + "` is neither tcp nor udp");
  }
  body.finish();
}

void read_journal(MapReader& body, JournalConfig& out) {
  body.string("path", out.path);
  body.duration("max_age", out.max_age_ns);
  std::string matches;
  body.string("matches", matches);
  for (std::size_t start = 0; start < matches.size();) {
    const std::size_t end = std::min(matches.find(' ', start), matches.size());
    const std::string match = matches.substr(start, end - start);
    start = end + 1;
    if (match.empty()) continue;
    if (match.find('=') == std::string::npos) {
      body.fail("matches", "`" + match + "` is not FIELD=value (`+` is not supported)");
    }
    out.matches.push_back(match);
  }
  body.boolean("json", out.json);
  body.labels("labels", out.labels);
  body.finish();
}

constexpr std::pair<std::string_view, std::string_view> kRefusedTargets[] = {
    {"docker_sd_configs",
     "tail the files instead: __path__: /var/lib/docker/containers/*/*-json.log with a docker "
     "stage"},
    {"gelf", "let the sender write JSON lines to a file, or keep Promtail or Alloy for GELF"},
    {"windows_events", "this agent runs on Linux"},
    {"kafka", "use a Kafka consumer that pushes to the store's Loki endpoint"},
    {"gcplog", "push from Google Cloud with a Pub/Sub subscriber to the store's Loki endpoint"},
    {"azure_event_hubs", "keep Promtail or Alloy for it; the store takes their pushes"},
    {"cloudflare", "keep Promtail or Alloy for it; the store takes their pushes"},
    {"heroku_drain", "keep Promtail or Alloy for it; the store takes their pushes"},
};
constexpr std::string_view kRefusedDiscovery[] = {
    "dns_sd_configs",       "consul_sd_configs",       "consulagent_sd_configs",
    "ec2_sd_configs",       "gce_sd_configs",          "azure_sd_configs",
    "openstack_sd_configs", "digitalocean_sd_configs", "dockerswarm_sd_configs",
    "marathon_sd_configs",  "nerve_sd_configs",        "serverset_sd_configs",
    "triton_sd_configs"};

void read_encoding(MapReader& body, ScrapeConfig& out) {
  std::string name;
  body.string("encoding", name);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  static constexpr std::pair<std::string_view, TextEncoding> kNames[] = {
      {"", TextEncoding::kUtf8},
      {"utf-8", TextEncoding::kUtf8},
      {"utf8", TextEncoding::kUtf8},
      {"us-ascii", TextEncoding::kUtf8},
      {"iso-8859-1", TextEncoding::kLatin1},
      {"latin1", TextEncoding::kLatin1},
      {"utf-16", TextEncoding::kUtf16},
      {"utf-16le", TextEncoding::kUtf16Le},
      {"utf-16be", TextEncoding::kUtf16Be}};
  for (const auto& [known, encoding] : kNames) {
    if (name != known) continue;
    out.encoding = encoding;
    return;
  }
  body.fail("encoding", "`" + name +
                            "` is not supported; UTF-8, ISO-8859-1, UTF-16, UTF-16LE and UTF-16BE "
                            "are: let the program write one of these, or run iconv before");
}

void read_decompression(MapReader& body, DecompressionConfig& out) {
  static constexpr std::pair<std::string_view, ArchiveFormat> kNames[] = {
      {"gz", ArchiveFormat::kGzip},
      {"z", ArchiveFormat::kZlib},
      {"bz2", ArchiveFormat::kBzip2},
      {"zst", ArchiveFormat::kZstd}};  // Promtail has no such format
  std::string format;
  body.boolean("enabled", out.enabled);
  body.duration("initial_delay", out.initial_delay_ns);
  body.string("format", format);
  const auto* const known = std::find_if(std::begin(kNames), std::end(kNames),
                                         [&](const auto& name) { return name.first == format; });
  if (known != std::end(kNames))
    out.format = known->second;
  else if (out.enabled || !format.empty())
    body.fail("format", "`" + format + "` is not supported: gz, z, bz2 and zst are");
  body.finish();
}

void read_other_targets(MapReader& body, const LoadOptions& options, ScrapeConfig& out) {
  static constexpr std::string_view kNotServed = "this build of the agent does not serve it; ";
  if (body.has("loki_push_api")) {
    if (!options.serves_push_api) {
      body.refuse("loki_push_api",
                  std::string(kNotServed) + "let the clients push to the store itself");
    }
    body.map("loki_push_api",
             [&](MapReader& push) { read_push_api(push, out.push_api.emplace()); });
  }
  if (body.has("syslog")) {
    if (!options.serves_syslog) {
      body.refuse("syslog", std::string(kNotServed) + "let rsyslog write a file and tail it");
    }
    body.map("syslog", [&](MapReader& syslog) { read_syslog(syslog, out.syslog.emplace()); });
  }
  if (body.has("journal")) {
    if (!options.serves_journal) {
      body.refuse("journal",
                  std::string(kNotServed) +
                      "have `journalctl -f -o json >> file` (or rsyslog's imjournal) write a file "
                      "and tail it");
    }
    body.map("journal", [&](MapReader& journal) { read_journal(journal, out.journal.emplace()); });
  }
  for (const auto& [key, way_out] : kRefusedTargets) body.refuse(key, way_out);
  for (const auto key : kRefusedDiscovery) {
    body.refuse(key,
                "name the files in static_configs, or write target groups to a file for "
                "file_sd_configs");
  }
}

void read_targets(MapReader& body, TargetConfig& target) {
  body.each("static_configs", [&](const Node& node, std::string path) {
    MapReader group(node, std::move(path), body.state());
    read_target_group(group, target.static_configs.emplace_back());
    check_globs(group, target.static_configs.back().labels);
  });
  body.each("file_sd_configs", [&](const Node& node, std::string path) {
    MapReader sd(node, std::move(path), body.state());
    read_file_sd(sd, target.file_sd_configs.emplace_back());
  });
  body.each("kubernetes_sd_configs", [&](const Node& node, std::string path) {
    MapReader sd(node, std::move(path), body.state());
    read_kubernetes(sd, target.kubernetes_sd_configs.emplace_back());
  });
  body.each("relabel_configs", [&](const Node& node, std::string path) {
    read_relabel(node, std::move(path), body.state(), target.relabel_configs);
  });
  std::string path_labels;
  body.string("path_labels", path_labels);
  target.kubernetes_path_labels = path_labels == "kubernetes";
  if (!path_labels.empty() && !target.kubernetes_path_labels) {
    body.fail("path_labels", "`" + path_labels + "`: only `kubernetes` is known");
  }
}

void check_target_kinds(MapReader& body, const ScrapeConfig& scrape) {
  const TargetConfig& target = scrape.target;
  const bool files = !target.static_configs.empty() || !target.file_sd_configs.empty() ||
                     !target.kubernetes_sd_configs.empty();
  const int others = (scrape.push_api ? 1 : 0) + (scrape.syslog ? 1 : 0) + (scrape.journal ? 1 : 0);
  if (!files && others == 0) {
    body.fail("", "job `" + scrape.job_name() +
                      "` names no targets: static_configs, file_sd_configs or "
                      "kubernetes_sd_configs is needed");
  }
  if (others > 1 || (files && others > 0)) {
    body.fail("", "job `" + scrape.job_name() +
                      "` names several kinds of targets; give each a scrape config of its own");
  }
  if (!target.kubernetes_sd_configs.empty()) check_kubernetes_rules(body, target);
  const bool may_set_path =
      std::any_of(target.relabel_configs.begin(), target.relabel_configs.end(),
                  [](const RelabelConfig& rule) { return rule.target_label == "__path__"; });
  for (const TargetGroup& group : target.static_configs) {
    if (!group.labels.has("__path__") && !may_set_path) {
      body.state().warn(group.line, body.path() + ".static_configs",
                        "has no __path__ label, so nothing is tailed for it");
    }
  }
}

void read_scrape(const Node& node, std::string path, ReadState& state, const LoadOptions& options,
                 StageMetrics& metrics, ScrapeConfig& out) {
  MapReader body(node, std::move(path), state);
  out.line = node.line;
  body.string("job_name", out.target.job_name);
  if (out.target.job_name.empty()) body.fail("job_name", "is needed, and must be unique");
  read_targets(body, out.target);
  read_other_targets(body, options, out);
  read_encoding(body, out);
  body.map("decompression", [&](MapReader& decompression) {
    read_decompression(decompression, out.decompression);
    if (out.decompression.enabled && out.encoding != TextEncoding::kUtf8) {
      decompression.fail("enabled",
                         "reads UTF-8 only: leave out `encoding`, or unpack the files "
                         "and tail them");
    }
  });
  body.accept("limits_config", "belongs to the top level; it has no effect here");
  if (const Node* stages = body.raw("pipeline_stages")) out.pipeline_stages = *stages;
  body.finish();
  if (!state.ok()) return;
  check_target_kinds(body, out);
  build_program(out.pipeline_stages, body.path() + ".pipeline_stages", state, metrics, 1);
}

}  // namespace

void read_target_group(MapReader& body, TargetGroup& out) {
  out.line = body.line();
  body.strings("targets", out.targets);
  body.labels("labels", out.labels);
  body.finish();
}

void read_scrape_configs(MapReader& top, const LoadOptions& options, AgentConfig& out) {
  StageMetrics metrics;  // one for all: two jobs must not define a metric differently
  top.each("scrape_configs", [&](const Node& node, std::string path) {
    read_scrape(node, std::move(path), top.state(), options, metrics,
                out.scrape_configs.emplace_back());
  });
  // Anything but a list of whole relabel rules was refused above; now what spans jobs.
  std::set<std::string> names;
  for (const ScrapeConfig& scrape : out.scrape_configs) {
    if (!names.insert(scrape.job_name()).second) {
      top.state().fail(scrape.line, "scrape_configs",
                       "job_name `" + scrape.job_name() + "` is used twice");
    }
  }
  if (out.scrape_configs.empty() && top.state().ok()) {
    top.state().warn(0, "scrape_configs", "there are none, so nothing is tailed");
  }
}

base::Result<std::vector<TargetGroup>> parse_target_groups(std::string_view text,
                                                           std::string_view file) {
  SKALD_TRY_ASSIGN(const Node document, parse_yaml(text, file));  // JSON is YAML
  ReadState state;
  state.file = file;
  std::vector<TargetGroup> groups;
  if (!document.is_sequence() && !document.is_null()) {
    state.fail(document.line, "", "a list of target groups is expected");
  }
  for (std::size_t i = 0; i < document.items.size(); ++i) {
    MapReader body(document.items[i], "[" + std::to_string(i) + "]", state);
    read_target_group(body, groups.emplace_back());
  }
  if (!state.ok()) return state.status;
  return groups;
}

}  // namespace skald::agent
