// What Logs Drilldown asks beside queries: detected labels and fields, its limits.
#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "proto/gotext/duration.h"
#include "query/api/api_impl.h"
#include "query/api/field_detect.h"
#include "query/api/json_out.h"
#include "query/api/version.h"
#include "query/logql/parser.h"

namespace skald::query::api {
namespace {

using net::ServerResponse;

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !std::isxdigit(static_cast<unsigned char>(text[i]))) return false;
  }
  return true;
}

bool is_id(const std::string& text) {
  const std::string type = detect_type(text);
  return type == "int" || type == "float" || is_uuid(text);
}

bool is_always_shown(std::string_view label) {
  return label == "cluster" || label == "namespace" || label == "instance" || label == "pod";
}

// The newest lines of the query, looked through.
base::Result<FieldDetector> detect(Call& call, std::uint32_t lines) {
  QueryRequest request;
  request.text = std::string(call.params.get("query"));
  SKALD_TRY_ASSIGN(const logql::ExprPtr expr, logql::parse(request.text));
  if (!expr->is_log())
    return base::invalid_argument("detected fields need a log query, not a metric query");
  SKALD_TRY_ASSIGN(const model::TimeRange range, parse_range(call.params, call.now_ns));
  request.start_ns = range.start_ns;
  request.end_ns = range.end_ns;
  request.limit = lines;
  request.cancelled = call.http.cancelled;
  request.timeout_ns = call.limits().query_timeout_ns;
  FieldDetector detector;
  for (const std::string& tenant : call.tenants) {
    request.tenant = tenant;
    SKALD_TRY_ASSIGN(const QueryResult result, call.api.deps.engine->run(request));
    for (const LogStream& stream : std::get<Streams>(result.data).streams)
      for (const LogEntry& entry : stream.entries) detector.add(stream, entry);
  }
  return detector;
}

struct FieldLimits {
  std::uint32_t lines = 100;
  std::uint32_t fields = 1000;
};

base::Result<FieldLimits> field_limits(const Call& call) {
  FieldLimits limits;
  SKALD_TRY_ASSIGN(limits.lines, parse_limit(call.params, "line_limit", 100));
  SKALD_TRY_ASSIGN(limits.fields, parse_limit(call.params, "limit", 1000));
  if (call.params.has("field_limit")) {
    SKALD_TRY_ASSIGN(limits.fields, parse_limit(call.params, "field_limit", 1000));
  }
  limits.lines = std::min<std::uint32_t>(limits.lines, 5000);
  return limits;
}

void append_field(std::string& out, const std::string& name, const DetectedField& field) {
  out.append("{\"label\":");
  append_json_string(out, name);
  out.append(",\"type\":\"").append(field.type).append("\",\"cardinality\":");
  append_unsigned(out, field.values.size());
  out.append(",\"parsers\":");
  std::vector<std::string> parsers;
  if (field.json) parsers.emplace_back("json");
  if (field.logfmt) parsers.emplace_back("logfmt");
  if (parsers.empty())
    out.append("null");
  else
    append_json_strings(out, parsers);
  if (!field.json_path.empty()) {
    out.append(",\"jsonPath\":");
    append_json_strings(out, field.json_path);
  }
  out.push_back('}');
}

}  // namespace

ServerResponse detected_labels(Call& call) {
  auto range = parse_range(call.params, call.now_ns);
  if (!range.ok()) return error_response(range.status());
  ++range->end_ns;
  const auto text = call.params.get("query");
  auto matchers = text.empty() || text == "{}" ? base::Result<model::Matchers>(model::Matchers())
                                               : logql::parse_matchers(text);
  if (!matchers.ok()) return error_response(matchers.status());
  std::map<std::string, std::set<std::string>> values;
  for (const std::string& tenant : call.tenants) {
    auto streams = call.api.deps.store->series({tenant, *range, *matchers});
    if (!streams.ok()) return error_response(streams.status());
    for (const store::StreamInfo& stream : *streams)
      for (const auto& [name, value] : stream.labels) values[name].insert(value);
  }
  std::string out = "{\"detectedLabels\":[";
  bool first = true;
  for (const auto& [name, set] : values) {
    if (!is_always_shown(name) && std::all_of(set.begin(), set.end(), is_id)) continue;
    out.append(first ? "{\"label\":" : ",{\"label\":");
    first = false;
    append_json_string(out, name);
    out.append(",\"cardinality\":");
    append_unsigned(out, set.size());
    out.push_back('}');
  }
  out.append("]}");
  return ServerResponse::json(std::move(out));
}

ServerResponse detected_fields(Call& call) {
  auto limits = field_limits(call);
  if (!limits.ok()) return error_response(limits.status());
  auto detector = detect(call, limits->lines);
  if (!detector.ok()) return error_response(detector.status());
  std::string out = "{\"fields\":[";
  std::uint32_t count = 0;
  for (const auto& [name, field] : detector->fields()) {
    if (count == limits->fields) break;
    if (count++ > 0) out.push_back(',');
    append_field(out, name, field);
  }
  out.append("],\"limit\":");
  append_unsigned(out, limits->fields);
  out.push_back('}');
  return ServerResponse::json(std::move(out));
}

ServerResponse detected_field_values(Call& call) {
  auto limits = field_limits(call);
  if (!limits.ok()) return error_response(limits.status());
  auto detector = detect(call, limits->lines);
  if (!detector.ok()) return error_response(detector.status());
  std::vector<std::string> values;
  const auto found = detector->fields().find(call.segments[0]);
  if (found != detector->fields().end())
    for (const std::string& value : found->second.values) {
      if (values.size() == limits->fields) break;
      values.push_back(value);
    }
  std::string out = "{\"values\":";
  append_json_strings(out, values);
  out.append(",\"limit\":");
  append_unsigned(out, limits->fields);
  out.push_back('}');
  return ServerResponse::json(std::move(out));
}

ServerResponse drilldown_limits(Call& call) {
  const TenantLimits& limits = call.limits();
  std::string out = "{\"limits\":{\"discover_log_levels\":";
  out.append(limits.discover_log_levels ? "true" : "false");
  out.append(",\"discover_service_name\":");
  append_json_strings(out, limits.discover_service_name);
  out.append(",\"log_level_fields\":");
  append_json_strings(out, limits.log_level_fields);
  out.append(",\"max_entries_limit_per_query\":");
  append_unsigned(out, limits.max_entries_limit_per_query);
  out.append(",\"max_line_size_truncate\":");
  out.append(limits.max_line_size_truncate ? "true" : "false");
  out.append(",\"max_query_bytes_read\":\"0B\",\"max_query_length\":");
  append_json_string(out, gotext::format_prometheus_duration(limits.max_query_length_ns));
  out.append(",\"max_query_lookback\":");
  append_json_string(out, gotext::format_prometheus_duration(limits.max_query_lookback_ns));
  out.append(",\"max_query_range\":\"0s\",\"max_query_series\":");
  append_unsigned(out, limits.max_query_series);
  out.append(",\"metric_aggregation_enabled\":false,\"pattern_persistence_enabled\":false");
  out.append(",\"query_timeout\":");
  append_json_string(out, gotext::format_prometheus_duration(limits.query_timeout_ns));
  out.append(",\"retention_period\":");
  append_json_string(out, gotext::format_prometheus_duration(limits.retention.period_ns));
  out.append(",\"volume_enabled\":").append(limits.volume_enabled ? "true" : "false");
  out.append(",\"volume_max_series\":");
  append_unsigned(out, limits.volume_max_series);
  out.append("},\"pattern_ingester_enabled\":true,\"version\":");
  append_json_string(out, kLokiVersion);
  out.push_back('}');
  return ServerResponse::json(std::move(out));
}

}  // namespace skald::query::api
