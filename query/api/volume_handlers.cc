// index/volume and index/volume_range: bytes per group of streams.
#include <algorithm>
#include <map>
#include <set>

#include "query/api/api_impl.h"
#include "query/api/json_out.h"
#include "query/logql/parser.h"

namespace skald::query::api {
namespace {

using net::ServerResponse;

constexpr std::int64_t kBucketsMax = 2000;      // each is a look at the index
constexpr std::size_t kTargetLabelsMax = 1000;  // each is a matcher

struct VolumeQuery {
  model::TimeRange range;
  model::Matchers matchers;
  std::set<std::string, std::less<>> group;  // label names that tell series apart
  bool all_labels = false;
  bool by_label = false;  // aggregateBy=labels
  std::uint32_t limit = 100;
};

// A series: its labels, or for aggregateBy=labels one name with an empty value.
using Volumes = std::map<std::vector<model::Labels::Pair>, std::uint64_t>;

base::Result<VolumeQuery> parse(Call& call) {
  VolumeQuery query;
  SKALD_TRY_ASSIGN(query.range, parse_range(call.params, call.now_ns));
  SKALD_TRY_ASSIGN(query.matchers, logql::parse_matchers(call.params.get("query"), false));
  SKALD_TRY_ASSIGN(query.limit, parse_limit(call.params, "limit", 100, true));
  const auto aggregate = call.params.get("aggregateBy");
  query.by_label = aggregate == "labels";
  if (!aggregate.empty() && aggregate != "series" && !query.by_label)
    return base::invalid_argument("invalid aggregation option");
  std::string_view targets = call.params.get("targetLabels");
  while (!targets.empty()) {
    const std::size_t comma = targets.find(',');
    if (comma != 0) query.group.emplace(targets.substr(0, comma));
    targets = comma == std::string_view::npos ? std::string_view() : targets.substr(comma + 1);
  }
  if (query.group.size() > kTargetLabelsMax)
    return base::invalid_argument("more than " + std::to_string(kTargetLabelsMax) +
                                  " target labels");
  if (!query.group.empty()) {
    for (const std::string& name : query.group) {
      const bool matched = std::any_of(query.matchers.begin(), query.matchers.end(),
                                       [&](const auto& m) { return m.name() == name; });
      if (matched) continue;
      SKALD_TRY_ASSIGN(model::Matcher present,
                       model::Matcher::create(name, model::Matcher::Op::kRegex, ".+"));
      query.matchers.push_back(std::move(present));
    }
    return query;
  }
  for (const model::Matcher& matcher : query.matchers) query.group.insert(matcher.name());
  query.all_labels = query.group.empty();
  return query;
}

void add_row(const VolumeQuery& query, const store::VolumeRow& row, Volumes& volumes) {
  std::vector<model::Labels::Pair> series;
  for (const auto& pair : row.stream.labels) {
    if (!query.all_labels && query.group.count(pair.first) == 0) continue;
    if (query.by_label)
      volumes[{{pair.first, std::string()}}] += row.bytes;
    else
      series.push_back(pair);
  }
  if (!query.by_label && !series.empty()) volumes[std::move(series)] += row.bytes;
}

base::Result<Volumes> collect(Call& call, const VolumeQuery& query, model::TimeRange range) {
  Volumes volumes;
  for (const std::string& tenant : call.tenants) {
    SKALD_TRY_ASSIGN(const auto rows, call.api.deps.store->volume({tenant, range, query.matchers}));
    for (const store::VolumeRow& row : rows) add_row(query, row, volumes);
  }
  const std::uint64_t most = call.limits().volume_max_series;
  if (most != 0 && volumes.size() > most)
    return base::invalid_argument("the query hit the max number of series limit (limit: " +
                                  std::to_string(most) + " series)");
  return volumes;
}

void append_metric(std::string& out, const std::vector<model::Labels::Pair>& series) {
  out.append("{\"metric\":{");
  for (std::size_t i = 0; i < series.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_json_string(out, series[i].first);
    out.push_back(':');
    append_json_string(out, series[i].second);
  }
  out.push_back('}');
}

struct VolumeSeries {
  std::vector<model::Labels::Pair> labels;
  std::vector<std::pair<std::int64_t, std::uint64_t>> points;  // ms, bytes
};

void append_point(std::string& out, const std::pair<std::int64_t, std::uint64_t>& point) {
  out.push_back('[');
  append_seconds(out, point.first);
  out.append(",\"");
  append_unsigned(out, point.second);
  out.append("\"]");
}

ServerResponse respond(std::vector<VolumeSeries> series, std::uint32_t limit) {
  std::sort(series.begin(), series.end(), [](const VolumeSeries& a, const VolumeSeries& b) {
    const std::uint64_t left = a.points.front().second;
    const std::uint64_t right = b.points.front().second;
    return left != right ? left > right : a.labels < b.labels;
  });
  if (series.size() > limit) series.resize(limit);
  const bool matrix = std::any_of(series.begin(), series.end(),
                                  [](const VolumeSeries& s) { return s.points.size() > 1; });
  std::string out = "{\"status\":\"success\",\"data\":{\"resultType\":";
  out.append(matrix ? "\"matrix\"" : "\"vector\"").append(",\"result\":[");
  for (std::size_t i = 0; i < series.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_metric(out, series[i].labels);
    out.append(matrix ? ",\"values\":[" : ",\"value\":");
    for (std::size_t p = 0; p < series[i].points.size(); ++p) {
      if (p > 0) out.push_back(',');
      append_point(out, series[i].points[p]);
    }
    out.append(matrix ? "]}" : "}");
  }
  out.append("],\"stats\":{}}}");
  return ServerResponse::json(std::move(out));
}

bool enabled(const Call& call) { return call.limits().volume_enabled; }
ServerResponse disabled() { return ServerResponse::text(404, "volume endpoints are not enabled"); }

}  // namespace

ServerResponse index_volume(Call& call) {
  if (!enabled(call)) return disabled();
  auto query = parse(call);
  if (!query.ok()) return error_response(query.status());
  auto volumes = collect(call, *query, query->range);
  if (!volumes.ok()) return error_response(volumes.status());
  std::vector<VolumeSeries> series;
  for (auto& [labels, bytes] : *volumes)
    series.push_back({labels, {{query->range.end_ns / base::kNsPerMs, bytes}}});
  return respond(std::move(series), query->limit);
}

ServerResponse index_volume_range(Call& call) {
  if (!enabled(call)) return disabled();
  auto query = parse(call);
  if (!query.ok()) return error_response(query.status());
  auto step = parse_query_step(call.params, query->range);
  if (!step.ok()) return error_response(step.status());
  if ((query->range.end_ns - query->range.start_ns) / *step > kBucketsMax)
    return error_response(base::invalid_argument("more than " + std::to_string(kBucketsMax) +
                                                 " steps: increase the step parameter"));
  std::map<std::vector<model::Labels::Pair>, VolumeSeries> all;
  for (std::int64_t at = query->range.start_ns; at < query->range.end_ns; at += *step) {
    const model::TimeRange bucket{at, std::min(at + *step, query->range.end_ns)};
    auto volumes = collect(call, *query, bucket);
    if (!volumes.ok()) return error_response(volumes.status());
    for (const auto& [labels, bytes] : *volumes) {
      VolumeSeries& series = all[labels];
      series.labels = labels;
      if (bytes > 0) series.points.emplace_back(bucket.end_ns / base::kNsPerMs, bytes);
    }
  }
  std::vector<VolumeSeries> series;
  for (auto& [labels, one] : all)
    if (!one.points.empty()) series.push_back(std::move(one));
  return respond(std::move(series), query->limit);
}

}  // namespace skald::query::api
