// The delete API: create, list, cancel; and the filters that deletes run with.
#include <algorithm>

#include "query/api/api_impl.h"
#include "query/api/delete_filters.h"
#include "query/api/json_out.h"
#include "query/exec/stage.h"
#include "query/logql/parser.h"
#include "query/plan/pushdown.h"

namespace skald::query::api {
namespace {

using net::ServerResponse;

base::Result<logql::LogSelector> parse_selector(std::string_view text) {
  if (text.empty()) return base::invalid_argument("query not set");
  SKALD_TRY_ASSIGN(logql::ExprPtr expr, logql::parse(text));
  auto* selector = std::get_if<logql::LogSelector>(&expr->node);
  if (selector == nullptr)
    return base::invalid_argument("delete takes a log selector, not a metric query");
  for (const logql::Stage& stage : selector->pipeline)
    if (!std::holds_alternative<logql::LineFilters>(stage))
      return base::invalid_argument("delete takes a selector and line filters only");
  return std::move(*selector);
}

ServerResponse create(Call& call) {
  if (!call.limits().deletes_enabled)
    return ServerResponse::text(403, "deletion is not available for this tenant");
  const std::string query(call.params.get("query"));
  auto selector = parse_selector(query);
  if (!selector.ok()) return error_response(selector.status());
  if (!call.params.has("start"))
    return error_response(base::invalid_argument("start time not set"));
  auto start = parse_time(call.params.get("start"));
  if (!start.ok())
    return error_response(
        base::invalid_argument("invalid start time: require unix seconds or RFC3339 format"));
  auto end = call.params.has("end") ? parse_time(call.params.get("end"))
                                    : base::Result<std::int64_t>(call.now_ns);
  if (!end.ok())
    return error_response(
        base::invalid_argument("invalid end time: require unix seconds or RFC3339 format"));
  if (*end > call.now_ns + base::kNsPerSecond)
    return error_response(base::invalid_argument("deletes in the future are not allowed"));
  if (*start >= *end)
    return error_response(base::invalid_argument("start time can't be greater than end time"));
  store::DeleteRequest request;
  request.tenant = call.tenant;
  request.query = query;
  request.matchers = logql::copy_matchers(*selector);
  if (!selector->pipeline.empty()) request.line_filters.push_back(query);
  request.range = {*start, *end};
  request.created_ns = call.now_ns;
  auto id = call.api.deps.store->add_delete(std::move(request));
  call.api.forget_answers();
  if (!id.ok()) return error_response(id.status());
  ServerResponse response;
  response.status = 204;
  response.headers.emplace_back("X-Delete-Request-ID", *id);
  return response;
}

ServerResponse list(Call& call) {
  auto requests = call.api.deps.store->deletes(call.tenant);
  std::sort(requests.begin(), requests.end(),
            [](const auto& a, const auto& b) { return a.created_ns < b.created_ns; });
  std::string out = "[";
  for (const store::DeleteRequest& request : requests) {
    if (out.size() > 1) out.push_back(',');
    out.append("{\"request_id\":");
    append_json_string(out, request.id);
    const auto time = [&out](const char* name, std::int64_t ns) {
      out.append(",\"").append(name).append("\":");
      append_integer(out, ns / base::kNsPerSecond);
    };
    time("start_time", request.range.start_ns);
    time("end_time", request.range.end_ns);
    out.append(",\"query\":");
    append_json_string(out, request.query);
    out.append(",\"status\":")
        .append(request.state == store::DeleteRequest::State::kProcessed ? "\"processed\""
                                                                         : "\"received\"");
    time("created_at", request.created_ns);
    out.push_back('}');
  }
  return ServerResponse::json(out + "]");
}

ServerResponse cancel(Call& call) {
  const std::string id(call.params.get("request_id"));
  const auto requests = call.api.deps.store->deletes(call.tenant);
  const auto found = std::find_if(requests.begin(), requests.end(),
                                  [&](const auto& request) { return request.id == id; });
  if (found == requests.end())
    return ServerResponse::text(404, "could not find delete request with given id");
  if (found->state == store::DeleteRequest::State::kProcessed)
    return ServerResponse::text(
        400, "deletion of request which is in process or already processed is not allowed");
  if (const base::Status status = call.api.deps.store->cancel_delete(call.tenant, id); !status.ok())
    return error_response(status);
  call.api.forget_answers();
  ServerResponse response;
  response.status = 204;
  return response;
}

}  // namespace

ServerResponse deletes(Call& call) {
  if (call.http.method == "GET" || call.http.method == "HEAD") return list(call);
  if (call.http.method == "DELETE") return cancel(call);
  return create(call);
}

base::Result<std::vector<store::LineFilter>> DeleteFilters::make(
    const store::DeleteRequest& request) {
  std::vector<store::LineFilter> filters;
  for (const std::string& text : request.line_filters) {
    SKALD_TRY_ASSIGN(const logql::LogSelector selector, parse_selector(text));
    SKALD_TRY_ASSIGN(
        plan::LineFilterPlan plan,
        plan::plan_line_filters(logql::execution_order(selector.pipeline), compile_line_matcher));
    std::lock_guard lock(mutex_);
    for (auto& filter : plan.filters) filters.push_back(std::move(filter));
    for (auto& matcher : plan.matchers) matchers_.push_back(std::move(matcher));
  }
  return filters;
}

}  // namespace skald::query::api
