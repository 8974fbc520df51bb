// The rule API: what Grafana, lokitool and Prometheus-style clients call.
#include <algorithm>
#include <optional>
#include <set>

#include "proto/gotext/number.h"
#include "proto/gotext/strings.h"
#include "proto/gotext/time_layout.h"
#include "proto/net/url.h"
#include "query/alert/encode.h"
#include "query/alert/limits.h"
#include "query/alert/ruler_impl.h"

namespace skald::query::alert {
namespace {

using net::ServerResponse;

ServerResponse text_error(int status, std::string_view message) {
  return ServerResponse::text(status, std::string(message) + "\n");
}

ServerResponse yaml(std::string body) {
  ServerResponse response = ServerResponse::text(200, std::move(body));
  response.content_type = "application/yaml";
  return response;
}

ServerResponse json_error(int status, std::string_view type, std::string_view message) {
  std::string body = "{\"status\":\"error\",\"data\":null,\"errorType\":";
  append_json(body, type);
  body += ",\"error\":";
  append_json(body, message);
  return ServerResponse::json(body + "}", status);
}

ServerResponse accepted() {
  return ServerResponse::json(R"({"status":"success","data":null,"errorType":"","error":""})", 202);
}

int http_status(const base::Status& status) {
  switch (status.code()) {
    case base::Code::kInvalidArgument:
    case base::Code::kResourceExhausted: return 400;
    case base::Code::kNotFound: return 404;
    case base::Code::kPermissionDenied: return 403;
    case base::Code::kUnsupported: return 501;
    case base::Code::kNoSpace: return 507;
    default: return 500;
  }
}

std::string rfc3339(std::int64_t ns) {
  // Never evaluated: Go's zero time, as clients know it.
  return ns == 0 ? "0001-01-01T00:00:00Z" : gotext::format_rfc3339_nano(ns);
}

model::Labels labels_of(const TextMap& texts) {
  return model::Labels::from_pairs({texts.begin(), texts.end()});
}

void append_number(std::string& out, double value) { gotext::append_float(out, value, 'f', -1); }

void append_alert(std::string& out, const Alert& alert) {
  out += "{\"labels\":";
  append_json_labels(out, alert.labels);
  out += ",\"annotations\":";
  append_json_labels(out, alert.annotations);
  out.append(",\"state\":\"").append(to_string(alert.state));
  out.append("\",\"activeAt\":\"").append(rfc3339(alert.active_at_ns));
  out.append("\",\"value\":\"").append(gotext::format_float(alert.value, 'e', -1)).append("\"}");
}

void append_rule(std::string& out, const RuleStatus& status) {
  const Rule& rule = status.rule;
  const bool alert = rule.is_alert();
  out += '{';
  if (alert) {
    out.append("\"state\":\"");
    out.append(to_string(status.state)).append("\",");
  }
  out += "\"name\":";
  append_json(out, rule.name());
  out += ",\"query\":";
  append_json(out, rule.expr);
  if (alert) {
    out += ",\"duration\":";
    append_number(out, static_cast<double>(rule.for_ns) / 1e9);
    out += ",\"keepFiringFor\":";
    append_number(out, static_cast<double>(rule.keep_firing_for_ns) / 1e9);
  }
  out += ",\"labels\":";
  append_json_labels(out, labels_of(rule.labels));
  if (alert) {
    out += ",\"annotations\":";
    append_json_labels(out, labels_of(rule.annotations));
    out += ",\"alerts\":[";
    for (std::size_t i = 0; i < status.alerts.size(); ++i) {
      if (i > 0) out += ',';
      append_alert(out, status.alerts[i]);
    }
    out += ']';
  }
  out.append(",\"health\":\"");
  out.append(!status.evaluated ? "unknown" : status.last_error.empty() ? "ok" : "err");
  out += "\",\"lastError\":";
  append_json(out, status.last_error);
  out.append(",\"type\":\"").append(alert ? "alerting" : "recording");
  out.append("\",\"lastEvaluation\":\"").append(rfc3339(status.last_evaluation_ns));
  out += "\",\"evaluationTime\":";
  append_number(out, status.evaluation_seconds);
  out += '}';
}

struct StateFilter {
  std::string type;
  std::set<std::string> names, groups, files;
  bool wants(const RuleStatus& status) const {
    if (type == "alert" && !status.rule.is_alert()) return false;
    if (type == "record" && status.rule.is_alert()) return false;
    return names.empty() || names.contains(status.rule.name());
  }
};

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

StateFilter read_filter(std::string_view query) {
  StateFilter filter;
  net::FormFields fields;
  net::parse_form(query, fields);
  for (auto& [name, value] : fields) {
    if (name == "type") filter.type = lower(value);
    if (name == "rule_name" || name == "rule_name[]") filter.names.insert(value);
    if (name == "rule_group" || name == "rule_group[]") filter.groups.insert(value);
    if (name == "file" || name == "file[]") filter.files.insert(value);
  }
  return filter;
}

// The parts after the prefix: namespace and group, percent-decoded; nullopt: too many.
struct RulePath {
  std::string space, group;
};
std::optional<RulePath> split_path(std::string_view rest) {
  if (rest.starts_with('/')) rest.remove_prefix(1);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty()) return RulePath{};
  const auto parts = gotext::split(rest, "/");
  if (parts.size() > 2) return std::nullopt;
  return RulePath{net::percent_decode(parts[0]),
                  parts.size() > 1 ? net::percent_decode(parts[1]) : std::string()};
}

std::optional<std::string_view> after_prefix(std::string_view path) {
  for (const std::string_view prefix : {"/loki/api/v1/rules", "/api/prom/rules"}) {
    if (path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/'))
      return path.substr(prefix.size());
  }
  return std::nullopt;
}

bool is_state_path(std::string_view path, std::string_view what) {
  return path == "/prometheus/api/v1/" + std::string(what) ||
         path == "/api/prom/api/v1/" + std::string(what);
}

}  // namespace

bool Ruler::is_rule_path(std::string_view path) noexcept {
  return after_prefix(path).has_value() || is_state_path(path, "rules") ||
         is_state_path(path, "alerts");
}

ServerResponse Ruler::Impl::list_rules(const std::string& tenant, const std::string& space,
                                       const std::string& labels) const {
  auto all = groups_of(tenant);
  if (!space.empty()) {
    auto kept = all.extract(space);
    all.clear();
    if (!kept.empty()) all.insert(std::move(kept));
  }
  if (all.empty()) return text_error(404, "no rule groups found");
  if (!labels.empty()) {
    std::set<std::pair<std::string, std::string>> wanted;
    for (const std::string_view item : gotext::split(labels, ",")) {
      const auto colon = item.find(':');
      if (colon == std::string_view::npos)
        return text_error(400, "labels must be name:value, separated by commas");
      wanted.emplace(item.substr(0, colon), item.substr(colon + 1));
    }
    for (auto& [name, list] : all) {
      for (RuleGroup& group : list)
        std::erase_if(group.rules, [&](const Rule& rule) {
          return std::none_of(rule.labels.begin(), rule.labels.end(),
                              [&](const auto& label) { return wanted.contains(label); });
        });
      std::erase_if(list, [](const RuleGroup& group) { return group.rules.empty(); });
    }
    std::erase_if(all, [](const auto& entry) { return entry.second.empty(); });
    if (all.empty()) return yaml("{}\n");
  }
  return yaml(namespaces_to_yaml(all));
}

ServerResponse Ruler::Impl::get_group(const std::string& tenant, const std::string& space,
                                      const std::string& group) const {
  const auto all = groups_of(tenant);
  if (const auto at = all.find(space); at != all.end())
    for (const RuleGroup& candidate : at->second)
      if (candidate.name == group) return yaml(group_to_yaml(candidate));
  return text_error(404, "group does not exist");
}

ServerResponse Ruler::Impl::state_rules(const std::string& tenant, std::string_view query) const {
  const StateFilter filter = read_filter(query);
  if (!filter.type.empty() && filter.type != "alert" && filter.type != "record")
    return json_error(400, "bad_data", "not supported value \"" + filter.type + "\"");
  std::vector<std::shared_ptr<Group>> selected;
  std::vector<std::string> warnings;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [key, entry] : groups) {
      if (key.tenant != tenant) continue;
      if (!filter.files.empty() && !filter.files.contains(key.space)) continue;
      if (!filter.groups.empty() && !filter.groups.contains(key.name)) continue;
      selected.push_back(entry.group);
    }
    for (const std::string& name : {tenant, std::string()})
      if (const auto at = reloads.find(name); at != reloads.end())
        warnings.insert(warnings.end(), at->second.errors.begin(), at->second.errors.end());
  }
  std::string body = "{\"status\":\"success\",\"data\":{\"groups\":[";
  bool first = true;
  for (const auto& group : selected) {
    std::vector<RuleStatus> rules = group->status();
    std::erase_if(rules, [&](const RuleStatus& status) { return !filter.wants(status); });
    if (rules.empty() && !(filter.type.empty() && filter.names.empty())) continue;
    if (!first) body += ',';
    first = false;
    const GroupCounters counters = group->counters();
    body += "{\"name\":";
    append_json(body, group->key().name);
    body += ",\"file\":";
    append_json(body, group->key().space);
    body += ",\"rules\":[";
    for (std::size_t i = 0; i < rules.size(); ++i) {
      if (i > 0) body += ',';
      append_rule(body, rules[i]);
    }
    body += "],\"interval\":";
    append_number(body, static_cast<double>(group->settings().interval_ns) / 1e9);
    body += ",\"limit\":" + std::to_string(group->definition().limit);
    body += ",\"lastEvaluation\":\"" + rfc3339(counters.last_evaluation_ns);
    body += "\",\"evaluationTime\":";
    append_number(body, counters.last_seconds);
    body += '}';
  }
  body += "]},\"errorType\":\"\",\"error\":\"\"";
  if (!warnings.empty()) {
    body += ",\"warnings\":[";
    for (std::size_t i = 0; i < warnings.size(); ++i) {
      if (i > 0) body += ',';
      append_json(body, warnings[i]);
    }
    body += ']';
  }
  return ServerResponse::json(body + "}");
}

ServerResponse Ruler::Impl::state_alerts(const std::string& tenant) const {
  std::vector<std::shared_ptr<Group>> selected;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [key, entry] : groups)
      if (key.tenant == tenant) selected.push_back(entry.group);
  }
  std::string body = "{\"status\":\"success\",\"data\":{\"alerts\":[";
  bool first = true;
  for (const auto& group : selected) {
    for (const RuleStatus& status : group->status()) {
      for (const Alert& alert : status.alerts) {
        if (!first) body += ',';
        first = false;
        append_alert(body, alert);
      }
    }
  }
  return ServerResponse::json(body + "]},\"errorType\":\"\",\"error\":\"\"}");
}

// After a write: rules run from now on, not from the next poll.
ServerResponse Ruler::Impl::changed(base::Status status) {
  if (!status.ok()) return text_error(http_status(status), status.message());
  static_cast<void>(load(false));  // findings of other files are reported elsewhere
  return accepted();
}

ServerResponse Ruler::Impl::set_group(const std::string& tenant, const std::string& space,
                                      const std::string& body) {
  auto group = parse_rule_group(body);
  if (!group.ok()) return text_error(400, group.status().message());
  if (auto status = check_namespace(group->name, "groupname"); !status.ok())
    return text_error(400, status.message());
  if (options.rules_per_group_max > 0 && group->rules.size() > options.rules_per_group_max)
    return text_error(400, "per-user rules per rule group limit (limit: " +
                               std::to_string(options.rules_per_group_max) +
                               " actual: " + std::to_string(group->rules.size()) + ") exceeded");
  if (options.groups_per_tenant_max > 0) {
    std::size_t count = 1;
    for (const auto& [name, list] : groups_of(tenant))
      for (const RuleGroup& other : list)
        if (name != space || other.name != group->name) ++count;
    if (count > options.groups_per_tenant_max)
      return text_error(400, "per-user rule groups limit (limit: " +
                                 std::to_string(options.groups_per_tenant_max) +
                                 " actual: " + std::to_string(count) + ") exceeded");
  }
  return changed(store.set_group(tenant, space, *group));
}

ServerResponse Ruler::handle(const net::ServerRequest& request, const std::string& tenant) {
  const std::string_view path = request.path();
  const bool get = request.method == "GET" || request.method == "HEAD";
  const auto not_allowed = [] { return text_error(405, "Method Not Allowed"); };
  if (is_state_path(path, "rules"))
    return get ? impl_->state_rules(tenant, request.query()) : not_allowed();
  if (is_state_path(path, "alerts")) return get ? impl_->state_alerts(tenant) : not_allowed();
  const auto rest = after_prefix(path);
  const auto parts = rest ? split_path(*rest) : std::nullopt;
  if (!parts || !impl_->options.enable_api) return text_error(404, "404 page not found");
  const auto& [space, group] = *parts;
  if (!space.empty())
    if (auto status = check_namespace(space, "namespace"); !status.ok())
      return json_error(500, "server_error", status.message());
  if (!group.empty())
    if (auto status = check_namespace(group, "groupname"); !status.ok())
      return json_error(500, "server_error", status.message());
  if (get && !group.empty()) return impl_->get_group(tenant, space, group);
  if (get) {
    net::FormFields fields;
    net::parse_form(request.query(), fields);
    std::string labels;
    for (const auto& [name, value] : fields)
      if (name == "labels") labels = value;
    return impl_->list_rules(tenant, space, labels);
  }
  if (request.method == "POST" && !space.empty() && group.empty())
    return impl_->set_group(tenant, space, request.body);
  if (request.method == "DELETE" && !space.empty())
    return impl_->changed(group.empty() ? impl_->store.delete_namespace(tenant, space)
                                        : impl_->store.delete_group(tenant, space, group));
  return not_allowed();
}

}  // namespace skald::query::alert
