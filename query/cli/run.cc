// Ties options to commands.

#include <csignal>
#include <cstdio>

#include "query/cli/commands.h"

namespace skald::query::cli {
namespace {

base::Status dispatch(const Options& options, Client& client, const Io& io) {
  switch (options.command) {
    case Command::kNone: return {};
    case Command::kQuery: return run_query(options, client, io);
    case Command::kInstant: return run_instant(options, client, io);
    case Command::kTail: return run_tail(options, client, io);
    case Command::kLabels: return run_labels(options, client, io);
    case Command::kSeries: return run_series(options, client, io);
    case Command::kStats: return run_stats(options, client, io);
    case Command::kVolume: return run_volume(options, client, io);
    case Command::kPush: return run_push(options, client, io);
    case Command::kFlush: return run_flush(client, io);
    case Command::kCheck: return run_check(options, io);
    case Command::kBackup: return run_backup(options, client, io);
    case Command::kRestore: return run_restore(options, io);
    case Command::kDeleteCreate:
    case Command::kDeleteList:
    case Command::kDeleteCancel: return run_delete(options, client, io);
    case Command::kRulesCheck:
    case Command::kRulesTest:
    case Command::kRulesList: return run_rules(options, client, io);
  }
  return base::internal("no such command");
}

void write_to(std::FILE* file, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), file);
  std::fflush(file);
}

}  // namespace

int run(int argc, const char* const* argv) {
  std::signal(SIGPIPE, SIG_DFL);  // `skaldctl query ... | head` ends quietly
  auto options = parse_options(argc, argv, base::Clock::system());
  if (!options.ok()) {
    write_to(stderr, "skaldctl: " + std::string(options.status().message()) + "\n");
    return 2;
  }
  net::HttpClientOptions client_options;
  client_options.tls = options->tls;
  const auto transport = net::make_http_client(std::move(client_options));
  Client client(*options, *transport);
  Io io;
  io.out = [](std::string_view text) { write_to(stdout, text); };
  io.err = [](std::string_view text) { write_to(stderr, text); };
  const base::Status status = dispatch(*options, client, io);
  if (status.ok()) return 0;
  write_to(stderr, "skaldctl: " + std::string(status.message()) + "\n");
  return 1;
}

}  // namespace skald::query::cli
