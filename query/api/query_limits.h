#pragma once
// What one query may do: the strictest of its tenants' limits, narrowed by the request's header
// X-Loki-Query-Limits. The header can only narrow; what it says that is not understood is ignored.

#include <cstdint>
#include <string>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "query/api/call.h"
#include "query/logql/ast.h"

namespace skald::query::api {

// 0: no limit.
struct QueryLimits {
  std::uint64_t entries = 0, series = 0;
  std::int64_t length_ns = 0, lookback_ns = 0, timeout_ns = 0;
  std::int64_t range_ns = 0;     // of a range vector: [5m]
  std::uint64_t bytes_read = 0;  // of the selected streams in the time range
  std::vector<std::string> required_labels;
  std::uint64_t minimum_labels = 0;
};

QueryLimits query_limits(const Call& call);
// Also for tests: `header` is the JSON text, possibly empty.
void narrow(QueryLimits& limits, std::string_view header);

base::Status check_entries(const QueryLimits& limits, std::uint32_t limit);
base::Status check_length(const QueryLimits& limits, const model::TimeRange& range);
// Labels that selectors must name, ranges, and bytes to read (from statistics of the index).
base::Status check_expression(const Call& call, const QueryLimits& limits, const logql::Expr& expr,
                              const model::TimeRange& range);

}  // namespace skald::query::api
