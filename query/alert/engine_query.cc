// The ruler on an engine.
#include <variant>

#include "query/alert/ruler.h"

namespace skald::query::alert {
namespace {

using Samples = base::Result<std::vector<RuleSample>>;

QueryRequest request_of(const std::string& tenant, const std::string& text, model::TimestampNs at,
                        std::int64_t timeout_ns) {
  QueryRequest request;
  request.tenant = tenant;
  request.text = text;
  request.instant = true;
  request.start_ns = request.end_ns = at;
  request.timeout_ns = timeout_ns;
  return request;
}

Samples samples_of(base::Result<QueryResult> result) {
  if (!result.ok()) return std::move(result).status().with_context("rule evaluation failed");
  std::vector<RuleSample> out;
  if (const auto* scalar = std::get_if<Scalar>(&result->data)) {
    out.push_back({model::Labels(), scalar->sample.value});
  } else if (auto* vector = std::get_if<Vector>(&result->data)) {
    for (Series& series : vector->series)
      if (!series.samples.empty())
        out.push_back({std::move(series.labels), series.samples.back().value});
  } else {
    return base::invalid_argument("rule result is not a vector or scalar");
  }
  return out;
}

}  // namespace

RuleQuery engine_query(const Engine& engine, std::int64_t timeout_ns) {
  return [&engine, timeout_ns](const std::string& tenant, const std::string& text,
                               model::TimestampNs at) {
    return samples_of(engine.run(request_of(tenant, text, at, timeout_ns)));
  };
}

RuleQueries engine_queries(const Engine& engine, std::int64_t timeout_ns) {
  return [&engine, timeout_ns](const std::string& tenant, const std::vector<std::string>& texts,
                               model::TimestampNs at) {
    std::vector<QueryRequest> requests;
    for (const std::string& text : texts)
      requests.push_back(request_of(tenant, text, at, timeout_ns));
    RuleAnswers out;
    for (auto& result : engine.run_together(requests, &out.scans))
      out.results.push_back(samples_of(std::move(result)));
    return out;
  };
}

}  // namespace skald::query::alert
