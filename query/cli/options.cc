#include "query/cli/options.h"

#include <CLI/CLI.hpp>
#include <cctype>
#include <charconv>

#include "proto/gotext/duration.h"
#include "proto/gotext/time_layout.h"

namespace skald::query::cli {
namespace {

// What CLI11 fills before it is turned into times.
struct RawTimes {
  std::string since = "1h", from, to;
};

void add_connection_flags(CLI::App& app, Options& options) {
  app.add_option("--addr", options.addr, "server address")
      ->envname("LOKI_ADDR")
      ->capture_default_str();
  app.add_option("--org-id", options.org_id, "tenant (X-Scope-OrgID)")->envname("LOKI_ORG_ID");
  app.add_option("--username", options.username, "basic auth")->envname("LOKI_USERNAME");
  app.add_option("--password", options.password, "basic auth")->envname("LOKI_PASSWORD");
  app.add_option("--bearer-token", options.bearer_token, "bearer token")
      ->envname("LOKI_BEARER_TOKEN");
  app.add_option("--ca-cert", options.tls.ca_file, "certificate authority, PEM")
      ->envname("LOKI_CA_CERT_PATH");
  app.add_option("--cert", options.tls.cert_file, "client certificate, PEM")
      ->envname("LOKI_CLIENT_CERT_PATH");
  app.add_option("--key", options.tls.key_file, "client key, PEM")->envname("LOKI_CLIENT_KEY_PATH");
  app.add_flag("--tls-skip-verify", options.tls.insecure_skip_verify,
               "accept any server certificate")
      ->envname("LOKI_TLS_SKIP_VERIFY");
  app.add_flag("--quiet,-q", options.quiet, "no notes on stderr");
  const std::map<std::string, OutputMode> modes{{"default", OutputMode::kDefault},
                                                {"raw", OutputMode::kRaw},
                                                {"jsonl", OutputMode::kJsonLines}};
  app.add_option("--output,-o", options.output, "default, raw (lines alone) or jsonl")
      ->transform(CLI::CheckedTransformer(modes, CLI::ignore_case));
}

void add_times(CLI::App& command, RawTimes& times) {
  command.add_option("--since", times.since, "look back this far")->capture_default_str();
  command.add_option("--from", times.from, "start, inclusive (RFC 3339 or Unix time)");
  command.add_option("--to", times.to, "end, exclusive (default: now)");
}

// A subcommand that sets options.command when it is met.
CLI::App* add_command(CLI::App& parent, Options& options, Command command, const char* name,
                      const char* help) {
  CLI::App* sub = parent.add_subcommand(name, help);
  sub->fallthrough();
  sub->callback([&options, command] { options.command = command; });
  return sub;
}

void add_query_commands(CLI::App& app, Options& options, RawTimes& times) {
  auto* query = add_command(app, options, Command::kQuery, "query", "ask over a range of time");
  query->add_option("query", options.query, "LogQL")->required();
  add_times(*query, times);
  query->add_option("--limit", options.limit, "entries; 0: all")->capture_default_str();
  query->add_option("--batch", options.batch, "entries in one request")
      ->capture_default_str()
      ->check(CLI::Range(1, 5000));
  query->add_flag("--forward", options.forward, "oldest first");
  query->add_option("--step", options.step, "of a metric query");
  query->add_option("--interval", options.interval, "at most one entry per stream and interval");
  query->add_flag("--no-labels", options.no_labels, "do not print labels");
  query->add_flag_callback(
      "--tail,-t,--follow,-f", [&options] { options.force = true; }, "as the command tail");

  auto* instant = add_command(app, options, Command::kInstant, "instant", "one evaluation");
  instant->alias("instant-query");
  instant->add_option("query", options.query, "LogQL, a metric query")->required();
  instant->add_option("--now", times.to, "when to evaluate (default: now)");

  auto* tail = add_command(app, options, Command::kTail, "tail", "print entries as they arrive");
  tail->add_option("query", options.query, "LogQL, a log query")->required();
  tail->add_option("--since", times.since, "first what came in this time")->capture_default_str();
  tail->add_option("--limit", options.limit, "entries of the past")->capture_default_str();
  tail->add_option("--delay-for", options.delay_for_s, "seconds to wait for late entries");
  tail->add_flag("--no-labels", options.no_labels, "do not print labels");

  auto* labels = add_command(app, options, Command::kLabels, "labels", "names, or a name's values");
  labels->add_option("name", options.name, "label");
  labels->add_option("--query", options.query, "only of streams of this selector");
  add_times(*labels, times);
  auto* series = add_command(app, options, Command::kSeries, "series", "streams of a selector");
  series->add_option("selector", options.query, "{name=\"value\", ...}")->required();
  add_times(*series, times);
  auto* stats = add_command(app, options, Command::kStats, "stats", "streams, entries, bytes");
  stats->add_option("selector", options.query, "{name=\"value\", ...}")->required();
  add_times(*stats, times);
  auto* volume = add_command(app, options, Command::kVolume, "volume", "bytes per stream");
  volume->add_option("selector", options.query, "{name=\"value\", ...}")->required();
  volume->add_option("--limit", options.limit, "series")->capture_default_str();
  add_times(*volume, times);
}

void add_push(CLI::App& app, Options& options) {
  auto* push = add_command(app, options, Command::kPush, "push", "send files, one line an entry");
  push->add_option("file", options.paths, "files; - is stdin")->required();
  push->add_option_function<std::vector<std::string>>(
          "--label,-l",
          [&options](const std::vector<std::string>& pairs) {
            for (const std::string& pair : pairs) {
              const std::size_t equals = pair.find('=');
              if (equals == std::string::npos || equals == 0) {
                throw CLI::ValidationError("--label", "name=value, not " + pair);  // allow: CLI11
              }
              options.labels.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
            }
          },
          "stream label name=value (default: job=skaldctl)")
      ->take_all();
  push->add_option("--timestamp-key", options.timestamp_key,
                   "JSON key of the line that holds its RFC 3339 time (default: now)");
}

void add_store_commands(CLI::App& app, Options& options, RawTimes& times) {
  add_command(app, options, Command::kFlush, "flush", "write what is in memory as parts, compact");
  auto* backup = add_command(app, options, Command::kBackup, "backup",
                             "online copy into a directory of the server's machine");
  backup->add_option("directory", options.paths, "absolute path")->required()->expected(1);
  auto* check = add_command(app, options, Command::kCheck, "check",
                            "verify a data directory (the server must not run)");
  check->add_option("directory", options.paths, "data directory")->required()->expected(1);
  check->add_flag("--deep", options.deep, "every checksum of every page");
  check->add_flag("--rebuild-index", options.rebuild_index, "write the index anew from the parts");
  auto* restore =
      add_command(app, options, Command::kRestore, "restore", "a backup becomes a data directory");
  restore->add_option("backup", options.name, "backup directory")->required();
  restore->add_option("data-dir", options.destination, "new or empty directory")->required();

  CLI::App* remove = app.add_subcommand("delete", "requests to delete entries");
  remove->fallthrough()->require_subcommand(1);
  auto* create = add_command(*remove, options, Command::kDeleteCreate, "create", "ask for it");
  create->add_option("query", options.query, "selector, with line filters")->required();
  add_times(*create, times);
  add_command(*remove, options, Command::kDeleteList, "list", "requests and their state");
  auto* cancel = add_command(*remove, options, Command::kDeleteCancel, "cancel", "take it back");
  cancel->add_option("id,--request-id", options.name, "of the request")->required();
  cancel->add_flag("--force", options.force, "even if partly done");

  CLI::App* rules = app.add_subcommand("rules", "alert and recording rules");
  rules->fallthrough()->require_subcommand(1);
  auto* lint = add_command(*rules, options, Command::kRulesCheck, "check", "do files load?");
  lint->add_option("file", options.paths, "rule files")->required();
  auto* test = add_command(*rules, options, Command::kRulesTest, "test", "run unit tests of rules");
  test->add_option("file", options.paths, "test files")->required();
  auto* list = add_command(*rules, options, Command::kRulesList, "list",
                           "the server's rules and their state, or those of files");
  list->add_option("file", options.paths, "rule files");
}

base::Status resolve_times(const RawTimes& raw, const base::Clock& clock, Options& options) {
  options.end_ns = clock.wall_ns();
  if (!raw.to.empty()) {
    SKALD_TRY_ASSIGN(options.end_ns, parse_time(raw.to));
  }
  if (!raw.from.empty()) {
    SKALD_TRY_ASSIGN(options.start_ns, parse_time(raw.from));
  } else {
    auto since = gotext::parse_logql_duration(raw.since);
    if (!since.ok()) return std::move(since).status().with_context("--since");
    options.start_ns = options.end_ns - *since;
  }
  if (options.start_ns > options.end_ns) {
    return base::invalid_argument("--from is later than --to");
  }
  return {};
}

}  // namespace

base::Result<model::TimestampNs> parse_time(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) {
    if (text.size() <= 10) return number * base::kNsPerSecond;
    if (text.size() <= 13) return number * base::kNsPerMs;
    return number;
  }
  static constexpr std::string_view kLayouts[] = {"2006-01-02T15:04:05.999999999Z07:00",
                                                  "2006-01-02T15:04:05",
                                                  "2006-01-02 15:04:05",
                                                  "2006-01-02T15:04",
                                                  "2006-01-02 15:04",
                                                  "2006-01-02"};
  for (const std::string_view layout : kLayouts) {
    auto time = gotext::TimeLayout(layout).parse(text);
    if (time.ok()) return time->unix_ns();
  }
  return base::invalid_argument("no time: \"" + std::string(text) +
                                "\"; write 2026-11-20T06:00:00Z or Unix seconds");
}

base::Result<Options> parse_options(int argc, const char* const* argv, const base::Clock& clock) {
  Options options;
  RawTimes times;
  CLI::App app("skaldctl asks and keeps a Skald (or Loki) server.", "skaldctl");
  app.set_version_flag("--version", "skaldctl 0.1.0");
  app.require_subcommand(1);
  add_connection_flags(app, options);
  add_query_commands(app, options, times);
  add_push(app, options);
  add_store_commands(app, options, times);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      app.exit(error);  // prints help or version
      return options;
    }
    return base::invalid_argument(std::string(error.what()) + "\nRun with --help for usage.");
  }
  while (options.addr.size() > 1 && options.addr.back() == '/') options.addr.pop_back();
  if (options.command == Command::kQuery && options.force) options.command = Command::kTail;
  SKALD_TRY(resolve_times(times, clock, options));
  return options;
}

}  // namespace skald::query::cli
