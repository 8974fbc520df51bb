#include "agent/command_line.h"

#include <array>
#include <charconv>
#include <functional>
#include <map>

#include "proto/net/http_client.h"

namespace skald::agent {
namespace {

// Flags without a value; every other one takes the next argument if it has no '='.
constexpr std::array<std::string_view, 22> kSwitches = {
    "config.expand-env",
    "expand-env",
    "check-syntax",
    "dry-run",
    "stdin",
    "inspect",
    "version",
    "help",
    "h",
    "explain",
    "print-config-stderr",
    "log-config-reverse-order",
    "client.drop-rate-limited-batches",
    "positions.ignore-invalid-yaml",
    "limit.readline-rate-enabled",
    "limit.readline-rate-drop",
    "max-line-size-truncate",
    "server.disable",
    "server.enable-runtime-reload",
    "server.register-instrumentation",
    "server.profiling-enabled",
    "server.health-check-target",
};

bool is_switch(std::string_view name) {
  for (const std::string_view known : kSwitches)
    if (known == name) return true;
  return false;
}

base::Result<bool> parse_bool(const std::string& name, const std::string& value) {
  for (const std::string_view yes : {"true", "1", "t", "T", "TRUE", "True"})
    if (value == yes) return true;
  for (const std::string_view no : {"false", "0", "f", "F", "FALSE", "False"})
    if (value == no) return false;
  return base::invalid_argument("flag -" + name + ": '" + value + "' is not true or false");
}

template <typename T>
base::Status set_number(const std::string& name, const std::string& text, T& out) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return base::invalid_argument("flag -" + name + ": '" + text + "' is not a number");
  out = value;
  return {};
}

base::Status set_duration(const std::string& name, const std::string& text, std::int64_t& out) {
  auto value = parse_go_duration_ns(text);
  if (!value.ok()) return std::move(value).status().with_context("flag -" + name);
  out = *value;
  return {};
}

// "a=1,b=2" or {a="1", b="2"}
base::Result<model::Labels> parse_label_flag(const std::string& name, std::string_view text) {
  if (text.starts_with('{')) return model::parse_labels(text);
  std::vector<model::Labels::Pair> pairs;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view pair = text.substr(0, comma);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return base::invalid_argument("flag -" + name + ": wants name=value,name=value");
    pairs.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return model::Labels::from_pairs(std::move(pairs));
}

base::Status set_switch(CommandLine& line, const std::string& name, bool value, bool& taken) {
  const std::map<std::string_view, bool*> targets = {{"config.expand-env", &line.expand_env},
                                                     {"expand-env", &line.expand_env},
                                                     {"check-syntax", &line.check_syntax},
                                                     {"dry-run", &line.dry_run},
                                                     {"stdin", &line.stdin_input},
                                                     {"inspect", &line.inspect},
                                                     {"version", &line.version},
                                                     {"help", &line.help},
                                                     {"h", &line.help},
                                                     {"explain", &line.explain},
                                                     {"print-config-stderr", &line.print_config}};
  const auto it = targets.find(name);
  taken = it != targets.end();
  if (taken) *it->second = value;
  return {};
}

using Setter = std::function<base::Status(AgentConfig&, ClientConfig&, const std::string& name,
                                          const std::string& value)>;

#define SETTER(body)                                                                               \
  [](AgentConfig& config, ClientConfig& client, const std::string& name,                           \
     const std::string& value) -> base::Status {                                                   \
    static_cast<void>(config), static_cast<void>(client), static_cast<void>(name);                 \
    body                                                                                           \
  }
#define SET_BOOL(target)                                                                           \
  SETTER({                                                                                         \
    SKALD_TRY_ASSIGN(target, parse_bool(name, value));                                             \
    return {};                                                                                     \
  })
#define SET_DURATION(target) SETTER({ return set_duration(name, value, target); })
#define SET_NUMBER(target) SETTER({ return set_number(name, value, target); })
#define SET_TEXT(target)                                                                           \
  SETTER({                                                                                         \
    target = value;                                                                                \
    return {};                                                                                     \
  })

const std::map<std::string_view, Setter>& setters() {
  static const std::map<std::string_view, Setter> table = {
      {"client.url", SET_TEXT(client.url)},
      {"client.tenant-id", SET_TEXT(client.tenant_id)},
      {"client.batch-wait", SET_DURATION(client.batchwait_ns)},
      {"client.batch-size-bytes", SET_NUMBER(client.batchsize)},
      {"client.timeout", SET_DURATION(client.timeout_ns)},
      {"client.min-backoff", SET_DURATION(client.backoff.min_period_ns)},
      {"client.max-backoff", SET_DURATION(client.backoff.max_period_ns)},
      {"client.max-retries", SET_NUMBER(client.backoff.max_retries)},
      {"client.drop-rate-limited-batches", SET_BOOL(client.drop_rate_limited_batches)},
      {"positions.file", SET_TEXT(config.positions.filename)},
      {"positions.sync-period", SET_DURATION(config.positions.sync_period_ns)},
      {"positions.ignore-invalid-yaml", SET_BOOL(config.positions.ignore_invalid_yaml)},
      {"target.sync-period", SET_DURATION(config.target_config.sync_period_ns)},
      {"file-watch.min_poll_frequency", SET_DURATION(config.file_watch.min_poll_ns)},
      {"file-watch.max_poll_frequency", SET_DURATION(config.file_watch.max_poll_ns)},
      {"file-watch.min-poll-frequency", SET_DURATION(config.file_watch.min_poll_ns)},
      {"file-watch.max-poll-frequency", SET_DURATION(config.file_watch.max_poll_ns)},
      {"limit.readline-rate-enabled", SET_BOOL(config.limits_config.readline_rate_enabled)},
      {"limit.readline-rate", SET_NUMBER(config.limits_config.readline_rate)},
      {"limit.readline-burst", SET_NUMBER(config.limits_config.readline_burst)},
      {"limit.readline-rate-drop", SET_BOOL(config.limits_config.readline_rate_drop)},
      {"max-streams", SET_NUMBER(config.limits_config.max_streams)},
      {"max-line-size", SET_NUMBER(config.limits_config.max_line_size)},
      {"max-line-size-truncate", SET_BOOL(config.limits_config.max_line_size_truncate)},
      {"log.level", SET_TEXT(config.server.log_level)},
      {"log.format", SET_TEXT(config.server.log_format)},
      {"server.http-listen-port", SET_NUMBER(config.server.http_listen_port)},
      {"server.http-listen-address", SET_TEXT(config.server.http_listen_address)},
      {"server.path-prefix", SET_TEXT(config.server.http_path_prefix)},
      {"server.disable", SET_BOOL(config.server.disable)},
      {"server.enable-runtime-reload", SET_BOOL(config.server.enable_runtime_reload)},
      {"server.health-check-target", SET_BOOL(config.server.health_check_target)},
      {"server.graceful-shutdown-timeout",
       SET_DURATION(config.server.graceful_shutdown_timeout_ns)},
  };
  return table;
}

base::Result<std::string> read_value(const std::string& name, int argc, const char* const* argv,
                                     int& i) {
  if (i + 1 >= argc) return base::invalid_argument("flag -" + name + " needs a value");
  return std::string(argv[++i]);
}

}  // namespace

base::Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument.size() < 2 || argument[0] != '-')
      return base::invalid_argument("unexpected argument '" + std::string(argument) + "'");
    argument.remove_prefix(argument[1] == '-' ? 2 : 1);
    const std::size_t equals = argument.find('=');
    const std::string name(argument.substr(0, equals));
    std::string value;
    if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (is_switch(name)) {
      value = "true";
    } else {
      SKALD_TRY_ASSIGN(value, read_value(name, argc, argv, i));
    }
    bool taken = false;
    if (is_switch(name)) {
      SKALD_TRY_ASSIGN(const bool on, parse_bool(name, value));
      SKALD_TRY(set_switch(line, name, on, taken));
      if (name == "log-config-reverse-order") taken = true;
    }
    if (taken) continue;
    if (name == "config.file" || name == "config") {
      line.config_file = value;
      continue;
    }
    const bool known = setters().contains(name) || name == "client.external-labels" ||
                       name == "client.external-label" || name.starts_with("server.");
    if (!known) return base::invalid_argument("unknown flag -" + name + "; -help lists them");
    line.settings.emplace_back(name, value);
  }
  return line;
}

base::Status apply_settings(const CommandLine& line, AgentConfig& config) {
  ClientConfig client;
  model::Labels external;
  for (const auto& [name, value] : line.settings) {
    if (name == "client.external-labels" || name == "client.external-label") {
      SKALD_TRY_ASSIGN(const model::Labels labels, parse_label_flag(name, value));
      for (const auto& [label, text] : labels) external.set(label, text);
      continue;
    }
    const auto it = setters().find(name);
    if (it == setters().end()) continue;  // a server.* flag without effect
    SKALD_TRY(it->second(config, client, name, value));
  }
  if (!client.url.empty()) {
    auto parsed = net::parse_http_url(client.url);
    if (!parsed.ok()) return std::move(parsed).status().with_context("flag -client.url");
    client.name = "flags";
    config.clients.insert(config.clients.begin(), std::move(client));
  }
  for (ClientConfig& each : config.clients)
    for (const auto& [label, text] : external)
      if (!each.external_labels.has(label)) each.external_labels.set(label, text);
  return {};
}

std::string usage() {
  std::string text =
      "skald-agent --config promtail.yaml [--expand-env]\n"
      "  -config.file FILE[,FILE]  configuration; the first file that exists\n"
      "  -config.expand-env        replace ${VAR} in it first\n"
      "  -check-syntax             build everything the configuration names, then exit\n"
      "  -explain                  say in plain words what it will do, then exit\n"
      "  -dry-run                  print entries instead of sending them; no positions written\n"
      "  -stdin                    read standard input instead of files, exit at its end\n"
      "  -inspect                  show what each stage does, on standard error\n"
      "  -print-config-stderr      print the effective configuration\n"
      "  -version, -help\n"
      "The rest are Promtail's, with single or double dash:\n";
  for (const auto& [name, setter] : setters()) text += "  -" + std::string(name) + "\n";
  text += "  -client.external-labels name=value,...\n  -server.* (others are accepted)\n";
  return text;
}

}  // namespace skald::agent
