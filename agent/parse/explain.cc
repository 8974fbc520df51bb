// explain(): the configuration in plain words; and -inspect's diff.

#include <set>

#include "agent/parse/config.h"
#include "agent/parse/pipeline.h"
#include "agent/parse/program.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/time_layout.h"

namespace skald::agent {

namespace {

std::string duration(std::int64_t ns) { return gotext::format_duration(ns); }

std::string label_list(const model::Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (name.starts_with("__")) continue;
    out += (out.empty() ? "" : ", ") + name + "=\"" + value + "\"";
  }
  return out.empty() ? "none" : out;
}

void explain_rule(const RelabelConfig& rule, std::string& out) {
  std::string sources;
  for (const auto& source : rule.source_labels) {
    sources += (sources.empty() ? "" : rule.separator) + source;
  }
  if (sources.empty()) sources = "(nothing)";
  const std::string action(relabel_action_name(rule.action));
  out += "    - ";
  switch (rule.action) {
    case RelabelAction::kReplace:
      out += "set `" + rule.target_label + "` from " + sources +
             (rule.regex == "(.*)" ? "" : " where it matches /" + rule.regex + "/") +
             (rule.replacement == "$1" ? "" : ", as \"" + rule.replacement + "\"");
      break;
    case RelabelAction::kKeep:
    case RelabelAction::kDrop:
      out += action + " only targets whose " + sources + " matches /" + rule.regex + "/";
      break;
    case RelabelAction::kHashMod:
      out += "set `" + rule.target_label + "` to hash(" + sources + ") mod " +
             std::to_string(rule.modulus);
      break;
    default:
      out += action + " " +
             (rule.target_label.empty() ? "/" + rule.regex + "/" : rule.target_label) +
             (rule.source_labels.empty() ? "" : " with " + sources);
  }
  out += "\n";
}

void explain_scrape(const ScrapeConfig& scrape, std::string& out) {
  const TargetConfig& target = scrape.target;
  out += "Job `" + scrape.job_name() + "`:\n";
  for (const TargetGroup& group : target.static_configs) {
    const std::string path(group.labels.get("__path__"));
    out += "  tails " + (path.empty() ? "what relabelling names" : path);
    if (group.labels.has("__path_exclude__")) {
      out += " but not " + std::string(group.labels.get("__path_exclude__"));
    }
    out += "; labels: " + label_list(group.labels) + ", filename\n";
    if (group.labels.has("__host__")) {
      out += "    only on the host " + std::string(group.labels.get("__host__")) + "\n";
    }
  }
  for (const FileSdConfig& sd : target.file_sd_configs) {
    for (const auto& file : sd.files) out += "  takes target groups from " + file + "\n";
  }
  for (const KubernetesSdConfig& sd : target.kubernetes_sd_configs) {
    out += "  tails the containers of this node under " + sd.pods_directory;
    for (const auto& name : sd.namespaces) out += " (namespace " + name + ")";
    out +=
        "; namespace, pod, uid and container come from the path, the controller is read off the "
        "pod's name, the API server is not asked\n";
  }
  if (scrape.push_api) {
    out += "  receives pushes on port " + std::to_string(scrape.push_api->server.http_listen_port) +
           "\n";
  }
  if (scrape.syslog) {
    out += "  receives syslog on " + scrape.syslog->listen_protocol + " " +
           scrape.syslog->listen_address + "\n";
  }
  if (scrape.journal) {
    out += "  reads the systemd journal" +
           (scrape.journal->path.empty() ? "" : " in " + scrape.journal->path) +
           ", at first the last " + duration(scrape.journal->max_age_ns) + "\n";
  }
  if (scrape.decompression.enabled) {
    out += "  the files are compressed archives: each is unpacked and read once\n";
  }
  if (target.kubernetes_path_labels) {
    out += "  adds namespace, pod and container from Kubernetes log paths\n";
  }
  if (!target.relabel_configs.empty()) out += "  relabels its targets:\n";
  for (const RelabelConfig& rule : target.relabel_configs) explain_rule(rule, out);
  StageMetrics metrics;
  ReadState state;
  const Program program =
      build_program(scrape.pipeline_stages, "pipeline_stages", state, metrics, 1);
  if (program.stages.empty()) {
    out += "  sends each line as it is, with the time of reading\n";
    return;
  }
  out += "  each line goes through:\n";
  const std::string steps = program.describe();
  for (std::size_t start = 0; start < steps.size();) {
    const std::size_t end = steps.find('\n', start);
    out += "    " + steps.substr(start, end - start) + "\n";
    start = end + 1;
  }
}

void explain_client(const ClientConfig& client, std::string& out) {
  out += "Sends to " + client.url;
  if (!client.tenant_id.empty()) out += " as tenant " + client.tenant_id;
  out += ": a batch every " + duration(client.batchwait_ns) + " or " +
         std::to_string(client.batchsize) + " bytes; retries after " +
         duration(client.backoff.min_period_ns) + " to " + duration(client.backoff.max_period_ns) +
         "\n";
  if (!client.external_labels.empty()) {
    out += "  adds the labels " + label_list(client.external_labels) + " where they are absent\n";
  }
  if (client.basic_auth) out += "  with user name and password\n";
  if (client.authorization) out += "  with a token\n";
  if (client.tls.insecure_skip_verify) out += "  WITHOUT checking the server's certificate\n";
}

}  // namespace

std::string explain(const AgentConfig& config) {
  std::string out;
  for (const ScrapeConfig& scrape : config.scrape_configs) explain_scrape(scrape, out);
  for (const ClientConfig& client : config.clients) explain_client(client, out);
  out += "Remembers how far it got in " + config.positions.filename +
         "; positions advance when the store has acknowledged.\n";
  if (!config.skald.spill_dir.empty()) {
    out += "Files that rotate away keep a second name in " + config.skald.spill_dir +
           " until they are acknowledged.\n";
  }
  const LimitsConfig& limits = config.limits_config;
  if (limits.readline_rate_enabled) {
    out += "At most " + std::to_string(static_cast<long long>(limits.readline_rate)) +
           " lines a second" +
           (limits.readline_rate_drop ? "; the rest is dropped (counted)\n" : "; reading waits\n");
  }
  if (limits.max_line_size > 0) {
    out += "Lines over " + std::to_string(limits.max_line_size) + " bytes are " +
           (limits.max_line_size_truncate ? "cut" : "dropped (counted)") + ".\n";
  }
  if (config.skald.label_policy.values_max > 0) {
    out += "A label with more than " + std::to_string(config.skald.label_policy.values_max) +
           " values goes to structured metadata from then on.\n";
  }
  if (config.server.disable) {
    out += "Opens no port.\n";
  } else {
    out += "Answers /ready, /metrics and /targets on port " +
           std::to_string(config.server.http_listen_port) + ".\n";
  }
  for (const auto& warning : config.warnings) out += "Note: " + warning + "\n";
  return out;
}

namespace {

void diff_labels(std::string_view what, const model::Labels& before, const model::Labels& after,
                 std::string& out, std::string_view red, std::string_view green,
                 std::string_view end) {
  std::set<std::string> names;
  for (const auto& pair : before) names.insert(pair.first);
  for (const auto& pair : after) names.insert(pair.first);
  for (const auto& name : names) {
    const auto old_value = before.get(name);
    const auto new_value = after.get(name);
    if (old_value == new_value && before.has(name) == after.has(name)) continue;
    out.append(what).append("[\"").append(name).append("\"]:\n");
    if (before.has(name))
      out.append(red).append("\t-: ").append(old_value).append(end).append("\n");
    if (after.has(name)) {
      out.append(green).append("\t+: ").append(new_value).append(end).append("\n");
    }
  }
}

}  // namespace

std::string format_stage_diff(std::string_view stage_name, const StageInspector::Snapshot& before,
                              const StageInspector::Snapshot& after, std::string_view outcome,
                              bool color) {
  const std::string_view red = color ? "\x1b[31m" : "";
  const std::string_view green = color ? "\x1b[32m" : "";
  const std::string_view end = color ? "\x1b[0m" : "";
  std::string out = "[inspect: " + std::string(stage_name) + " stage]:";
  if (!outcome.empty()) out += " " + std::string(outcome);
  std::string changes;
  diff_labels("Extracted", before.extracted, after.extracted, changes, red, green, end);
  diff_labels("Labels", before.labels, after.labels, changes, red, green, end);
  diff_labels("StructuredMetadata", before.metadata, after.metadata, changes, red, green, end);
  const auto one = [&](std::string_view what, const std::string& was, const std::string& is) {
    if (was == is) return;
    changes.append(what).append(":\n");
    changes.append(red).append("\t-: ").append(was).append(end).append("\n");
    changes.append(green).append("\t+: ").append(is).append(end).append("\n");
  };
  one("Timestamp", gotext::format_rfc3339_nano(before.timestamp_ns),
      gotext::format_rfc3339_nano(after.timestamp_ns));
  one("Line", before.line, after.line);
  if (changes.empty()) return out + (outcome.empty() ? " none\n" : "\n");
  return out + "\n" + changes;
}

}  // namespace skald::agent
