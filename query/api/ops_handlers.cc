// What operators and probes ask: ready, buildinfo, config, services, log level, flush, reload.
#include "query/api/api_impl.h"
#include "query/api/json_out.h"
#include "query/api/version.h"

namespace skald::query::api {

using net::ServerResponse;

ServerResponse ready(Call& call) {
  if (call.api.ready.load()) return ServerResponse::text(200, "ready\n");
  return ServerResponse::text(503, "Skald is not ready: starting or stopping\n");
}

ServerResponse buildinfo(Call&) {
  std::string out = "{\"version\":";
  append_json_string(out, kLokiVersion);
  out.append(",\"revision\":");
  append_json_string(out, kSkaldVersion);
  out.append(",\"branch\":\"skald\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}");
  return ServerResponse::json(std::move(out));
}

ServerResponse config(Call& call) {
  ServerResponse response = ServerResponse::text(200, call.settings->config_text);
  response.content_type = "application/yaml";
  return response;
}

ServerResponse services(Call& call) {
  const char* state = call.api.ready.load() ? "Running" : "Starting";
  std::string out;
  for (const char* name : {"server", "store", "distributor", "ingester", "querier", "compactor"})
    out.append(name).append(" => ").append(state).append("\n");
  out.append("ruler => ").append(call.api.deps.rules ? state : "Disabled").append("\n");
  return ServerResponse::text(200, std::move(out));
}

ServerResponse log_level(Call& call) {
  const ApiDeps& deps = call.api.deps;
  std::string level(call.params.get("log_level"));
  if (level.empty()) level = call.params.get("level");
  if (call.http.method == "POST") {
    if (!deps.set_log_level || !deps.set_log_level(level)) {
      std::string out = "{\"status\":\"failed\",\"message\":";
      append_json_string(out, "unrecognized log level \"" + level + "\"");
      return ServerResponse::json(out + "}", 400);
    }
    return ServerResponse::json("{\"status\":\"success\",\"message\":\"Log level set to " + level +
                                "\"}");
  }
  std::string out = "{\"message\":";
  append_json_string(out, "Current log level is " + (deps.log_level ? deps.log_level() : "info"));
  return ServerResponse::json(out + "}");
}

ServerResponse flush(Call& call) {
  if (const base::Status status = call.api.deps.store->flush(); !status.ok())
    return error_response(status);
  if (const base::Status status = call.api.deps.store->compact(); !status.ok())
    return error_response(status);
  ServerResponse response;
  response.status = 204;
  return response;
}

ServerResponse compact(Call& call) {
  store::Store& store = *call.api.deps.store;
  if (const base::Status status = store.compact(); !status.ok()) return error_response(status);
  if (const base::Status status = store.enforce_retention(); !status.ok())
    return error_response(status);
  ServerResponse response;
  response.status = 204;
  return response;
}

// ?dir=/absolute/path, on this machine. The store refuses what is neither new nor a backup.
ServerResponse backup(Call& call) {
  const std::string directory(call.params.get("dir"));
  if (directory.empty() || directory.front() != '/')
    return ServerResponse::text(400, "dir must be an absolute path of the server's machine\n");
  if (const base::Status status = call.api.deps.store->backup(directory); !status.ok())
    return error_response(status);
  return ServerResponse::text(200, "backup written to " + directory);
}

ServerResponse rules(Call& call) {
  if (call.api.deps.rules) return call.api.deps.rules(call.http, call.tenant);
  return ServerResponse::text(404, "the ruler is not running");
}

ServerResponse reload(Call& call) {
  if (!call.api.deps.reload) return ServerResponse::text(501, "this server cannot reload");
  if (const base::Status status = call.api.deps.reload(); !status.ok())
    return ServerResponse::text(400, "configuration not changed: " + std::string(status.message()));
  return ServerResponse::text(200, "reloaded\n");
}

}  // namespace skald::query::api
