// query, query_range, format_query and the legacy query.
#include <algorithm>
#include <memory>

#include "proto/wire/rfc3339.h"
#include "query/api/api_impl.h"
#include "query/api/json_out.h"
#include "query/api/result_json.h"
#include "query/logql/parser.h"
#include "query/logql/printer.h"

namespace skald::query::api {
namespace {

using net::ServerResponse;

constexpr std::uint32_t kDefaultLimit = 100;

bool has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    if (item == token) return true;
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
  return false;
}

bool from_drilldown(const net::ServerRequest& request) {
  return request.header("x-query-tags").find("grafana-lokiexplore-app") != std::string_view::npos;
}

void add_tenant_label(QueryResult& result, const std::string& tenant) {
  std::visit(
      [&](auto& data) {
        using T = std::decay_t<decltype(data)>;
        if constexpr (std::is_same_v<T, Streams>) {
          for (LogStream& stream : data.streams) stream.labels.set("__tenant_id__", tenant);
        } else if constexpr (!std::is_same_v<T, Scalar>) {
          for (Series& series : data.series) series.labels.set("__tenant_id__", tenant);
        }
      },
      result.data);
}

// Results of several tenants are told apart by their label, so joining is appending.
void append_result(QueryResult& into, QueryResult&& from) {
  if (auto* streams = std::get_if<Streams>(&into.data)) {
    if (auto* more = std::get_if<Streams>(&from.data))
      for (LogStream& stream : more->streams) streams->streams.push_back(std::move(stream));
  } else if (auto* matrix = std::get_if<Matrix>(&into.data)) {
    if (auto* more = std::get_if<Matrix>(&from.data))
      for (Series& series : more->series) matrix->series.push_back(std::move(series));
  } else if (auto* vector = std::get_if<Vector>(&into.data)) {
    if (auto* more = std::get_if<Vector>(&from.data))
      for (Series& series : more->series) vector->series.push_back(std::move(series));
  }
  for (std::string& warning : from.warnings) into.warnings.push_back(std::move(warning));
  into.stats.bytes_processed += from.stats.bytes_processed;
  into.stats.lines_processed += from.stats.lines_processed;
  into.stats.entries_returned += from.stats.entries_returned;
  into.stats.exec_seconds += from.stats.exec_seconds;
}

// Of all tenants' entries the newest or oldest `limit`.
void cut_to_limit(Streams& streams, std::uint32_t limit, model::Direction direction) {
  std::vector<model::TimestampNs> times;
  for (const LogStream& stream : streams.streams)
    for (const LogEntry& entry : stream.entries) times.push_back(entry.timestamp_ns);
  if (times.size() <= limit) return;
  const bool forward = direction == model::Direction::kForward;
  const auto before = [forward](std::int64_t a, std::int64_t b) { return forward ? a < b : a > b; };
  std::nth_element(times.begin(), times.begin() + limit - 1, times.end(), before);
  const model::TimestampNs last = times[limit - 1];
  std::size_t room = limit;
  for (LogStream& stream : streams.streams)
    for (const LogEntry& entry : stream.entries) room -= before(entry.timestamp_ns, last) ? 1 : 0;
  for (LogStream& stream : streams.streams) {
    std::vector<LogEntry> kept;
    for (LogEntry& entry : stream.entries) {
      const bool tie = entry.timestamp_ns == last;
      if (!before(entry.timestamp_ns, last) && !(tie && room > 0)) continue;
      if (tie) --room;
      kept.push_back(std::move(entry));
    }
    stream.entries = std::move(kept);
  }
  std::erase_if(streams.streams, [](const LogStream& stream) { return stream.entries.empty(); });
}

base::Result<QueryResult> run_for_tenants(Call& call, QueryRequest request) {
  request.cancelled = call.http.cancelled;
  request.timeout_ns = call.limits().query_timeout_ns;
  QueryCounters& counters = call.api.query_counters;
  counters.queries.fetch_add(1, std::memory_order_relaxed);
  base::Result<QueryResult> all;
  bool first = true;
  for (const std::string& tenant : call.tenants) {
    request.tenant = tenant;
    auto one = call.api.deps.engine->run(request);
    if (!one.ok()) {
      counters.failed.fetch_add(1, std::memory_order_relaxed);
      return one;
    }
    if (call.tenants.size() > 1) add_tenant_label(*one, tenant);
    if (first)
      all = std::move(one);
    else
      append_result(*all, std::move(*one));
    first = false;
  }
  if (call.tenants.size() > 1)
    if (auto* streams = std::get_if<Streams>(&all->data))
      cut_to_limit(*streams, request.limit, request.direction);
  counters.bytes.fetch_add(all->stats.bytes_processed, std::memory_order_relaxed);
  counters.lines.fetch_add(all->stats.lines_processed, std::memory_order_relaxed);
  counters.entries.fetch_add(all->stats.entries_returned, std::memory_order_relaxed);
  return all;
}

// Too many series: an error, but for Drilldown a partial answer with a warning.
base::Status limit_series(Call& call, QueryResult& result) {
  const std::uint64_t limit = call.limits().max_query_series;
  std::vector<Series>* series = nullptr;
  if (auto* matrix = std::get_if<Matrix>(&result.data)) series = &matrix->series;
  if (auto* vector = std::get_if<Vector>(&result.data)) series = &vector->series;
  if (limit == 0 || series == nullptr || series->size() <= limit) return {};
  const std::string text =
      "maximum number of series (" + std::to_string(limit) + ") reached for a single query";
  if (!from_drilldown(call.http))
    return base::invalid_argument(
        text +
        "; consider reducing query cardinality by adding more specific stream selectors, reducing "
        "the time range, or aggregating results with functions like sum(), count() or topk()");
  series->resize(limit);
  result.warnings.push_back(text + "; returning partial results");
  return {};
}

std::string duration_text(std::int64_t ns) {  // 721h0m0s
  const std::int64_t seconds = ns / base::kNsPerSecond;
  return std::to_string(seconds / 3600) + "h" + std::to_string(seconds / 60 % 60) + "m" +
         std::to_string(seconds % 60) + "s";
}

base::Status check_length(const Call& call, const model::TimeRange& range) {
  const std::int64_t limit = call.limits().max_query_length_ns;
  const std::int64_t length = range.end_ns - range.start_ns;
  if (limit <= 0 || length <= limit) return {};
  return base::invalid_argument("the query time range exceeds the limit (query length: " +
                                duration_text(length) + ", limit: " + duration_text(limit) + ")");
}

base::Status check_entries(const Call& call, std::uint32_t limit) {
  const std::uint64_t most = call.limits().max_entries_limit_per_query;
  if (most == 0 || limit <= most) return {};
  return base::invalid_argument(
      "max entries limit per query exceeded, limit > max_entries_limit_per_query (" +
      std::to_string(limit) + " > " + std::to_string(most) + ")");
}

std::int64_t floor_to(std::int64_t time, std::int64_t step) {
  const std::int64_t rest = time % step;
  return time - (rest < 0 ? rest + step : rest);
}

base::Result<QueryRequest> range_request(Call& call) {
  QueryRequest request;
  request.text = std::string(call.params.get("query"));
  SKALD_TRY_ASSIGN(model::TimeRange range, parse_range(call.params, call.now_ns));
  request.start_ns = range.start_ns;
  request.end_ns = range.end_ns;
  SKALD_TRY_ASSIGN(request.limit, parse_limit(call.params, "limit", kDefaultLimit));
  SKALD_TRY_ASSIGN(request.direction, parse_direction(call.params.get("direction")));
  SKALD_TRY_ASSIGN(request.step_ns, parse_query_step(call.params, range));
  if (const auto text = call.params.get("interval"); !text.empty()) {
    SKALD_TRY_ASSIGN(request.interval_ns, parse_step(text, "interval"));
    if (request.interval_ns < 0) return base::invalid_argument("interval must be >= 0");
  }
  SKALD_TRY_ASSIGN(const logql::ExprPtr expr, logql::parse(request.text));
  SKALD_TRY(check_length(call, range));
  if (const std::int64_t lookback = call.limits().max_query_lookback_ns; lookback > 0) {
    range.start_ns = std::max(range.start_ns, call.now_ns - lookback);
    range.end_ns = std::max(range.end_ns, range.start_ns);
    request.start_ns = range.start_ns;
    request.end_ns = range.end_ns;
  }
  if (expr->is_log()) {
    SKALD_TRY(check_entries(call, request.limit));
  } else {
    // Points lie on multiples of the step, so that the answers to split queries fit together.
    request.start_ns = floor_to(range.start_ns, request.step_ns);
    request.end_ns = floor_to(range.end_ns + request.step_ns - 1, request.step_ns);
  }
  return request;
}

ServerResponse result_response(Call& call, base::Result<QueryResult> result,
                               model::Direction direction) {
  if (!result.ok()) return error_response(result.status());
  if (const base::Status status = limit_series(call, *result); !status.ok())
    return error_response(status);
  const bool categorize =
      has_token(call.http.header("x-loki-response-encoding-flags"), "categorize-labels");
  ServerResponse response = ServerResponse::json({});
  auto shared = std::make_shared<QueryResult>(std::move(*result));
  response.stream = [shared, categorize, direction](net::BodySink& sink) {
    return write_result(*shared, categorize, direction, sink);
  };
  return response;
}

}  // namespace

ServerResponse query_range(Call& call) {
  auto request = range_request(call);
  if (!request.ok()) return error_response(request.status());
  const model::Direction direction = request->direction;
  return result_response(call, run_for_tenants(call, std::move(*request)), direction);
}

ServerResponse query_instant(Call& call) {
  const auto build = [&]() -> base::Result<QueryRequest> {
    QueryRequest request;
    request.instant = true;
    request.text = std::string(call.params.get("query"));
    SKALD_TRY_ASSIGN(request.end_ns, parse_instant(call.params, call.now_ns));
    request.start_ns = request.end_ns;
    SKALD_TRY_ASSIGN(request.limit, parse_limit(call.params, "limit", kDefaultLimit));
    SKALD_TRY_ASSIGN(request.direction, parse_direction(call.params.get("direction")));
    SKALD_TRY_ASSIGN(const logql::ExprPtr expr, logql::parse(request.text));
    if (expr->is_log())
      return base::invalid_argument(
          "log queries are not supported as an instant query type, please change your query to a "
          "range query type");
    return request;
  };
  auto request = build();
  if (!request.ok()) return error_response(request.status());
  return result_response(call, run_for_tenants(call, std::move(*request)),
                         model::Direction::kBackward);
}

ServerResponse legacy_query(Call& call) {
  auto request = range_request(call);
  if (!request.ok()) return error_response(request.status());
  const model::Direction direction = request->direction;
  auto result = run_for_tenants(call, std::move(*request));
  if (!result.ok()) return error_response(result.status());
  auto* data = std::get_if<Streams>(&result->data);
  if (data == nullptr)
    return error_response(
        base::invalid_argument("legacy endpoints only support streams result type"));
  std::string out = "{\"streams\":[";
  bool first_stream = true;
  for (const LogStream& stream : fold_labels(std::move(data->streams), direction)) {
    out.append(first_stream ? "{\"labels\":" : ",{\"labels\":");
    first_stream = false;
    append_json_string(out, stream.labels.to_string());
    out.append(",\"entries\":[");
    for (std::size_t i = 0; i < stream.entries.size(); ++i) {
      out.append(i == 0 ? "{\"ts\":" : ",{\"ts\":");
      append_json_string(out, wire::format_rfc3339(stream.entries[i].timestamp_ns));
      out.append(",\"line\":");
      append_json_string(out, stream.entries[i].line);
      out.push_back('}');
    }
    out.append("]}");
  }
  out.append("],\"stats\":").append(stats_json(result->stats)).append("}");
  return ServerResponse::json(std::move(out));
}

ServerResponse format_query(Call& call) {
  auto text = logql::format_query(call.params.get("query"));
  std::string out =
      text.ok() ? "{\"status\":\"success\",\"data\":" : "{\"status\":\"invalid-query\",\"error\":";
  append_json_string(out, text.ok() ? std::string_view(*text) : text.status().message());
  out.push_back('}');
  return ServerResponse::json(std::move(out), text.ok() ? 200 : 400);
}

}  // namespace skald::query::api
