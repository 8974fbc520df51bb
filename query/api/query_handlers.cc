// query, query_range, format_query and the legacy query.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

#include "proto/wire/rfc3339.h"
#include "query/api/api_impl.h"
#include "query/api/json_out.h"
#include "query/api/query_limits.h"
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

bool wants_categories(const Call& call) {
  return has_token(call.http.header("x-loki-response-encoding-flags"), "categorize-labels");
}

// How a query may be answered without being run, or run once for several.
struct Sharing {
  std::string normal;       // the query's text in normal form
  bool keep_steps = false;  // its steps may come from memory
};

SharedRuns::Answer run_query(Call& call, const QueryLimits& limits, QueryRequest request,
                             const Sharing& sharing) {
  request.cancelled = call.http.cancelled;
  request.timeout_ns = limits.timeout_ns;
  request.tenant.clear();
  for (const std::string& tenant : call.tenants)
    request.tenant.append(request.tenant.empty() ? "" : "|").append(tenant);
  QueryCounters& counters = call.api.query_counters;
  counters.queries.fetch_add(1, std::memory_order_relaxed);
  const auto alone = [&call](const QueryRequest& some) { return call.api.deps.engine->run(some); };
  const auto run = [&](const QueryRequest& some) {
    return sharing.keep_steps ? call.api.results.run(some, alone) : alone(some);
  };
  bool shared = false;
  auto result = call.api.shared_runs.run(request, sharing.normal, run, shared);
  if (!result.ok()) {
    counters.failed.fetch_add(1, std::memory_order_relaxed);
    if (result.status().code() == base::Code::kCancelled)
      counters.cancelled.fetch_add(1, std::memory_order_relaxed);
    return result;
  }
  const QueryStats& stats = (*result)->stats;
  if (!shared) {
    counters.bytes.fetch_add(stats.bytes_processed, std::memory_order_relaxed);
    counters.lines.fetch_add(stats.lines_processed, std::memory_order_relaxed);
  }
  counters.entries.fetch_add(stats.entries_returned, std::memory_order_relaxed);
  return result;
}

// Too many series: an error, but for Drilldown a partial answer with a warning.
base::Status limit_series(const Call& call, std::uint64_t limit,
                          std::shared_ptr<const QueryResult>& result) {
  const std::vector<Series>* series = nullptr;
  const auto* matrix = std::get_if<Matrix>(&result->data);
  if (matrix != nullptr) series = &matrix->series;
  if (const auto* vector = std::get_if<Vector>(&result->data)) series = &vector->series;
  if (limit == 0 || series == nullptr || series->size() <= limit) return {};
  const std::string text =
      "maximum number of series (" + std::to_string(limit) + ") reached for a single query";
  if (!from_drilldown(call.http))
    return base::invalid_argument(
        text +
        "; consider reducing query cardinality by adding more specific stream selectors, reducing "
        "the time range, or aggregating results with functions like sum(), count() or topk()");
  // Others may send the whole.
  auto part = std::make_shared<QueryResult>();
  std::vector<Series> first(series->begin(), series->begin() + static_cast<std::ptrdiff_t>(limit));
  if (matrix != nullptr)
    part->data = Matrix{std::move(first)};
  else
    part->data = Vector{std::move(first)};
  part->stats = result->stats;
  part->memory_share = result->memory_share;
  part->warnings = result->warnings;
  part->warnings.push_back(text + "; returning partial results");
  result = std::move(part);
  return {};
}

std::int64_t floor_to(std::int64_t time, std::int64_t step) {
  const std::int64_t rest = time % step;
  return time - (rest < 0 ? rest + step : rest);
}

struct RangeQuery {
  QueryRequest request;
  Sharing sharing;
};

base::Result<RangeQuery> range_request(Call& call, const QueryLimits& limits) {
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
  SKALD_TRY(check_length(limits, range));
  if (limits.lookback_ns > 0) {
    range.start_ns = std::max(range.start_ns, call.now_ns - limits.lookback_ns);
    range.end_ns = std::max(range.end_ns, range.start_ns);
    request.start_ns = range.start_ns;
    request.end_ns = range.end_ns;
  }
  SKALD_TRY(check_expression(call, limits, *expr, range));
  if (expr->is_log()) {
    SKALD_TRY(check_entries(limits, request.limit));
    request.large = wants_categories(call) ? LargeAnswer::kPieces : LargeAnswer::kFoldedPieces;
  } else {
    // Points lie on multiples of the step, so that the answers to split queries fit together.
    request.start_ns = floor_to(range.start_ns, request.step_ns);
    request.end_ns = floor_to(range.end_ns + request.step_ns - 1, request.step_ns);
  }
  const bool fresh = has_token(call.http.header("cache-control"), "no-cache");
  // Who wants it fresh shares with its like.
  return RangeQuery{
      std::move(request),
      {(fresh ? "!" : "") + logql::to_string(*expr), !fresh && ResultCache::can_keep(*expr)}};
}

// Too much at once is Loki's 429, as when too many queries wait: the server is well, and the same
// query may be answered later.
ServerResponse query_error(const base::Status& status) {
  ServerResponse response = error_response(status);
  if (status.code() != base::Code::kUnavailable) return response;
  response.status = 429;
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

// An answer in pieces that ends early: its status line has said otherwise.
base::Status count_cut(QueryCounters& counters, const QueryResult& answer, base::Status status) {
  if (status.ok() || !std::holds_alternative<LogPiecesPtr>(answer.data)) return status;
  if (status.code() == base::Code::kCancelled) {
    counters.cancelled.fetch_add(1, std::memory_order_relaxed);
    return status;
  }
  counters.cut.fetch_add(1, std::memory_order_relaxed);
  spdlog::warn("an answer of {} entries was cut: {}", answer.stats.entries_returned,
               status.to_string());
  return status;
}

ServerResponse result_response(Call& call, const QueryLimits& limits, SharedRuns::Answer result,
                               model::Direction direction) {
  if (!result.ok()) return query_error(result.status());
  if (const base::Status status = limit_series(call, limits.series, *result); !status.ok())
    return error_response(status);
  QueryCounters& counters = call.api.query_counters;
  if (std::holds_alternative<LogPiecesPtr>((*result)->data))
    counters.in_pieces.fetch_add(1, std::memory_order_relaxed);
  ServerResponse response = ServerResponse::json({});
  response.stream = [answer = std::move(*result), categorize = wants_categories(call), direction,
                     cancelled = call.http.cancelled, &counters](net::BodySink& sink) {
    return count_cut(counters, *answer,
                     write_result(*answer, categorize, direction, sink, cancelled));
  };
  return response;
}

}  // namespace

ServerResponse query_range(Call& call) {
  const QueryLimits limits = query_limits(call);
  auto query = range_request(call, limits);
  if (!query.ok()) return error_response(query.status());
  const model::Direction direction = query->request.direction;
  auto result = run_query(call, limits, std::move(query->request), query->sharing);
  return result_response(call, limits, std::move(result), direction);
}

ServerResponse query_instant(Call& call) {
  const QueryLimits limits = query_limits(call);
  Sharing sharing;
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
    SKALD_TRY(check_expression(call, limits, *expr, {request.start_ns, request.end_ns}));
    sharing.normal = logql::to_string(*expr);
    return request;
  };
  auto request = build();
  if (!request.ok()) return error_response(request.status());
  return result_response(call, limits, run_query(call, limits, std::move(*request), sharing),
                         model::Direction::kBackward);
}

ServerResponse legacy_query(Call& call) {
  const QueryLimits limits = query_limits(call);
  auto query = range_request(call, limits);
  if (!query.ok()) return error_response(query.status());
  const model::Direction direction = query->request.direction;
  query->sharing.keep_steps = false;
  query->request.large = LargeAnswer::kWhole;
  const auto result = run_query(call, limits, std::move(query->request), query->sharing);
  if (!result.ok()) return query_error(result.status());
  const auto* data = std::get_if<Streams>(&(*result)->data);
  if (data == nullptr)
    return error_response(
        base::invalid_argument("legacy endpoints only support streams result type"));
  std::string out = "{\"streams\":[";
  bool first_stream = true;
  for (const FoldedStream& stream : fold_labels(data->streams, direction)) {
    out.append(first_stream ? "{\"labels\":" : ",{\"labels\":");
    first_stream = false;
    append_json_string(out, stream.labels().to_string());
    out.append(",\"entries\":[");
    for (std::size_t i = 0; i < stream.entries.size(); ++i) {
      out.append(i == 0 ? "{\"ts\":" : ",{\"ts\":");
      append_json_string(out, wire::format_rfc3339(stream.entries[i]->timestamp_ns));
      out.append(",\"line\":");
      append_json_string(out, stream.entries[i]->line);
      out.push_back('}');
    }
    out.append("]}");
  }
  out.append("],\"stats\":").append(stats_json((*result)->stats)).append("}");
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
