#pragma once
// The server as skaldctl sees it: GET and POST with parameters; anything but 2xx is a Status.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/status.h"
#include "proto/net/http_client.h"
#include "query/cli/options.h"

namespace skald::query::cli {

using Parameters = std::vector<std::pair<std::string, std::string>>;

// Borrows both; one thread.
class Client {
 public:
  Client(const Options& options, net::HttpTransport& transport)
      : options_(options), transport_(transport) {}

  base::Result<net::HttpResponse> call(std::string_view method, std::string_view path,
                                       const Parameters& parameters, std::string_view body = {},
                                       const Parameters& headers = {});
  base::Result<std::string> get(std::string_view path, const Parameters& parameters);

 private:
  const Options& options_;
  net::HttpTransport& transport_;
};

// Authorization and X-Scope-OrgID as the options ask.
Parameters identity_headers(const Options& options);
std::string encode_parameters(const Parameters& parameters);  // a=b&c=d

}  // namespace skald::query::cli
