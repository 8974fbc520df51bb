#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "query/api/version.h"
#include "query/server/server.h"

namespace skald::query::server {
namespace {

// Signals are taken by sigwait() in the main thread: no handler runs anywhere.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return set;
}

void wait_for_stop(const sigset_t& signals, Server& server) {
  while (true) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGHUP) {
      spdlog::info("{} received: finishing requests and flushing", strsignal(signal));
      return;
    }
    if (const base::Status status = server.reload(); !status.ok())
      spdlog::error("configuration not changed: {}", status.message());
  }
}

}  // namespace

int run(int argc, char** argv) {
  CLI::App app{"Skald: a log store with Loki's HTTP API"};
  std::string data_dir, listen, config_path;
  bool version = false;
  bool verify = false;
  app.add_option("--data-dir", data_dir, "where the data lives (default ./data)");
  app.add_option("--listen", listen, "address and port (default 127.0.0.1:3100)");
  app.add_option("--config,--config.file", config_path, "YAML configuration");
  app.add_flag("--verify-config", verify, "check the configuration and exit");
  app.add_flag("--version", version, "print the version and exit");
  CLI11_PARSE(app, argc, argv);
  if (version) {
    std::printf("skald %s\n", api::kSkaldVersion);
    return 0;
  }
  const sigset_t signals = block_signals();
  spdlog::set_default_logger(spdlog::stderr_color_mt("skald"));
  auto config = load_config(config_path);
  if (!config.ok()) {
    std::fprintf(stderr, "skald: %s\n", std::string(config.status().message()).c_str());
    return 2;
  }
  if (verify) {
    std::printf("configuration is valid\n");
    return 0;
  }
  if (!data_dir.empty()) config->store.data_dir = data_dir;
  if (!listen.empty()) config->http.listen = listen;
  spdlog::set_level(spdlog::level::from_str(config->log_level));
  for (const std::string& warning : config->warnings) spdlog::warn("configuration: {}", warning);
  auto server = Server::start(std::move(*config), config_path);
  if (!server.ok()) {
    std::fprintf(stderr, "skald: %s\n", std::string(server.status().message()).c_str());
    return 1;
  }
  std::printf("skald %s is listening on %s\n", api::kSkaldVersion, (*server)->url().c_str());
  std::fflush(stdout);
  wait_for_stop(signals, **server);
  (*server)->stop();
  return 0;
}

}  // namespace skald::query::server
