#include "query/api/query_limits.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iterator>

#include "proto/gotext/duration.h"
#include "query/api/api_impl.h"

namespace skald::query::api {
namespace {

constexpr std::size_t kHeaderBytesMax = 16U << 10;
constexpr std::size_t kRequiredLabelsMax = 64;

template <typename T>
void take_stricter(T& limit, T other) {
  if (other > 0 && (limit == 0 || other < limit)) limit = other;
}

std::string duration_text(std::int64_t ns) {  // 721h0m0s
  const std::int64_t seconds = ns / base::kNsPerSecond;
  return std::to_string(seconds / 3600) + "h" + std::to_string(seconds / 60 % 60) + "m" +
         std::to_string(seconds % 60) + "s";
}

std::string size_text(std::uint64_t bytes) {  // 1.5MB, as Loki prints sizes
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 1000 && unit + 1 < std::size(kUnits); ++unit) size /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f%s" : "%.3g%s", size, kUnits[unit]);
  return text;
}

std::string list_text(const std::vector<std::string>& names) {  // [a b]
  std::string out = "[";
  for (const std::string& name : names) out.append(out.size() > 1 ? " " : "").append(name);
  return out + "]";
}

using Object = simdjson::dom::object;

void narrow_duration(const Object& object, const char* key, std::int64_t& limit) {
  std::string_view text;
  if (object[key].get_string().get(text) != simdjson::SUCCESS) return;
  if (const auto ns = gotext::parse_logql_duration(text); ns.ok()) take_stricter(limit, *ns);
}

void narrow_count(const Object& object, const char* key, std::uint64_t& limit) {
  std::uint64_t count = 0;
  std::string_view text;
  if (object[key].get_uint64().get(count) == simdjson::SUCCESS) return take_stricter(limit, count);
  if (object[key].get_string().get(text) != simdjson::SUCCESS) return;
  if (const auto bytes = gotext::parse_bytes(text); bytes.ok())
    take_stricter(limit, static_cast<std::uint64_t>(*bytes));
}

void for_each_selector(const logql::Expr& expr,
                       const std::function<void(const logql::LogSelector&)>& visit) {
  if (const auto* selector = expr.as<logql::LogSelector>()) visit(*selector);
  logql::for_each_range(expr, [&visit](const logql::LogRange& range) { visit(range.selector); });
}

base::Status check_labels(const QueryLimits& limits, const logql::LogSelector& selector) {
  std::vector<std::string> present;
  for (const auto& matcher : selector.matchers) present.push_back(matcher->name());
  std::vector<std::string> missing;
  for (const std::string& name : limits.required_labels)
    if (std::find(present.begin(), present.end(), name) == present.end()) missing.push_back(name);
  if (!missing.empty())
    return base::invalid_argument("stream selector is missing required matchers " +
                                  list_text(missing) + ", labels present in the query were " +
                                  list_text(present));
  if (present.size() < limits.minimum_labels)
    return base::invalid_argument(
        "stream selector has less label matchers than required: (present: " + list_text(present) +
        ", number of label matchers: " + std::to_string(present.size()) +
        ", required number label matchers: " + std::to_string(limits.minimum_labels) + ")");
  return {};
}

base::Status check_ranges(const QueryLimits& limits, const logql::Expr& expr) {
  base::Status status;
  if (limits.range_ns > 0)
    logql::for_each_range(expr, [&](const logql::LogRange& range) {
      if (status.ok() && range.interval_ns > limits.range_ns)
        status =
            base::invalid_argument("[interval] value exceeds limit: [" +
                                   gotext::format_prometheus_duration(range.interval_ns) + "] > [" +
                                   gotext::format_prometheus_duration(limits.range_ns) + "]");
    });
  return status;
}

}  // namespace

void narrow(QueryLimits& limits, std::string_view header) {
  if (header.empty() || header.size() > kHeaderBytesMax) return;
  simdjson::dom::parser parser;
  Object object;
  if (parser.parse(header.data(), header.size()).get_object().get(object) != simdjson::SUCCESS)
    return;
  narrow_duration(object, "maxQueryLength", limits.length_ns);
  narrow_duration(object, "maxQueryInterval", limits.range_ns);
  narrow_duration(object, "maxQueryLookback", limits.lookback_ns);
  narrow_duration(object, "maxQueryTime", limits.timeout_ns);
  narrow_count(object, "maxEntriesLimitPerQuery", limits.entries);
  narrow_count(object, "maxQueryBytesRead", limits.bytes_read);
  std::uint64_t minimum = 0;
  narrow_count(object, "minimumLabelsNumber", minimum);
  limits.minimum_labels = std::max(limits.minimum_labels, minimum);
  simdjson::dom::array names;
  if (object["requiredLabels"].get_array().get(names) != simdjson::SUCCESS) return;
  for (const simdjson::dom::element name : names) {
    std::string_view text;
    if (limits.required_labels.size() >= kRequiredLabelsMax) return;
    if (name.get_string().get(text) == simdjson::SUCCESS) limits.required_labels.emplace_back(text);
  }
}

QueryLimits query_limits(const Call& call) {
  QueryLimits out;
  for (const std::string& tenant : call.tenants) {
    const TenantLimits& own = call.settings->limits_of(tenant);
    take_stricter(out.entries, own.max_entries_limit_per_query);
    take_stricter(out.series, own.max_query_series);
    take_stricter(out.length_ns, own.max_query_length_ns);
    take_stricter(out.lookback_ns, own.max_query_lookback_ns);
    take_stricter(out.timeout_ns, own.query_timeout_ns);
    take_stricter(out.range_ns, own.max_query_range_ns);
    take_stricter(out.bytes_read, own.max_query_bytes_read);
    out.minimum_labels = std::max(out.minimum_labels, own.minimum_labels_number);
    out.required_labels.insert(out.required_labels.end(), own.required_labels.begin(),
                               own.required_labels.end());
  }
  narrow(out, call.http.header("x-loki-query-limits"));
  return out;
}

base::Status check_length(const QueryLimits& limits, const model::TimeRange& range) {
  const std::int64_t length = range.end_ns - range.start_ns;
  if (limits.length_ns <= 0 || length <= limits.length_ns) return {};
  return base::invalid_argument(
      "the query time range exceeds the limit (query length: " + duration_text(length) +
      ", limit: " + duration_text(limits.length_ns) + ")");
}

base::Status check_entries(const QueryLimits& limits, std::uint32_t limit) {
  if (limits.entries == 0 || limit <= limits.entries) return {};
  return base::invalid_argument(
      "max entries limit per query exceeded, limit > max_entries_limit_per_query (" +
      std::to_string(limit) + " > " + std::to_string(limits.entries) + ")");
}

base::Status check_expression(const Call& call, const QueryLimits& limits, const logql::Expr& expr,
                              const model::TimeRange& range) {
  SKALD_TRY(check_ranges(limits, expr));
  base::Status status;
  for_each_selector(expr, [&](const logql::LogSelector& selector) {
    if (status.ok()) status = check_labels(limits, selector);
  });
  if (!status.ok() || limits.bytes_read == 0) return status;
  std::uint64_t bytes = 0;
  const auto add = [&](const logql::LogSelector& selector, std::int64_t before_ns) {
    for (const std::string& tenant : call.tenants) {
      const model::TimeRange all{std::max<std::int64_t>(range.start_ns - before_ns, 0),
                                 range.end_ns + 1};
      auto rows = call.api.deps.store->volume({tenant, all, logql::copy_matchers(selector)});
      if (!rows.ok()) {
        status = std::move(rows).status();
        return;
      }
      for (const store::VolumeRow& row : *rows) bytes += row.bytes;
    }
  };
  if (const auto* selector = expr.as<logql::LogSelector>()) add(*selector, 0);
  logql::for_each_range(expr, [&](const logql::LogRange& of) {
    if (status.ok()) add(of.selector, of.interval_ns + of.offset_ns);
  });
  if (!status.ok() || bytes <= limits.bytes_read) return status;
  return base::invalid_argument(
      "the query would read too many bytes (query: " + size_text(bytes) +
      ", limit: " + size_text(limits.bytes_read) +
      "); consider adding more specific stream selectors or reduce the time range of the query");
}

}  // namespace skald::query::api
