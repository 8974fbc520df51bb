#pragma once
// Request parameters in Loki's formats: query string and form merged, times, durations, limits.
//
// Errors are kInvalidArgument with the text that goes to the client.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "proto/net/http_server.h"
#include "proto/net/url.h"

namespace skald::query::api {

class Params {
 public:
  // Query string first, then an urlencoded body.
  static Params from(const net::ServerRequest& request);

  std::string_view get(std::string_view name) const noexcept;  // the first; empty if absent
  bool has(std::string_view name) const noexcept;
  std::vector<std::string> all(std::string_view name) const;
  const net::FormFields& fields() const noexcept { return fields_; }

 private:
  net::FormFields fields_;
};

// Seconds with a fraction, integer seconds (up to 10 characters), integer nanoseconds, RFC 3339.
base::Result<std::int64_t> parse_time(std::string_view text);
// Float seconds or a duration ("15000ms", "1m0s", "1d").
base::Result<std::int64_t> parse_step(std::string_view text, std::string_view name);

// start and end, with `since` and the defaults. End before start is an error.
base::Result<model::TimeRange> parse_range(const Params& params, std::int64_t now_ns,
                                           std::int64_t default_since_ns = 3'600'000'000'000);
base::Result<std::int64_t> parse_instant(const Params& params, std::int64_t now_ns);
// Positive integer; `name` missing: `fallback`.
base::Result<std::uint32_t> parse_limit(const Params& params, std::string_view name,
                                        std::uint32_t fallback, bool zero_is_fallback = false);
base::Result<model::Direction> parse_direction(std::string_view text);
// The step of a metric query, checked against 11,000 points.
base::Result<std::int64_t> parse_query_step(const Params& params, const model::TimeRange& range);

}  // namespace skald::query::api
