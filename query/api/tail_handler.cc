// GET /loki/api/v1/tail: checks the query, reads the backlog, becomes a WebSocket.
#include <algorithm>

#include "query/api/api_impl.h"
#include "query/api/tail.h"
#include "query/api/tailer.h"
#include "query/logql/parser.h"

namespace skald::query::api {
namespace {

using net::ServerResponse;

constexpr std::int64_t kDelayMaxSeconds = 5;

base::Result<std::shared_ptr<Tailer>> make_tailer(Call& call) {
  SKALD_TRY_ASSIGN(const logql::ExprPtr expr, logql::parse(call.params.get("query")));
  const auto* selector = expr->as<logql::LogSelector>();
  if (selector == nullptr)
    return base::invalid_argument("parse error : only log selectors can be tailed");
  SKALD_TRY_ASSIGN(Stages stages, compile_stages(logql::execution_order(selector->pipeline)));
  Hints hints = Hints::for_log(stages);
  auto tailer = std::make_shared<Tailer>(std::move(stages), std::move(hints));
  tailer->tenant = call.tenant;
  tailer->matchers = logql::copy_matchers(*selector);
  tailer->created_ns = call.api.deps.clock->monotonic_ns();
  tailer->categorize =
      call.http.header("x-loki-response-encoding-flags").find("categorize-labels") !=
      std::string_view::npos;
  if (const auto text = call.params.get("delay_for"); !text.empty()) {
    const std::string digits(text);
    if (digits.find_first_not_of("0123456789") != std::string::npos || digits.size() > 9)
      return base::invalid_argument("cannot parse delay_for: want an integer of seconds");
    const std::int64_t seconds = std::stol(digits);
    if (seconds > kDelayMaxSeconds)
      return base::invalid_argument("delay_for can't be greater than 5");
    tailer->delay_ns = seconds * base::kNsPerSecond;
  }
  return tailer;
}

// The newest `limit` lines since `start`, oldest first.
base::Status read_backlog(Call& call, Tailer& tailer) {
  QueryRequest request;
  request.tenant = call.tenant;
  request.text = std::string(call.params.get("query"));
  SKALD_TRY_ASSIGN(request.limit, parse_limit(call.params, "limit", 100));
  const std::uint64_t most = call.limits().max_entries_limit_per_query;
  if (most != 0 && request.limit > most) request.limit = static_cast<std::uint32_t>(most);
  request.start_ns = call.now_ns - 3600LL * base::kNsPerSecond;
  if (const auto text = call.params.get("start"); !text.empty()) {
    SKALD_TRY_ASSIGN(request.start_ns, parse_time(text));
  }
  request.end_ns = std::max(call.api.deps.clock->wall_ns(), request.start_ns) + 1;
  request.cancelled = call.http.cancelled;
  SKALD_TRY_ASSIGN(QueryResult result, call.api.deps.engine->run(request));
  auto* streams = std::get_if<Streams>(&result.data);
  if (streams == nullptr) return {};
  std::vector<TailEntry> entries;
  for (LogStream& stream : streams->streams)
    for (LogEntry& entry : stream.entries)
      entries.push_back({LogStream{stream.labels, {}}, std::move(entry)});
  std::reverse(entries.begin(), entries.end());
  std::stable_sort(entries.begin(), entries.end(), [](const TailEntry& a, const TailEntry& b) {
    return a.entry.timestamp_ns < b.entry.timestamp_ns;
  });
  for (TailEntry& entry : entries) {
    tailer.backlog_keys.insert(entry.key());
    tailer.waiting.push_back(std::move(entry));
  }
  return {};
}

}  // namespace

ServerResponse tail(Call& call) {
  TailHub& hub = call.api.tails;
  auto tailer = make_tailer(call);
  if (!tailer.ok()) return error_response(tailer.status());
  const std::uint64_t most = call.limits().max_concurrent_tail_requests;
  if (const std::size_t open = hub.count(call.tenant); most != 0 && open >= most)
    return error_response(
        base::invalid_argument("max concurrent tail requests limit exceeded, count > limit (" +
                               std::to_string(open + 1) + " > " + std::to_string(most) + ")"));
  hub.add(*tailer);
  if (const base::Status status = read_backlog(call, **tailer); !status.ok()) {
    hub.remove(*tailer);
    return error_response(status);
  }
  ServerResponse response;
  response.websocket = [tailer = *tailer, &hub](std::shared_ptr<net::WebSocket> socket) {
    tailer->socket = std::move(socket);
    tailer->open.store(true, std::memory_order_release);
    hub.wake();
  };
  return response;
}

}  // namespace skald::query::api
