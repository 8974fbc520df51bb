#pragma once
// The ruler: evaluates rule groups on time, keeps the state of alerts, tells Alertmanagers, writes
// recorded series to Prometheus and into the store, and answers the rule API.
//
//   auto ruler = Ruler::create(options, deps);    // loads files and the saved state
//   ruler->start();                               // evaluation and delivery threads
//   api.rules = [&](auto& request, auto& tenant) { return ruler->handle(request, tenant); };
//   api.more_metrics = [&](auto& out) { ruler->append_metrics(out); };
//   ruler->reload();                              // SIGHUP
//   ruler->stop();                                // saves the state; also in the destructor
//
// Threads: every call is safe from any thread. RULER.md describes semantics, files and state.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "proto/model/labels.h"
#include "proto/net/http_client.h"
#include "proto/net/http_server.h"
#include "query/exec/engine.h"
#include "store/store.h"

namespace skald::query::alert {

// Where and how to reach an Alertmanager or a remote-write receiver.
struct Target {
  std::string name;  // for logs and metrics; empty: the URL without credentials
  std::string url;   // Alertmanager: without /api/v2/alerts; remote write: whole
  std::string basic_user, basic_password;
  std::string bearer_token;
  std::string authorization_type = "Bearer";
  std::vector<std::pair<std::string, std::string>> headers;
  net::TlsOptions tls;
  std::int64_t timeout_ns = 10 * base::kNsPerSecond;
};

struct RulerOptions {
  // Directories with one subdirectory per tenant, each holding rule files (namespace = file name).
  std::string rules_dir;  // the operator's files, read only; empty: none
  std::string data_dir;   // ours: <data_dir>/rules/ for the API, <data_dir>/ruler.state
  bool enable_api = true;
  std::int64_t evaluation_interval_ns = 60 * base::kNsPerSecond;
  std::int64_t poll_interval_ns = 10 * base::kNsPerSecond;  // looks for changed files
  std::int64_t query_offset_ns = 0;
  std::int64_t query_timeout_ns = 60 * base::kNsPerSecond;
  unsigned threads = 1;  // evaluating
  // State of alerts
  std::int64_t resend_delay_ns = 60 * base::kNsPerSecond;
  std::int64_t for_outage_tolerance_ns = 3600 * base::kNsPerSecond;
  std::int64_t for_grace_period_ns = 600 * base::kNsPerSecond;  // as Prometheus
  // At stop: what is queued for Alertmanagers and receivers may still be sent for this long.
  std::int64_t drain_timeout_ns = 5 * base::kNsPerSecond;
  std::int64_t state_save_interval_ns = 15 * base::kNsPerSecond;
  // Alertmanager
  std::string external_url;  // Grafana's, for links
  std::string datasource_uid;
  model::Labels external_labels;
  std::vector<Target> alertmanagers;
  std::size_t notification_queue_capacity = 10'000;
  // Remote write
  std::vector<Target> remote_write;
  bool add_org_id_header = true;
  bool store_recorded = true;  // recorded series also as a stream of this store
  // Limits; 0: none
  std::size_t rules_per_group_max = 0;
  std::size_t groups_per_tenant_max = 0;
};

// Reads the `ruler:` block of a whole configuration text (Loki's keys and places; unknown keys of
// the block are errors with their line). No such block: the defaults.
base::Result<RulerOptions> read_ruler_options(std::string_view config_yaml,
                                              const std::string& data_dir);

struct RuleSample {
  model::Labels labels;
  double value = 0;
};
// An instant query. Errors are shown in the API as the rule's lastError.
using RuleQuery = std::function<base::Result<std::vector<RuleSample>>(
    const std::string& tenant, const std::string& query, model::TimestampNs at)>;

// Several of one tenant at one instant; each answer as RuleQuery would give it.
struct RuleAnswers {
  std::vector<base::Result<std::vector<RuleSample>>> results;  // in the order of the queries
  ScanCounts scans;
};
using RuleQueries = std::function<RuleAnswers(
    const std::string& tenant, const std::vector<std::string>& queries, model::TimestampNs at)>;

struct RulerDeps {
  RuleQuery query;
  RuleQueries queries;            // null: asked one by one
  store::Store* store = nullptr;  // for recorded series; may be null
  base::FileSystem* fs = &base::FileSystem::posix();
  const base::Clock* clock = &base::Clock::system();
  // One transport per target; called by the target's own thread.
  std::function<std::unique_ptr<net::HttpTransport>(const net::HttpClientOptions&)> transport =
      [](const net::HttpClientOptions& o) { return net::make_http_client(o); };
};
// Runs instant queries on an engine, which outlives the function.
RuleQuery engine_query(const Engine& engine, std::int64_t timeout_ns);
RuleQueries engine_queries(const Engine& engine, std::int64_t timeout_ns);

class Ruler {
 public:
  // Fails only if data_dir cannot be used. Rule files that do not load are reported (log, metrics,
  // API), the rest of the rules run. A damaged state file is set aside and reported.
  static base::Result<std::unique_ptr<Ruler>> create(RulerOptions options, RulerDeps deps);
  ~Ruler();
  Ruler(const Ruler&) = delete;
  Ruler& operator=(const Ruler&) = delete;

  void start();
  void stop();
  // Reads changed files now. kInvalidArgument lists the files that did not load; what loaded runs.
  base::Status reload();
  // Evaluates what is due and polls files, once, in the caller's thread: for tests and tools
  // without start(). Returns when the next group is due.
  model::TimestampNs run_due();
  bool flush(std::int64_t timeout_ns);  // waits until the queues of all targets are empty

  // All rule routes (clients contract, section 7): /loki/api/v1/rules[/ns[/group]],
  // /api/prom/rules..., /prometheus/api/v1/rules and /alerts. Other paths: 404.
  net::ServerResponse handle(const net::ServerRequest& request, const std::string& tenant);
  // Whether handle() serves this path (still percent-encoded).
  static bool is_rule_path(std::string_view path) noexcept;

  // Prometheus text format, with Loki's names.
  void append_metrics(std::string& out) const;

  struct Impl;

 private:
  Ruler();
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::query::alert
