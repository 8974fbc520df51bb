// /metrics in Prometheus' text format, and the status page.
#include "proto/base/metrics_text.h"
#include "query/api/api_impl.h"
#include "query/api/version.h"

namespace skald::query::api {
namespace {

using net::ServerResponse;

using base::MetricsText;

void counter(MetricsText& out, const char* name, const char* help, std::uint64_t value) {
  out.one(name, "counter", help, value);
}
void gauge(MetricsText& out, const char* name, const char* help, std::uint64_t value) {
  out.one(name, "gauge", help, value);
}

void add_store(MetricsText& out, const store::StoreStats& s) {
  gauge(out, "skald_store_head_entries", "Entries not yet in a part.", s.head_entries);
  gauge(out, "skald_store_head_bytes", "Raw bytes not yet in a part.", s.head_bytes);
  gauge(out, "skald_store_wal_bytes", "Size of the write-ahead log.", s.wal_bytes);
  gauge(out, "skald_store_parts", "Parts on disk.", s.parts);
  gauge(out, "skald_store_part_bytes", "Bytes of parts on disk.", s.part_bytes);
  gauge(out, "skald_store_part_raw_bytes", "Line bytes held by parts.", s.part_raw_bytes);
  gauge(out, "skald_store_part_entries", "Entries held by parts.", s.part_entries);
  gauge(out, "skald_store_quarantined_parts", "Damaged parts set aside.", s.quarantined_parts);
  gauge(out, "skald_store_streams", "Streams in the index.", s.streams);
  gauge(out, "skald_store_read_only", "1 while the disk is full.", s.read_only_no_space ? 1 : 0);
  counter(out, "skald_store_index_rebuilds_total", "Rebuilds of the label index.",
          s.index_rebuilds);
  counter(out, "skald_store_appended_entries_total", "Entries stored.", s.appended_entries);
  counter(out, "skald_store_appended_bytes_total", "Line bytes stored.", s.appended_bytes);
  counter(out, "skald_store_duplicate_entries_total", "Entries dropped as repeated.",
          s.duplicate_entries);
  counter(out, "skald_store_wal_syncs_total", "Group commits.", s.wal_syncs);
  out.one("skald_store_wal_sync_seconds_total", "counter", "Time spent in fdatasync.",
          static_cast<double>(s.wal_sync_ns) / 1e9);
  counter(out, "skald_store_seals_total", "Heads turned into parts.", s.seals);
  counter(out, "skald_store_compactions_total", "Merges of parts.", s.compactions);
  counter(out, "skald_store_compacted_bytes_total", "Bytes read by merges.", s.compacted_bytes);
  counter(out, "skald_store_compaction_io_bytes_total", "Bytes merges read and wrote.",
          s.compaction_io_bytes);
  out.one("skald_store_compaction_throttled_seconds_total", "counter",
          "Time merges in the background were held back.",
          static_cast<double>(s.compaction_wait_ns) / 1e9);
  counter(out, "skald_store_merged_expired_entries_total",
          "Entries beyond retention that merges dropped.", s.merged_expired_entries);
  counter(out, "skald_store_merged_deleted_entries_total",
          "Entries of delete requests that merges dropped.", s.merged_deleted_entries);
  counter(out, "skald_store_merged_duplicate_entries_total", "Equal entries that merges dropped.",
          s.merged_duplicates);
  gauge(out, "skald_store_disk_bytes_max", "Limit of skald_store_part_bytes; 0: none.",
        s.disk_bytes_max);
  counter(out, "skald_store_retention_deleted_parts_total", "Parts removed by retention.",
          s.retention_deleted_parts);
  counter(out, "skald_store_retention_deleted_bytes_total", "Bytes removed by retention.",
          s.retention_deleted_bytes);
}

void add_server(MetricsText& out, const net::ServerStats& s) {
  gauge(out, "skald_http_connections", "Open connections.", s.connections_open);
  counter(out, "skald_http_connections_total", "Accepted connections.", s.connections_total);
  counter(out, "skald_http_connections_refused_total", "Connections over the limit.",
          s.connections_refused);
  gauge(out, "skald_http_requests_running", "Requests queued or being answered.",
        s.requests_running);
  counter(out, "skald_http_timeouts_total", "Connections ended for being slow.", s.timeouts);
  counter(out, "skald_http_received_bytes_total", "Bytes read from clients.", s.bytes_in);
  counter(out, "skald_http_sent_bytes_total", "Bytes written to clients.", s.bytes_out);
}

void add_routes(MetricsText& out, const Api::Impl& api) {
  out.family("loki_request_duration_seconds", "histogram", "Time to answer HTTP requests.");
  for (std::size_t i = 0; i < routes().size(); ++i) {
    const RouteMetrics& m = *api.route_metrics[i];
    std::uint64_t count = 0;
    for (const auto& bucket : m.buckets) count += bucket.load(std::memory_order_relaxed);
    if (count == 0) continue;
    const std::string_view route = routes()[i].path;
    std::uint64_t below = 0;
    for (std::size_t b = 0; b < RouteMetrics::kBounds.size(); ++b) {
      below += m.buckets[b].load(std::memory_order_relaxed);
      const std::string bound = base::metric_number(RouteMetrics::kBounds[b]);
      out.sample({{"route", route}, {"le", bound}}, below, "_bucket");
    }
    out.sample({{"route", route}, {"le", "+Inf"}}, count, "_bucket");
    out.sample({{"route", route}}, static_cast<double>(m.nanoseconds.load()) / 1e9, "_sum");
    out.sample({{"route", route}}, count, "_count");
  }
  out.family("skald_http_responses_total", "counter", "Answers by route and class of status.");
  for (std::size_t i = 0; i < routes().size(); ++i)
    for (std::size_t c = 1; c < 6; ++c)
      if (const std::uint64_t n = api.route_metrics[i]->by_class[c].load(); n > 0)
        out.sample({{"route", routes()[i].path}, {"status", std::to_string(c) + "xx"}}, n);
}

void add_ingest(MetricsText& out, const Ingest& ingest) {
  const IngestCounters& c = ingest.counters();
  counter(out, "loki_distributor_lines_received_total", "Entries accepted from clients.",
          c.entries.load());
  counter(out, "loki_distributor_bytes_received_total", "Line bytes accepted from clients.",
          c.bytes.load());
  counter(out, "skald_push_duplicates_total", "Entries that were repeated.", c.duplicates.load());
  gauge(out, "loki_ingester_memory_streams", "Active streams.", ingest.active_streams());
  out.family("loki_discarded_samples_total", "counter", "Entries refused, by reason.");
  for (std::size_t i = 0; i < c.refused.size(); ++i)
    out.sample({{"reason", refusal_name(static_cast<Refusal>(i))}}, c.refused[i].load());
}

void add_queries(MetricsText& out, const QueryCounters& c, const SharedRuns& runs) {
  counter(out, "skald_queries_total", "LogQL queries run.", c.queries.load());
  counter(out, "skald_queries_failed_total", "LogQL queries that failed.", c.failed.load());
  counter(out, "skald_queries_cancelled_total", "LogQL queries whose client left.",
          c.cancelled.load());
  counter(out, "skald_queries_shared_total", "LogQL queries answered by an equal one's run.",
          runs.shared());
  gauge(out, "skald_query_answers_bytes", "Memory of answers that are being sent.",
        runs.answers_bytes());
  counter(out, "skald_query_answers_in_pieces_total",
          "Log answers that were made as they were sent.", c.in_pieces.load());
  counter(out, "skald_query_answers_cut_total",
          "Of these, those that failed after their first byte.", c.cut.load());
  counter(out, "skald_query_bytes_total", "Line bytes looked at by queries.", c.bytes.load());
  counter(out, "skald_query_lines_total", "Lines looked at by queries.", c.lines.load());
  counter(out, "skald_query_entries_total", "Entries returned by queries.", c.entries.load());
}

void add_memory(MetricsText& out, const MemoryPool* pool) {
  if (pool == nullptr) return;
  gauge(out, "skald_queries_memory_bytes",
        "What running queries and answers that are being sent take of the memory of all.",
        pool->bytes());
  gauge(out, "skald_queries_memory_max_bytes", "The memory of all queries.", pool->bytes_max());
  counter(out, "skald_queries_memory_refused_total",
          "Times that others held the memory a query needed: it failed or, half sent, waited.",
          pool->refused());
}

void add_result_cache(MetricsText& out, const ResultCacheStats& s) {
  counter(out, "skald_query_cache_whole_total", "Queries answered from memory.", s.whole);
  counter(out, "skald_query_cache_partial_total", "Queries of which newer steps were computed.",
          s.partial);
  counter(out, "skald_query_cache_missed_total", "Queries of which nothing was known.", s.missed);
  gauge(out, "skald_query_cache_bytes", "Size of the answers kept.", s.bytes);
}

}  // namespace

ServerResponse metrics(Call& call) {
  MetricsText out;
  out.family("skald_build_info", "gauge", "Version of this program.");
  out.sample({{"version", kSkaldVersion}}, 1U);
  out.one("process_start_time_seconds", "gauge", "Unix time at start.",
          static_cast<double>(call.api.started_ns) / 1e9);
  add_store(out, call.api.deps.store->stats());
  if (call.api.deps.server_stats) add_server(out, call.api.deps.server_stats());
  add_ingest(out, call.api.ingest);
  add_queries(out, call.api.query_counters, call.api.shared_runs);
  add_memory(out, call.api.deps.engine->memory_pool());
  add_result_cache(out, call.api.results.stats());
  add_routes(out, call.api);
  if (call.api.deps.more_metrics) call.api.deps.more_metrics(out.text());
  ServerResponse response = ServerResponse::text(200, std::move(out.text()));
  response.content_type = base::kMetricsContentType;
  return response;
}

ServerResponse status_page(Call& call) {
  const store::StoreStats s = call.api.deps.store->stats();
  std::string out =
      "<!doctype html><meta charset=utf-8><title>Skald</title>"
      "<style>body{font:16px/1.5 system-ui;max-width:42em;margin:3em auto;padding:0 1em}"
      "td{padding:.1em 1em .1em 0}</style><h1>Skald ";
  out.append(kSkaldVersion).append("</h1><p>A log store that answers Loki's HTTP API.</p><table>");
  const auto row = [&out](const char* name, std::uint64_t value) {
    out.append("<tr><td>").append(name).append("<td>").append(std::to_string(value));
  };
  row("entries in parts", s.part_entries);
  row("entries in the head", s.head_entries);
  row("raw bytes in parts", s.part_raw_bytes);
  row("bytes on disk (parts)", s.part_bytes);
  row("bytes on disk (write-ahead log)", s.wal_bytes);
  row("parts", s.parts);
  row("streams", s.streams);
  out.append("</table><p>");
  for (const char* path : {"/ready", "/metrics", "/config", "/services",
                           "/loki/api/v1/status/buildinfo", "/loki/api/v1/labels"})
    out.append("<a href=\"").append(path).append("\">").append(path).append("</a> ");
  ServerResponse response = ServerResponse::text(200, std::move(out));
  response.content_type = "text/html; charset=utf-8";
  return response;
}

}  // namespace skald::query::api
