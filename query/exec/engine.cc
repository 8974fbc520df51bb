#include "query/exec/engine.h"

#include <malloc.h>

#include <algorithm>

#include "query/exec/evaluator.h"
#include "query/exec/limits.h"
#include "query/exec/log_query.h"
#include "query/exec/query_context.h"
#include "query/exec/shared_ranges.h"
#include "query/logql/lexer.h"
#include "query/logql/parser.h"
#include "query/logql/regex.h"

namespace skald::query {
namespace {

using logql::Expr;

base::Result<Steps> steps_of(const QueryRequest& request) {
  Steps out;
  if (request.instant) {
    out.start_ns = request.end_ns;
    return out;
  }
  if (request.step_ns <= 0)
    return base::invalid_argument(
        "zero or negative query resolution step widths are not accepted. Try a positive integer");
  if (request.end_ns < request.start_ns)
    return base::invalid_argument("end timestamp must not be before or equal to start time");
  const std::int64_t points = (request.end_ns - request.start_ns) / request.step_ns;
  if (points > kStepsMax)
    return base::invalid_argument(
        "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of "
        "the step parameter");
  // As Loki's query frontend: the first point is rounded down to a multiple of the step, the last
  // one up.
  const auto floor_mod = [&](std::int64_t t) {
    const std::int64_t rest = t % request.step_ns;
    return rest < 0 ? rest + request.step_ns : rest;
  };
  out.step_ns = request.step_ns;
  out.start_ns = request.start_ns - floor_mod(request.start_ns);
  const std::int64_t rest = floor_mod(request.end_ns);
  const std::int64_t end_ns = rest == 0 ? request.end_ns : request.end_ns - rest + request.step_ns;
  out.count = static_cast<std::uint32_t>((end_ns - out.start_ns) / request.step_ns + 1);
  return out;
}

bool contains_sort(const Expr& expr) {
  if (const auto* vector = expr.as<logql::VectorAggregation>())
    return vector->op == logql::VectorOp::kSort || vector->op == logql::VectorOp::kSortDesc ||
           contains_sort(*vector->inner);
  if (const auto* binary = expr.as<logql::Binary>())
    return contains_sort(*binary->left) || contains_sort(*binary->right);
  if (const auto* replace = expr.as<logql::LabelReplace>()) return contains_sort(*replace->inner);
  return false;
}

// Series of a matrix that have the same labels are one; at a point that several have it has each.
void join_equals(std::vector<Series>& sorted) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (kept == 0 || sorted[kept - 1].labels != sorted[i].labels) {
      if (kept != i) sorted[kept] = std::move(sorted[i]);
      ++kept;
      continue;
    }
    auto& samples = sorted[kept - 1].samples;
    const auto middle = static_cast<std::ptrdiff_t>(samples.size());
    samples.insert(samples.end(), sorted[i].samples.begin(), sorted[i].samples.end());
    std::inplace_merge(
        samples.begin(), samples.begin() + middle, samples.end(),
        [](const Sample& a, const Sample& b) { return a.timestamp_ms < b.timestamp_ms; });
  }
  sorted.resize(kept);
}

// Series of points in milliseconds, sorted by labels.
base::Result<std::vector<Series>> to_series(QueryContext& context, const Steps& steps,
                                            StepMatrix matrix, bool keep_order) {
  std::vector<Series> out;
  context.charge(2 * matrix.size() * sizeof(Series));  // one to sort them
  SKALD_TRY(context.check());
  out.reserve(matrix.size());
  for (StepSeries& from : matrix) {
    Series series;
    const std::size_t points = from.points();
    context.charge(points * sizeof(Sample));
    SKALD_TRY(context.check());
    series.samples.reserve(points);
    series.labels = std::move(from.labels);
    from.values.for_each([&](std::uint32_t k, double value) {
      series.samples.push_back({steps.at(k) / base::kNsPerMs, value});
    });
    context.release(from.values.bytes());
    from = {};
    if (!series.samples.empty()) out.push_back(std::move(series));
  }
  if (!keep_order)
    std::stable_sort(out.begin(), out.end(),
                     [](const Series& a, const Series& b) { return a.labels < b.labels; });
  return out;
}

// Loki computes the time of an instant scalar from nanoseconds taken for microseconds, and
// overflows. Clients ignore it; we answer the same.
std::int64_t scalar_time_ms(std::int64_t time_ns) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(time_ns) * 1000) / 1000;
}

base::Status run_metric(store::Store& store, QueryContext& context, const Expr& expr,
                        QueryResult& result) {
  SKALD_TRY_ASSIGN(const Steps steps, steps_of(context.request));
  const bool instant = context.request.instant;
  if (const auto* literal = expr.as<logql::Literal>()) {
    if (instant) {
      result.data = Scalar{{scalar_time_ms(steps.start_ns), literal->value}};
      return {};
    }
    StepMatrix out(1);
    for (std::uint32_t k = 0; k < steps.count; ++k) out[0].set(k, literal->value);
    SKALD_TRY_ASSIGN(std::vector<Series> series, to_series(context, steps, std::move(out), false));
    result.data = Matrix{std::move(series)};
    return {};
  }
  const Evaluation evaluation{store, context, steps, result};
  SKALD_TRY_ASSIGN(StepMatrix matrix, evaluate(evaluation, expr));
  SKALD_TRY(context.check());
  SKALD_TRY_ASSIGN(std::vector<Series> series,
                   to_series(context, steps, std::move(matrix), instant && contains_sort(expr)));
  if (!instant) join_equals(series);
  result.stats.entries_returned = series.size();
  if (instant)
    result.data = Vector{std::move(series)};
  else
    result.data = Matrix{std::move(series)};
  return {};
}

// Goes after all that a query took.
struct GivesBack {
  const QueryContext& context;
  ~GivesBack() {
    if (context.was_large()) ::malloc_trim(0);
  }
};

}  // namespace

struct Engine::Impl {
  store::Store& store;
  const base::Clock& clock;
  EngineOptions options;

  // `ranges`: QueryContext::ranges.
  base::Result<QueryResult> run(const QueryRequest& request, RangeSource* ranges) const;
};

Engine::Engine(store::Store& store, const base::Clock& clock, EngineOptions options)
    : impl_(std::make_unique<Impl>(Impl{store, clock, options})) {}
Engine::~Engine() = default;

const MemoryPool* Engine::memory_pool() const noexcept { return impl_->options.memory_pool.get(); }

base::Result<QueryResult> Engine::run(const QueryRequest& request) const {
  return impl_->run(request, nullptr);
}

std::vector<base::Result<QueryResult>> Engine::run_together(std::span<const QueryRequest> requests,
                                                            ScanCounts* counts) const {
  SharedRanges shared(impl_->store, impl_->clock, impl_->options);
  for (const QueryRequest& request : requests) {
    const auto collector = shared.collector();
    // Over nothing: only what it asks for counts.
    if (request.instant) static_cast<void>(impl_->run(request, collector.get()));
  }
  shared.run();
  std::vector<base::Result<QueryResult>> out;
  for (const QueryRequest& request : requests)
    out.push_back(impl_->run(request, shared.replay().get()));
  if (counts != nullptr) {
    counts->asked += shared.counts().asked;
    counts->run += shared.counts().run;
  }
  return out;
}

base::Result<QueryResult> Engine::Impl::run(const QueryRequest& request,
                                            RangeSource* ranges) const {
  if (request.text.size() >= options.query_bytes_max)
    return logql::parse_error("input size too long (" + std::to_string(request.text.size()) +
                              " > " + std::to_string(options.query_bytes_max) + ")");
  const std::int64_t begin_ns = clock.monotonic_ns();
  const logql::RegexScope regexes;
  SKALD_TRY_ASSIGN(const logql::ExprPtr expr, logql::parse(request.text));
  QueryContext context(request, options, clock);
  context.ranges = ranges;
  const GivesBack gives_back{context};
  QueryResult result;
  if (const auto* selector = expr->as<logql::LogSelector>()) {
    if (request.instant)
      return base::invalid_argument(
          "log queries are not supported as an instant query type, please change your query to a "
          "range query type");
    SKALD_TRY(run_log_query(store, context, *selector, result));
  } else {
    SKALD_TRY(run_metric(store, context, *expr, result));
  }
  result.memory_bytes = context.held_bytes();
  result.memory_share = context.keep_share();
  result.stats.lines_processed = context.lines;
  result.stats.bytes_processed = context.line_bytes;
  result.stats.post_filter_lines = context.lines_kept;
  result.stats.exec_seconds =
      static_cast<double>(clock.monotonic_ns() - begin_ns) / base::kNsPerSecond;
  return result;
}

}  // namespace skald::query
