#pragma once
// Outgoing HTTP/1.1, one request at a time per client, blocking with a deadline. Senders (agent,
// notifier, remote write, skaldctl) own one thread each, so blocking is the simple thing there.
// Transport is an interface: tests and simulations pass their own.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/status.h"

namespace skald::net {

struct HttpRequest {
  std::string method = "GET";
  std::string url;                                            // http://host:port/path?query
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view body;                                      // borrowed for the call
  std::int64_t timeout_ns = 10'000'000'000;                   // whole exchange
};

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;   // names in lower case
  std::string body;                                           // capped at HttpClientOptions::body_max
  std::string_view header(std::string_view lower_case_name) const;  // empty if absent
};

struct TlsOptions {
  std::string ca_file, cert_file, key_file, server_name;
  bool insecure_skip_verify = false;
};

struct HttpClientOptions {
  TlsOptions tls;
  std::size_t body_max = 64U << 20;
};

class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  // Any answer of the server, 4xx and 5xx included, is a response. Errors: kUnavailable (refused,
  // reset, name not found), kDeadlineExceeded, kInvalidArgument (URL), kCancelled (after cancel()).
  virtual base::Result<HttpResponse> exchange(const HttpRequest& request) = 0;
  virtual void cancel() = 0;  // from any thread: ends the exchange under way and all later ones
};

// Keeps the connection to the last host alive between calls. One thread at a time.
std::unique_ptr<HttpTransport> make_http_client(HttpClientOptions options = {});

// application/x-www-form-urlencoded component.
std::string percent_encode(std::string_view text);

}  // namespace skald::net
