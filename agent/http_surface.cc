#include "agent/http_surface.h"

#include <algorithm>

#include "agent/parse/yaml_node.h"
#include "proto/base/text_code.h"
#include "proto/model/labels_json.h"

namespace skald::agent {
namespace {

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

std::string json_string(std::string_view text) {
  std::string out;
  base::append_json_string(out, text);
  return out;
}

std::string json_labels(const model::Labels& labels) {
  std::string out;
  model::append_json_labels(out, labels);
  return out;
}

net::ServerResponse html(const std::string& title, const std::string& body) {
  net::ServerResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.body = "<!DOCTYPE html><html><head><title>" + title +
                  "</title><style>body{font-family:sans-serif;margin:2em}td,th{padding:.3em .8em;"
                  "text-align:left;border-bottom:1px solid #ccc;font-size:90%}</style></head><body>"
                  "<p><a href=\"targets\">Targets</a> <a href=\"service-discovery\">Discovery</a> "
                  "<a href=\"config\">Config</a> <a href=\"metrics\">Metrics</a></p><h1>" +
                  title + "</h1>" + body + "</body></html>";
  return response;
}

net::ServerResponse targets_json(const std::vector<LaneSnapshot>& lanes,
                                 const std::vector<ReceiverSnapshot>& receivers) {
  std::string out = "[";
  for (const ReceiverSnapshot& receiver : receivers) {
    if (out.size() > 1) out += ',';
    out += "{\"job\":" + json_string(receiver.job) + ",\"type\":" + json_string(receiver.kind) +
           ",\"ready\":true,\"address\":" + json_string(receiver.address) +
           ",\"entries\":" + std::to_string(receiver.entries) + "}";
  }
  for (const LaneSnapshot& lane : lanes)
    for (const FileSnapshot& file : lane.files) {
      if (out.size() > 1) out += ',';
      out += "{\"client\":" + json_string(lane.client) + ",\"job\":" + json_string(file.job) +
             ",\"type\":\"File\",\"ready\":true,\"path\":" + json_string(file.path) +
             ",\"labels\":" + json_labels(file.labels) +
             ",\"offset\":" + std::to_string(file.offset) +
             ",\"size\":" + std::to_string(file.size) +
             ",\"acknowledged\":" + std::to_string(file.settled_to) +
             ",\"rotated\":" + (file.rotated ? "true" : "false") + "}";
    }
  return net::ServerResponse::json(out + "]");
}

net::ServerResponse targets_page(const std::vector<LaneSnapshot>& lanes,
                                 const std::vector<ReceiverSnapshot>& receivers) {
  std::string out;
  for (const LaneSnapshot& lane : lanes) {
    out += "<h2>client " + html_escape(lane.client) +
           (lane.ready ? "" : " (waiting for the server)") + "</h2>";
    out +=
        "<table><tr><th>Type</th><th>Ready</th><th>Job</th><th>Labels</th><th>Path</th>"
        "<th>Read</th><th>Acknowledged</th><th>Size</th></tr>";
    for (const FileSnapshot& file : lane.files)
      out += "<tr><td>File</td><td>true</td><td>" + html_escape(file.job) + "</td><td>" +
             html_escape(file.labels.to_string()) + "</td><td>" + html_escape(file.path) +
             (file.rotated ? " (rotated)" : "") + "</td><td>" + std::to_string(file.offset) +
             "</td><td>" + std::to_string(file.settled_to) + "</td><td>" +
             std::to_string(file.size) + "</td></tr>";
    out += "</table>";
  }
  if (!receivers.empty()) out += "<h2>receivers</h2><table>";
  for (const ReceiverSnapshot& receiver : receivers)
    out += "<tr><td>" + html_escape(receiver.kind) + "</td><td>true</td><td>" +
           html_escape(receiver.job) + "</td><td>" + html_escape(receiver.address) + "</td><td>" +
           std::to_string(receiver.entries) + "</td></tr>";
  if (!receivers.empty()) out += "</table>";
  return html("Targets", out);
}

net::ServerResponse discovery(const std::vector<LaneSnapshot>& lanes, bool as_json) {
  std::string json = "[", page;
  const auto add = [&](const std::string& job, const model::Labels& discovered,
                       const model::Labels& labels, const std::string& dropped) {
    if (json.size() > 1) json += ',';
    json += "{\"job\":" + json_string(job) + ",\"discovered\":" + json_labels(discovered) +
            ",\"labels\":" + json_labels(labels) + ",\"dropped\":" + json_string(dropped) + "}";
    page +=
        "<tr><td>" + html_escape(job) + "</td><td>" + html_escape(discovered.to_string()) +
        "</td><td>" +
        (dropped.empty() ? html_escape(labels.to_string()) : "dropped: " + html_escape(dropped)) +
        "</td></tr>";
  };
  if (!lanes.empty())
    for (const JobSnapshot& job : lanes[0].jobs) {
      for (const Target& target : job.targets) add(job.job, target.discovered, target.labels, "");
      for (const DroppedTarget& target : job.dropped)
        add(job.job, target.discovered, {}, target.reason);
    }
  if (as_json) return net::ServerResponse::json(json + "]");
  return html("Service Discovery",
              "<table><tr><th>Job</th><th>Discovered</th><th>Labels</th></tr>" + page + "</table>");
}

}  // namespace

HttpSurface::HttpSurface(Agent& agent, std::function<base::Status()> reload)
    : agent_(agent), reload_(std::move(reload)) {}

net::ServerResponse HttpSurface::answer(net::ServerRequest& request) const {
  const auto config = agent_.config();
  std::string path(request.path());
  std::string prefix = config->server.http_path_prefix;
  while (prefix.ends_with('/')) prefix.pop_back();
  if (!prefix.empty()) {
    if (!path.starts_with(prefix)) return net::ServerResponse::text(404, "404 page not found\n");
    path.erase(0, prefix.size());
  }
  const bool as_json = request.header("accept").find("application/json") != std::string_view::npos;
  if (path == "/ready") {
    if (!config->server.health_check_target || agent_.is_ready())
      return net::ServerResponse::text(200, "Ready\n");
    return net::ServerResponse::text(
        500,
        "Not ready: Unable to find any logs to tail. Please verify permissions, volumes, "
        "scrape_config, etc.\n");
  }
  if (path == "/metrics") {
    net::ServerResponse response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = render_metrics(agent_.snapshot(), agent_.reloads(true), agent_.reloads(false)) +
                    render_receiver_metrics(agent_.receivers());
    return response;
  }
  if (path == "/targets")
    return (as_json ? targets_json : targets_page)(agent_.snapshot(), agent_.receivers());
  if (path == "/service-discovery") return discovery(agent_.snapshot(), as_json);
  if (path == "/config") return net::ServerResponse::text(200, to_yaml(config->document));
  if (path == "/reload" && config->server.enable_runtime_reload) {
    const base::Status status = reload_();
    if (status.ok()) return net::ServerResponse::text(200, "");
    return net::ServerResponse::text(500, "failed to reload config: " + status.to_string() + "\n");
  }
  if (path.empty() || path == "/") {
    net::ServerResponse response = net::ServerResponse::text(303, "");
    response.headers.emplace_back("Location", prefix + "/targets");
    return response;
  }
  return net::ServerResponse::text(404, "404 page not found\n");
}

}  // namespace skald::agent
