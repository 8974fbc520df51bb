#include "query/cli/client.h"

#include "proto/base/text_code.h"

namespace skald::query::cli {
namespace {

base::Status status_of(const net::HttpResponse& response, std::string_view url) {
  std::string text = "the server answered " + std::to_string(response.status);
  std::string_view body = response.body;
  while (!body.empty() && (body.back() == '\n' || body.back() == ' ')) body.remove_suffix(1);
  if (body.empty()) {
    text += " to " + std::string(url);
  } else {
    text += ": " + std::string(body.substr(0, 4096));
  }
  switch (response.status) {
    case 401: return {base::Code::kUnauthenticated, text + " (--org-id, --username?)"};
    case 403: return {base::Code::kPermissionDenied, std::move(text)};
    case 404: return base::not_found(std::move(text));
    case 429: return base::resource_exhausted(std::move(text));
    default: break;
  }
  return response.status >= 500 ? base::unavailable(std::move(text))
                                : base::invalid_argument(std::move(text));
}

}  // namespace

Parameters identity_headers(const Options& options) {
  Parameters headers;
  if (!options.org_id.empty()) headers.emplace_back("X-Scope-OrgID", options.org_id);
  if (!options.bearer_token.empty()) {
    headers.emplace_back("Authorization", "Bearer " + options.bearer_token);
  } else if (!options.username.empty()) {
    headers.emplace_back("Authorization",
                         "Basic " + base::base64_encode(options.username + ":" + options.password));
  }
  return headers;
}

std::string encode_parameters(const Parameters& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    if (!out.empty()) out += '&';
    out += net::percent_encode(name) + "=" + net::percent_encode(value);
  }
  return out;
}

base::Result<net::HttpResponse> Client::call(std::string_view method, std::string_view path,
                                             const Parameters& parameters, std::string_view body,
                                             const Parameters& headers) {
  net::HttpRequest request;
  request.method = method;
  request.url = options_.addr + std::string(path);
  if (!parameters.empty()) request.url += "?" + encode_parameters(parameters);
  request.headers = identity_headers(options_);
  request.headers.insert(request.headers.end(), headers.begin(), headers.end());
  request.body = body;
  request.timeout_ns = options_.timeout_ns;
  auto response = transport_.exchange(request);
  if (!response.ok()) return std::move(response).status().with_context(options_.addr);
  if (response->status / 100 != 2) return status_of(*response, request.url);
  return response;
}

base::Result<std::string> Client::get(std::string_view path, const Parameters& parameters) {
  SKALD_TRY_ASSIGN(net::HttpResponse response, call("GET", path, parameters));
  return std::move(response.body);
}

}  // namespace skald::query::cli
