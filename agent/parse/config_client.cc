// clients[].

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdio>

#include "agent/parse/config_blocks.h"

namespace skald::agent {

namespace {

void read_tls(MapReader& body, ClientTlsConfig& out) {
  body.string("ca", out.ca);
  body.string("cert", out.cert);
  body.string("key", out.key);
  body.string("ca_file", out.ca_file);
  body.string("cert_file", out.cert_file);
  body.string("key_file", out.key_file);
  body.string("server_name", out.server_name);
  body.boolean("insecure_skip_verify", out.insecure_skip_verify);
  body.string("min_version", out.min_version);
  body.string("max_version", out.max_version);
  const bool cert = !out.cert.empty() || !out.cert_file.empty();
  const bool key = !out.key.empty() || !out.key_file.empty();
  if (cert != key) body.fail("", "a client certificate needs both cert(_file) and key(_file)");
  if (!out.ca.empty() && !out.ca_file.empty()) body.fail("ca", "and ca_file exclude each other");
  for (const std::string* version : {&out.min_version, &out.max_version}) {
    if (!version->empty() && *version != "TLS10" && *version != "TLS11" && *version != "TLS12" &&
        *version != "TLS13") {
      body.fail("", "`" + *version + "` is none of TLS10, TLS11, TLS12, TLS13");
    }
  }
  body.finish();
}

void read_auth(MapReader& body, ClientConfig& out) {
  int given = 0;
  body.map("basic_auth", [&](MapReader& auth) {
    if (!body.has("basic_auth")) return;
    ++given;
    BasicAuth basic;
    auth.string("username", basic.username);
    auth.string("username_file", basic.username_file);
    auth.string("password", basic.password);
    auth.string("password_file", basic.password_file);
    if (!basic.password.empty() && !basic.password_file.empty()) {
      auth.fail("password", "and password_file exclude each other");
    }
    if (!basic.username.empty() && !basic.username_file.empty()) {
      auth.fail("username", "and username_file exclude each other");
    }
    auth.finish();
    out.basic_auth = std::move(basic);
  });
  body.map("authorization", [&](MapReader& auth) {
    if (!body.has("authorization")) return;
    ++given;
    Authorization authorization;
    auth.string("type", authorization.type);
    auth.string("credentials", authorization.credentials);
    auth.string("credentials_file", authorization.credentials_file);
    if (!authorization.credentials.empty() && !authorization.credentials_file.empty()) {
      auth.fail("credentials", "and credentials_file exclude each other");
    }
    if (authorization.type == "Basic" || authorization.type == "basic") {
      auth.fail("type", "use basic_auth for Basic");
    }
    auth.finish();
    out.authorization = std::move(authorization);
  });
  const bool token = body.has("bearer_token");
  const bool token_file = body.has("bearer_token_file");
  if (token || token_file) {
    ++given;
    Authorization authorization;
    body.string("bearer_token", authorization.credentials);
    body.string("bearer_token_file", authorization.credentials_file);
    if (token && token_file) body.fail("bearer_token", "and bearer_token_file exclude each other");
    out.authorization = std::move(authorization);
  }
  if (given > 1) {
    body.fail("", "at most one of basic_auth, authorization, bearer_token(_file) may be given");
  }
}

// http://host[:port]/path; what the HTTP client will accept.
void check_url(MapReader& body, const std::string& url) {
  if (url.empty()) {
    return body.fail("url", "is needed: http://host:3100/loki/api/v1/push");
  }
  const bool http = url.starts_with("http://");
  if (!http && !url.starts_with("https://")) {
    return body.fail("url", "`" + url + "` must start with http:// or https://");
  }
  const std::string_view rest = std::string_view(url).substr(http ? 7 : 8);
  const std::string_view host = rest.substr(0, rest.find('/'));
  if (host.empty() || host.find(' ') != std::string_view::npos) {
    return body.fail("url", "`" + url + "` names no host");
  }
  if (rest.find('/') == std::string_view::npos || rest.substr(rest.find('/')) == "/") {
    body.warn("url", "has no path: the push path of Loki is /loki/api/v1/push");
  }
}

// A stable name for a client without one: the same settings give the same name.
std::string hash_name(const ClientConfig& client) {
  std::string all =
      client.url + "\n" + client.tenant_id + "\n" + client.external_labels.to_string();
  if (client.basic_auth) all += "\n" + client.basic_auth->username;
  for (const auto& [name, value] : client.headers) all += "\n" + name + ":" + value;
  char text[8];
  std::snprintf(text, sizeof(text), "%06x",
                static_cast<unsigned>(XXH3_64bits(all.data(), all.size()) & 0xFFFFFFU));
  return text;
}

void read_headers(MapReader& body, ClientConfig& out) {
  body.string_map("headers", out.headers);
  const Node* shared = body.raw("http_headers");  // {Name: {values: [..]}}
  if (shared == nullptr || !shared->is_map()) return;
  for (const auto& [name, node] : shared->fields) {
    MapReader header(node, body.path() + ".http_headers." + name, body.state());
    std::vector<std::string> values;
    header.strings("values", values);
    header.strings("secrets", values);
    header.refuse("files", "give the value with `values`, or with ${VAR} and -config.expand-env");
    header.finish();
    for (auto& value : values) out.headers.emplace_back(name, std::move(value));
  }
}

}  // namespace

void read_client(MapReader& body, ClientConfig& out) {
  out.line = body.line();
  body.string("name", out.name);
  body.string("url", out.url);
  check_url(body, out.url);
  body.duration("batchwait", out.batchwait_ns);
  body.size("batchsize", out.batchsize);
  body.duration("timeout", out.timeout_ns);
  body.map("backoff_config", [&](MapReader& backoff) {
    backoff.duration("min_period", out.backoff.min_period_ns);
    backoff.duration("max_period", out.backoff.max_period_ns);
    backoff.integer("max_retries", out.backoff.max_retries);
    if (out.backoff.min_period_ns <= 0 || out.backoff.max_period_ns < out.backoff.min_period_ns) {
      backoff.fail("", "needs 0 < min_period <= max_period");
    }
    if (out.backoff.max_retries < 0) backoff.fail("max_retries", "must not be negative");
    backoff.finish();
  });
  body.boolean("drop_rate_limited_batches", out.drop_rate_limited_batches);
  body.string("tenant_id", out.tenant_id);
  body.labels("external_labels", out.external_labels);
  read_headers(body, out);
  read_auth(body, out);
  body.map("tls_config", [&](MapReader& tls) { read_tls(tls, out.tls); });
  body.boolean("follow_redirects", out.follow_redirects);
  body.accept("enable_http2");  // Promtail switches it off too
  body.refuse("oauth2",
              "let a proxy beside the agent fetch tokens, or write them to a file and name it in "
              "authorization.credentials_file, which is read again when it changes");
  static constexpr std::string_view kProxy =
      "point `url` at the proxy or gateway itself (reverse proxying)";
  body.refuse("proxy_url", kProxy);
  body.refuse("no_proxy", kProxy);
  body.refuse("proxy_from_environment", kProxy);
  body.refuse("proxy_connect_header", kProxy);
  body.accept("stream_lag_labels", "accepted, no effect");
  if (out.timeout_ns <= 0) body.fail("timeout", "must be greater than 0");
  if (out.batchsize == 0) body.fail("batchsize", "must be greater than 0");
  body.finish();
  if (out.name.empty()) out.name = hash_name(out);
}

}  // namespace skald::agent
