#pragma once
// What Api owns. Private to the room.

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "query/api/api.h"
#include "query/api/call.h"
#include "query/api/delete_filters.h"
#include "query/api/ingest.h"
#include "query/api/result_cache.h"
#include "query/api/shared_runs.h"
#include "query/api/tail.h"

namespace skald::query::api {

// Latency of one route; Prometheus' cumulative buckets are summed when read.
struct RouteMetrics {
  static constexpr std::array<double, 12> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                     0.1,   0.25,   0.5,   1,    2.5,   10};
  std::array<std::atomic<std::uint64_t>, 13> buckets{};
  std::atomic<std::uint64_t> nanoseconds{0};
  std::array<std::atomic<std::uint64_t>, 6> by_class{};  // 1xx .. 5xx
  void observe(std::int64_t elapsed_ns, int status) noexcept;
};

struct QueryCounters {
  std::atomic<std::uint64_t> queries{0}, failed{0}, cancelled{0}, bytes{0}, lines{0}, entries{0};
  std::atomic<std::uint64_t> in_pieces{0}, cut{0};  // log answers (LogPieces)
};

struct Api::Impl {
  Impl(ApiDeps deps_in, std::shared_ptr<const ApiSettings> settings_in);
  ~Impl();

  ApiDeps deps;
  std::atomic<bool> ready{false};
  const std::int64_t started_ns;
  Authenticator authenticator;
  Ingest ingest;
  TailHub tails;
  DeleteFilters delete_filters;
  ResultCache results;
  SharedRuns shared_runs;
  // Deletes began or ended to count: no answer from before holds.
  void forget_answers() {
    results.clear();
    shared_runs.on_change();
  }
  QueryCounters query_counters;
  std::vector<std::unique_ptr<RouteMetrics>> route_metrics;  // as routes()

  std::shared_ptr<const ApiSettings> settings() const {
    std::lock_guard lock(settings_mutex_);
    return settings_;
  }
  void set_settings(std::shared_ptr<const ApiSettings> settings) {
    std::lock_guard lock(settings_mutex_);
    settings_ = std::move(settings);
  }

 private:
  mutable std::mutex settings_mutex_;
  std::shared_ptr<const ApiSettings> settings_;
};

struct Route {
  const char* path;     // {} matches one segment
  const char* methods;  // "GET POST"
  Scope scope;
  std::uint8_t lane;  // LaneIndex
  bool tenant;        // needs one
  bool one_tenant;    // a|b is refused
  net::ServerResponse (*handler)(Call&);
};
enum LaneIndex : std::uint8_t { kSmallLane = 0, kPushLane = 1, kQueryLane = 2 };

const std::vector<Route>& routes();
// The route and, in `segments`, what its {} matched (still encoded); null if none.
const Route* find_route(std::string_view path, std::vector<std::string_view>* segments);

}  // namespace skald::query::api
