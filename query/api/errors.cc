// What a client sees of an error: status and text. Loki's clients match on both.
#include "query/api/call.h"

namespace skald::query::api {

int http_status(base::Code code, bool push) noexcept {
  using base::Code;
  switch (code) {
    case Code::kOk: return 200;
    case Code::kInvalidArgument: return 400;
    case Code::kNotFound: return 404;
    case Code::kUnsupported: return 400;
    case Code::kResourceExhausted: return push ? 429 : 400;  // a query's limit is not retried
    case Code::kNoSpace: return 507;
    case Code::kUnavailable: return 503;
    case Code::kDeadlineExceeded: return 504;
    case Code::kCancelled: return 499;
    case Code::kConflict: return 409;
    case Code::kUnauthenticated: return 401;
    case Code::kPermissionDenied: return 403;
    case Code::kCorrupt:
    case Code::kIoError:
    case Code::kInternal: return 500;
  }
  return 500;
}

net::ServerResponse error_response(const base::Status& status, bool push) {
  std::string text(status.message());
  if (status.code() == base::Code::kDeadlineExceeded && !push)
    text =
        "request timed out, decrease the duration of the request or add more label matchers "
        "(prefer exact match over regex match) to reduce the amount of data processed";
  if (text.empty()) text = base::code_name(status.code());
  net::ServerResponse response =
      net::ServerResponse::text(http_status(status.code(), push), std::move(text));
  if (status.code() == base::Code::kNoSpace) response.headers.emplace_back("Retry-After", "30");
  if (status.code() == base::Code::kUnauthenticated)
    response.headers.emplace_back("WWW-Authenticate", "Basic realm=\"skald\"");
  return response;
}

}  // namespace skald::query::api
