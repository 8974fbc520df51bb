// skald-agent: flags, configuration, signals. Everything else is in agent.h and below.

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>

#include "agent/agent.h"
#include "agent/command_line.h"
#include "agent/dry_run.h"
#include "agent/http_surface.h"
#include "agent/journal_api.h"
#include "agent/limits.h"
#include "agent/log.h"
#include "agent/memory.h"
#include "proto/base/fs.h"

namespace skald::agent {
namespace {

// When pages are given back: once what starting needs has run, and now and then.
constexpr timespec kDropAfterStart{0, 500'000'000};
constexpr timespec kDropPeriod{300, 0};

int fail(const base::Status& status) {
  const std::string text = "skald-agent: " + std::string(status.message()) + "\n";
  std::fputs(text.c_str(), stderr);
  return 1;
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// The first file of the comma list that exists.
base::Result<std::pair<std::string, std::string>> read_config(const std::string& files) {
  std::string_view rest = files;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string file(rest.substr(0, comma));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    auto text = base::FileSystem::posix().read_file(file, kConfigBytesMax);
    if (text.ok()) return std::make_pair(file, std::move(text).value());
    if (text.status().code() != base::Code::kNotFound || rest.empty())
      return std::move(text).status().with_context("configuration");
  }
  return base::invalid_argument("no configuration: give --config FILE (-help lists the flags)");
}

base::Result<AgentConfig> load(const CommandLine& line, std::string* text_out = nullptr) {
  SKALD_TRY_ASSIGN(auto file, read_config(line.config_file));
  std::vector<std::string> warnings;
  if (line.expand_env) {
    SKALD_TRY_ASSIGN(
        file.second,
        expand_env(
            file.second, [](const char* name) -> const char* { return std::getenv(name); },
            warnings));
  }
  LoadOptions options;
  options.serves_push_api = true;
  options.serves_syslog = true;
  // libsystemd is loaded only for who wants it.
  options.serves_journal =
      file.second.find("journal:") != std::string::npos && has_system_journal();
  options.require_clients = false;
  SKALD_TRY_ASSIGN(AgentConfig config, load_config(file.second, file.first, options));
  SKALD_TRY(apply_settings(line, config));
  if (config.clients.empty() && !line.dry_run)
    return base::invalid_argument(file.first +
                                  ": no client: add `clients:` with a url, or -client.url");
  if (config.clients.empty()) config.clients.emplace_back();
  if (text_out != nullptr) *text_out = file.second;
  for (const std::string& warning : warnings) config.warnings.push_back(warning);
  return config;
}

model::Labels stdin_labels() {
  char name[256] = "localhost";
  ::gethostname(name, sizeof name - 1);
  return model::Labels{{"job", "stdin"}, {"hostname", name}};
}

class Program {
 public:
  explicit Program(CommandLine line) : line_(std::move(line)) {}

  int run() {
    auto config = load(line_, &text_);
    if (!config.ok()) return fail(config.status());
    set_log(config->server.log_level, config->server.log_format);
    if (line_.print_config) std::fputs(to_yaml(config->document).c_str(), stderr);
    if (line_.explain) return print(explain(*config)), 0;
    for (const std::string& warning : config->warnings) log_warn(warning);
    Agent::Options options;
    options.write_positions = !line_.dry_run && !line_.stdin_input;
    options.tail_files = !line_.stdin_input;
    if (line_.dry_run) options.tap = [](const EntryOut& entry) { print(format_dry_run(entry)); };
    if (line_.inspect) options.inspector = &inspector_;
    const bool serves = !config->server.disable && !line_.dry_run && !line_.stdin_input;
    const ServerConfig server = config->server;
    drain_ns_ = config->skald.shutdown_timeout_ns;
    if (line_.check_syntax) {
      // Pipelines, patterns and URLs were built by the loader; nothing is opened.
      print("Valid config file! No syntax issues found\n");
      return 0;
    }
    auto agent = Agent::create(std::move(config).value(), std::move(options));
    if (!agent.ok()) return fail(agent.status());
    agent_ = std::move(agent).value();
    if (serves)
      if (const base::Status status = serve(server); !status.ok()) return fail(status);
    if (const base::Status status = agent_->start(); !status.ok()) return fail(status);
    if (line_.stdin_input) return pump();
    wait_for_signals();
    if (http_ != nullptr) http_->stop(base::kNsPerSecond);
    agent_->stop(drain_ns_);
    log_info("stopped");
    return 0;
  }

 private:
  base::Status serve(const ServerConfig& config) {
    surface_.emplace(*agent_, [this] { return reload(false); });
    net::ServerOptions options;
    options.listen = config.http_listen_address + ":" + std::to_string(config.http_listen_port);
    if (config.http_listen_address.empty()) options.listen = "0.0.0.0" + options.listen;
    options.idle_timeout_ns = config.http_idle_timeout_ns;
    options.connections_max = 256;
    options.body_bytes_max = 1U << 20;
    options.body_bytes_total_max = 4U << 20;
    options.lanes = {net::Lane{"work", 1, 64}};
    SKALD_TRY_ASSIGN(http_, net::HttpServer::start(options, [this](net::ServerRequest& request) {
                       return surface_->answer(request);
                     }));
    log_info("listening on " + http_->url());
    return {};
  }

  int pump() {
    const base::Status status = agent_->pump_stdin(stdin_labels());
    agent_->stop(drain_ns_);
    return status.ok() ? 0 : fail(status);
  }

  base::Status reload(bool from_signal) {
    std::string text;
    auto config = load(line_, &text);
    if (!config.ok()) {
      log_error("reload refused, everything goes on as it was: " + config.status().to_string());
      return std::move(config).status();
    }
    if (text == text_ && !from_signal) return base::invalid_argument("config has not changed");
    for (const std::string& warning : config->warnings) log_warn(warning);
    const base::Status status = agent_->reload(std::move(config).value());
    if (status.ok()) {
      text_ = std::move(text);
      log_info("configuration reloaded");
    } else {
      log_error("reload refused: " + status.to_string());
    }
    return status;
  }

  void wait_for_signals() {
    const sigset_t set = signals();
    bool started = false;
    for (;;) {
      drop_idle_pages();
      const timespec period = started ? kDropPeriod : kDropAfterStart;
      started = true;
      const int number = ::sigtimedwait(&set, nullptr, &period);
      if (number < 0) continue;  // nothing came, or a debugger did
      if (number != SIGHUP) {
        log_info("stopping; a second signal ends at once");
        std::thread([set] {
          int again = 0;
          ::sigwait(&set, &again);
          ::_exit(1);
        }).detach();  // allow: waits for a second signal, owns nothing
        return;
      }
      static_cast<void>(reload(true));
    }
  }

 public:
  static sigset_t signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
  }

 private:
  const CommandLine line_;
  std::string text_;  // of the running configuration
  std::int64_t drain_ns_ = 0;
  StderrInspector inspector_;
  std::unique_ptr<Agent> agent_;
  std::optional<HttpSurface> surface_;
  std::unique_ptr<net::HttpServer> http_;  // stops before what it serves
};

}  // namespace

int main_of(int argc, char** argv) {
  auto line = parse_command_line(argc, argv);
  if (!line.ok()) return fail(line.status());
  if (line->help) return print(usage()), 0;
  if (line->version) return print("skald-agent " + std::string(kAgentVersion) + "\n"), 0;
  ::signal(SIGPIPE, SIG_IGN);
  limit_heap();
  if (!line->stdin_input) {  // standard input ends by itself; there, ^C should just work
    const sigset_t set = Program::signals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);  // before any thread: all inherit it
  }
  return Program(std::move(line).value()).run();
}

}  // namespace skald::agent

int main(int argc, char** argv) { return skald::agent::main_of(argc, argv); }
