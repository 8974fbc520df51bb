#pragma once
// skaldctl's commands. Each returns when it is done; output goes through Io in whole lines.

#include <functional>
#include <string_view>

#include "proto/base/status.h"
#include "proto/net/http_client.h"
#include "query/cli/client.h"
#include "query/cli/options.h"

namespace skald::query::cli {

struct Io {
  std::function<void(std::string_view)> out;  // results
  std::function<void(std::string_view)> err;  // notes
};

base::Status run_query(const Options& options, Client& client, const Io& io);
base::Status run_instant(const Options& options, Client& client, const Io& io);
base::Status run_labels(const Options& options, Client& client, const Io& io);
base::Status run_series(const Options& options, Client& client, const Io& io);
base::Status run_stats(const Options& options, Client& client, const Io& io);
base::Status run_volume(const Options& options, Client& client, const Io& io);
base::Status run_tail(const Options& options, Client& client, const Io& io);
base::Status run_push(const Options& options, Client& client, const Io& io);

base::Status run_flush(Client& client, const Io& io);
base::Status run_backup(const Options& options, Client& client, const Io& io);
base::Status run_check(const Options& options, const Io& io);
base::Status run_restore(const Options& options, const Io& io);
base::Status run_delete(const Options& options, Client& client, const Io& io);
base::Status run_rules(const Options& options, Client& client, const Io& io);

// What main() is: parses, runs, reports on stderr. 0, 1 (failed) or 2 (bad usage).
int run(int argc, const char* const* argv);

}  // namespace skald::query::cli
