#include <string_view>

#include "query/alert/ruler.h"
#include "query/api/api_impl.h"

namespace skald::query::api {

namespace {
constexpr char kRulesPath[] = "/loki/api/v1/rules";
constexpr char kRuleStatePath[] = "/prometheus/api/v1/rules";
}  // namespace

const std::vector<Route>& routes() {
  static constexpr char kRead[] = "GET HEAD POST";
  static const std::vector<Route> table = {
      {"/loki/api/v1/push", "POST", kPush, kPushLane, true, true, push},
      {"/api/prom/push", "POST", kPush, kPushLane, true, true, push_legacy},
      {"/otlp/v1/logs", "POST", kPush, kPushLane, true, true, push_otlp},
      {"/skald/v1/marks", "GET", kPush, kSmallLane, true, true, marks},
      {"/loki/api/v1/query_range", kRead, kQuery, kQueryLane, true, false, query_range},
      {"/loki/api/v1/query", kRead, kQuery, kQueryLane, true, false, query_instant},
      {"/loki/api/v1/labels", kRead, kQuery, kQueryLane, true, false, labels},
      {"/loki/api/v1/label", kRead, kQuery, kQueryLane, true, false, labels},
      {"/loki/api/v1/label/{}/values", kRead, kQuery, kQueryLane, true, false, label_values},
      {"/loki/api/v1/series", kRead, kQuery, kQueryLane, true, false, series},
      {"/loki/api/v1/index/stats", kRead, kQuery, kQueryLane, true, false, index_stats},
      {"/loki/api/v1/index/volume", kRead, kQuery, kQueryLane, true, false, index_volume},
      {"/loki/api/v1/index/volume_range", kRead, kQuery, kQueryLane, true, false,
       index_volume_range},
      {"/loki/api/v1/patterns", kRead, kQuery, kQueryLane, true, false, patterns},
      {"/loki/api/v1/detected_labels", kRead, kQuery, kQueryLane, true, false, detected_labels},
      {"/loki/api/v1/detected_fields", kRead, kQuery, kQueryLane, true, false, detected_fields},
      {"/loki/api/v1/detected_field/{}/values", kRead, kQuery, kQueryLane, true, false,
       detected_field_values},
      {"/loki/api/v1/drilldown-limits", kRead, kQuery, kSmallLane, true, true, drilldown_limits},
      {"/loki/api/v1/tail", kRead, kQuery, kQueryLane, true, true, tail},
      {"/api/prom/tail", kRead, kQuery, kQueryLane, true, true, tail},
      {"/loki/api/v1/delete", "GET HEAD POST PUT DELETE", kAdmin, kSmallLane, true, true, deletes},
      {kRulesPath, "GET HEAD POST PUT DELETE", kRules, kQueryLane, true, true, rules},
      {kRuleStatePath, kRead, kQuery, kQueryLane, true, true, rules},
      {"/loki/api/v1/format_query", kRead, kQuery, kSmallLane, false, false, format_query},
      {"/loki/api/v1/status/buildinfo", kRead, kOpen, kSmallLane, false, false, buildinfo},
      {"/api/prom/query", kRead, kQuery, kQueryLane, true, false, legacy_query},
      {"/api/prom/label", kRead, kQuery, kQueryLane, true, false, labels},
      {"/api/prom/label/{}/values", kRead, kQuery, kQueryLane, true, false, label_values},
      {"/api/prom/series", kRead, kQuery, kQueryLane, true, false, series},
      {"/ready", kRead, kOpen, kSmallLane, false, false, ready},
      {"/metrics", kRead, kOpen, kSmallLane, false, false, metrics},
      {"/config", kRead, kAdmin, kSmallLane, false, false, config},
      {"/services", kRead, kAdmin, kSmallLane, false, false, services},
      {"/loglevel", kRead, kAdmin, kSmallLane, false, false, log_level},
      {"/log_level", kRead, kAdmin, kSmallLane, false, false, log_level},
      {"/flush", kRead, kAdmin, kQueryLane, false, false, flush},
      {"/skald/v1/compact", "POST", kAdmin, kQueryLane, false, false, compact},
      {"/skald/v1/backup", "POST", kAdmin, kQueryLane, false, false, backup},
      {"/-/reload", "POST PUT", kAdmin, kSmallLane, false, false, reload},
      {"/", kRead, kOpen, kSmallLane, false, false, status_page},
  };
  return table;
}

namespace {

bool match(std::string_view pattern, std::string_view path,
           std::vector<std::string_view>* segments) {
  if (segments != nullptr) segments->clear();
  while (!pattern.empty() && !path.empty()) {
    if (pattern.substr(0, 2) == "{}") {
      const std::size_t end = std::min(path.find('/'), path.size());
      if (end == 0) return false;
      if (segments != nullptr) segments->push_back(path.substr(0, end));
      path.remove_prefix(end);
      pattern.remove_prefix(2);
    } else if (pattern.front() == path.front()) {
      pattern.remove_prefix(1);
      path.remove_prefix(1);
    } else {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

}  // namespace

const Route* find_route(std::string_view path, std::vector<std::string_view>* segments) {
  for (const Route& route : routes())
    if (match(route.path, path, segments)) return &route;
  // The ruler parses its own paths; these two entries stand for them all.
  if (alert::Ruler::is_rule_path(path)) {
    const bool state = path.substr(0, 12) == "/prometheus/";
    for (const Route& route : routes())
      if (std::string_view(route.path) == (state ? kRuleStatePath : kRulesPath)) return &route;
  }
  if (path.size() > 1 && path.back() == '/')
    return find_route(path.substr(0, path.size() - 1), segments);
  return nullptr;
}

}  // namespace skald::query::api
