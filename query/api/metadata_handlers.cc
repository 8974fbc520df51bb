// labels, label values, series, index/stats.
#include <algorithm>
#include <set>

#include "query/api/api_impl.h"
#include "query/api/json_out.h"
#include "query/logql/parser.h"

namespace skald::query::api {
namespace {

using net::ServerResponse;

ServerResponse strings_response(std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  std::string out = "{\"status\":\"success\",\"data\":";
  append_json_strings(out, values);
  out.push_back('}');
  return ServerResponse::json(std::move(out));
}

// The legacy label routes answer {"values":[...]}.
bool is_legacy(const Call& call) { return call.http.path().substr(0, 10) == "/api/prom/"; }

ServerResponse legacy_strings(std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  std::string out = "{\"values\":";
  append_json_strings(out, values);
  out.push_back('}');
  return ServerResponse::json(std::move(out));
}

base::Result<model::Matchers> selector_param(std::string_view text) {
  if (text.empty()) return model::Matchers();
  return logql::parse_matchers(text);
}

base::Result<store::LabelQuery> label_query(Call& call) {
  store::LabelQuery query;
  SKALD_TRY_ASSIGN(query.range, parse_range(call.params, call.now_ns));
  ++query.range.end_ns;  // both ends count here
  SKALD_TRY_ASSIGN(query.matchers, selector_param(call.params.get("query")));
  return query;
}

}  // namespace

ServerResponse labels(Call& call) {
  auto query = label_query(call);
  if (!query.ok()) return error_response(query.status());
  std::vector<std::string> names;
  for (const std::string& tenant : call.tenants) {
    query->tenant = tenant;
    auto some = call.api.deps.store->label_names(*query);
    if (!some.ok()) return error_response(some.status());
    names.insert(names.end(), some->begin(), some->end());
  }
  if (call.tenants.size() > 1) names.emplace_back("__tenant_id__");
  return is_legacy(call) ? legacy_strings(std::move(names)) : strings_response(std::move(names));
}

ServerResponse label_values(Call& call) {
  auto query = label_query(call);
  if (!query.ok()) return error_response(query.status());
  std::vector<std::string> values;
  for (const std::string& tenant : call.tenants) {
    if (call.tenants.size() > 1 && call.segments[0] == "__tenant_id__") {
      values.push_back(tenant);
      continue;
    }
    query->tenant = tenant;
    auto some = call.api.deps.store->label_values(*query, call.segments[0]);
    if (!some.ok()) return error_response(some.status());
    values.insert(values.end(), some->begin(), some->end());
  }
  return is_legacy(call) ? legacy_strings(std::move(values)) : strings_response(std::move(values));
}

ServerResponse series(Call& call) {
  auto range = parse_range(call.params, call.now_ns);
  if (!range.ok()) return error_response(range.status());
  ++range->end_ns;
  std::vector<std::string> selectors = call.params.all("match");
  for (std::string& more : call.params.all("match[]")) selectors.push_back(std::move(more));
  std::vector<model::Matchers> groups;
  logql::RegexBudget regexes;
  for (const std::string& selector : selectors) {
    if (selector == "{}" && selectors.size() == 1) break;
    auto matchers = logql::parse_matchers(selector, true, &regexes);
    if (!matchers.ok()) return error_response(matchers.status());
    groups.push_back(std::move(*matchers));
  }
  if (groups.empty()) groups.emplace_back();
  std::set<model::Labels> found;
  for (const std::string& tenant : call.tenants) {
    for (const model::Matchers& matchers : groups) {
      auto some = call.api.deps.store->series({tenant, *range, matchers});
      if (!some.ok()) return error_response(some.status());
      for (store::StreamInfo& stream : *some) {
        if (call.tenants.size() > 1) stream.labels.set("__tenant_id__", tenant);
        found.insert(std::move(stream.labels));
      }
    }
  }
  std::string out = "{\"status\":\"success\",\"data\":[";
  bool first = true;
  for (const model::Labels& one : found) {
    if (!first) out.push_back(',');
    first = false;
    append_json_labels(out, one);
  }
  out.append("]}");
  return ServerResponse::json(std::move(out));
}

ServerResponse index_stats(Call& call) {
  auto range = parse_range(call.params, call.now_ns);
  if (!range.ok()) return error_response(range.status());
  auto matchers = logql::parse_matchers(call.params.get("query"), false);
  if (!matchers.ok()) return error_response(matchers.status());
  std::uint64_t streams = 0, chunks = 0, bytes = 0, entries = 0;
  for (const std::string& tenant : call.tenants) {
    auto rows = call.api.deps.store->volume({tenant, *range, *matchers});
    if (!rows.ok()) return error_response(rows.status());
    for (const store::VolumeRow& row : *rows) {
      ++streams;
      chunks += row.chunks;
      bytes += row.bytes;
      entries += row.entries;
    }
  }
  std::string out = "{\"streams\":";
  append_unsigned(out, streams);
  out.append(",\"chunks\":");
  append_unsigned(out, chunks);
  out.append(",\"bytes\":");
  append_unsigned(out, bytes);
  out.append(",\"entries\":");
  append_unsigned(out, entries);
  out.push_back('}');
  return ServerResponse::json(std::move(out));
}

}  // namespace skald::query::api
