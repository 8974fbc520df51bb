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
  // http://host:port/path?query. "user:password@" becomes basic authentication, unless `headers`
  // have an Authorization of their own.
  std::string url;
  // Host, Content-Length and, if absent, User-Agent are added.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view body;                     // borrowed for the call
  std::int64_t timeout_ns = 10'000'000'000;  // whole exchange
};

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;  // capped at HttpClientOptions::body_max
  std::string_view header(std::string_view lower_case_name) const;  // empty if absent
};

struct TlsOptions {
  std::string ca_file, cert_file, key_file;  // PEM files; no authority: the system's
  std::string ca_pem, cert_pem, key_pem;     // the same, inline; files win
  std::string server_name;                   // to send and to verify; empty: the URL's host
  bool insecure_skip_verify = false;
  std::string min_version, max_version;  // "TLS10".."TLS13"; empty: TLS12 and no limit
};

struct HttpClientOptions {
  TlsOptions tls;
  std::size_t body_max = 64U << 20;
};

class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  // Any answer of the server, 4xx and 5xx included, is a response. Errors: kUnavailable (refused,
  // reset, name not found, TLS refused), kDeadlineExceeded, kInvalidArgument (URL, TLS files),
  // kCancelled (after cancel()), kCorrupt (not HTTP), kResourceExhausted (body over the cap).
  //
  // A kept connection that ends before the first byte of an answer is replaced once and the
  // request sent again: the server may in rare cases have seen it twice.
  virtual base::Result<HttpResponse> exchange(const HttpRequest& request) = 0;
  virtual void cancel() = 0;  // from any thread: ends the exchange under way and all later ones
};

// Keeps the connection to the last host alive between calls. One thread at a time. Looking up a
// name may take longer than the deadline (the resolver's own timeout rules); nothing else may.
std::unique_ptr<HttpTransport> make_http_client(HttpClientOptions options = {});

// The parts of an http or https URL. kInvalidArgument names what is wrong.
struct HttpUrl {
  bool tls = false;
  std::string host;               // without brackets
  std::string port;               // "80" and "443" by default
  std::string target;             // path and query, at least "/"
  std::string user_info;          // "user:password", percent-decoded; empty if none
  std::string authority() const;  // Host header: brackets and port where needed
};
base::Result<HttpUrl> parse_http_url(std::string_view url);

// application/x-www-form-urlencoded component.
std::string percent_encode(std::string_view text);

}  // namespace skald::net
