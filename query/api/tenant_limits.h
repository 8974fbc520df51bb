#pragma once
// limits_config: what a tenant may do, with Loki's names and, where clients rely on them, Loki's
// defaults. Plain values; a reload swaps the whole set.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "proto/base/clock.h"
#include "store/store.h"

namespace skald::query::api {

struct TenantLimits {
  // ---- push
  double ingestion_rate_mb = 0;  // 0: no limit (Loki: 4)
  double ingestion_burst_size_mb = 6;
  std::uint64_t per_stream_rate_limit = 0;  // bytes/s; 0: no limit (Loki: 3 MB)
  std::uint64_t per_stream_rate_limit_burst = 15U << 20;
  std::uint64_t max_global_streams_per_user = 20'000;  // active streams; 0: no limit
  std::uint64_t max_line_size = 256U << 10;            // bytes; 0: no limit
  bool max_line_size_truncate = false;
  std::uint64_t max_label_name_length = 1024;
  std::uint64_t max_label_value_length = 2048;
  std::uint64_t max_label_names_per_series = 15;
  std::uint64_t max_structured_metadata_size = 64U << 10;
  std::uint64_t max_structured_metadata_entries_count = 128;
  bool allow_structured_metadata = true;
  // Off by default, unlike Loki: the store takes entries of any age within retention.
  bool reject_old_samples = false;
  std::int64_t reject_old_samples_max_age_ns = 7LL * 24 * 3600 * base::kNsPerSecond;
  std::int64_t creation_grace_period_ns = 600LL * base::kNsPerSecond;  // 0: no limit
  std::vector<std::string> discover_service_name = {"service",
                                                    "app",
                                                    "application",
                                                    "app_name",
                                                    "name",
                                                    "app_kubernetes_io_name",
                                                    "container",
                                                    "container_name",
                                                    "k8s_container_name",
                                                    "component",
                                                    "workload",
                                                    "job",
                                                    "k8s_job_name"};
  bool discover_log_levels = true;
  std::vector<std::string> log_level_fields = {
      "level",    "LEVEL",         "Level",         "log.level",    "severity",
      "SEVERITY", "Severity",      "SeverityText",  "lvl",          "LVL",
      "Lvl",      "severity_text", "Severity_Text", "SEVERITY_TEXT"};
  // ---- queries
  std::uint64_t max_entries_limit_per_query = 5000;  // log queries; 0: no limit
  std::uint64_t max_query_series = 0;                // 0: no limit
  std::int64_t max_query_length_ns = 721LL * 3600 * base::kNsPerSecond;
  std::int64_t max_query_lookback_ns = 0;  // 0: no limit
  std::int64_t query_timeout_ns = 60LL * base::kNsPerSecond;
  std::int64_t max_query_range_ns = 0;       // of a range vector; 0: no limit
  std::uint64_t max_query_bytes_read = 0;    // 0: no limit
  std::vector<std::string> required_labels;  // every selector must name these
  std::uint64_t minimum_labels_number = 0;   // matchers of every selector
  bool volume_enabled = true;
  std::uint64_t volume_max_series = 1000;
  std::uint64_t max_concurrent_tail_requests = 10;
  bool deletes_enabled = true;
  // ---- retention
  store::RetentionPolicy retention;
};

}  // namespace skald::query::api
