#pragma once
// skaldctl's command line as plain data. Flags are named as logcli's, and its LOKI_* environment
// variables are read too, so that scripts keep working.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "proto/net/http_client.h"

namespace skald::query::cli {

enum class Command : std::uint8_t {
  kNone,  // help or version was asked for and printed
  kQuery,
  kInstant,
  kTail,
  kLabels,
  kSeries,
  kStats,
  kVolume,
  kPush,
  kFlush,
  kCheck,
  kBackup,
  kRestore,
  kDeleteCreate,
  kDeleteList,
  kDeleteCancel,
  kRulesCheck,
  kRulesTest,
  kRulesList,
};

enum class OutputMode : std::uint8_t { kDefault, kRaw, kJsonLines };

struct Options {
  Command command = Command::kNone;

  std::string addr = "http://127.0.0.1:3100";  // no trailing slash
  std::string org_id, username, password, bearer_token;
  net::TlsOptions tls;
  std::int64_t timeout_ns = 300 * base::kNsPerSecond;
  OutputMode output = OutputMode::kDefault;
  bool quiet = false;  // no notes on stderr
  bool no_labels = false;

  std::string query;                // LogQL, or a bare selector
  std::string name;                 // label name, delete id, backup to restore
  std::vector<std::string> paths;   // files, or the one directory
  std::string destination;          // restore's data directory
  model::TimestampNs start_ns = 0;  // [start, end)
  model::TimestampNs end_ns = 0;    // instant: the time
  std::uint64_t limit = 30;         // 0: all
  std::uint64_t batch = 1000;
  bool forward = false;
  std::string step, interval;  // passed on as they are
  unsigned delay_for_s = 0;

  std::vector<std::pair<std::string, std::string>> labels;  // push
  std::string timestamp_key;                                // push; empty: now
  bool deep = false, rebuild_index = false, force = false;
};

// kInvalidArgument carries the text for the user, usage included. Help goes to stdout.
base::Result<Options> parse_options(int argc, const char* const* argv, const base::Clock& clock);

// RFC 3339, `2026-11-20 06:00:00`, or Unix seconds / milliseconds / nanoseconds (told apart by
// their number of digits).
base::Result<model::TimestampNs> parse_time(std::string_view text);

}  // namespace skald::query::cli
