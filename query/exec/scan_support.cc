#include "query/exec/scan_support.h"

#include <algorithm>

#include <utility>
#include "query/exec/limits.h"

#include "query/exec/tenant_scan.h"

namespace skald::query {
namespace {

bool reads_line(const logql::Stage& stage) {
  return std::holds_alternative<logql::LineFilters>(stage) ||
         std::holds_alternative<logql::JsonParser>(stage) ||
         std::holds_alternative<logql::LogfmtParser>(stage) ||
         std::holds_alternative<logql::RegexpParser>(stage) ||
         std::holds_alternative<logql::PatternParser>(stage) ||
         std::holds_alternative<logql::UnpackParser>(stage) ||
         std::holds_alternative<logql::JsonExpressions>(stage) ||
         std::holds_alternative<logql::LogfmtExpressions>(stage);
}

bool changes_line(const logql::Stage& stage) {
  return std::holds_alternative<logql::LineFormat>(stage) ||
         std::holds_alternative<logql::UnpackParser>(stage) ||
         std::holds_alternative<logql::Decolorize>(stage);
}

}  // namespace

logql::Pipeline without_unread_line_formats(const logql::Pipeline& pipeline) {
  logql::Pipeline out;
  for (std::size_t i = 0; i < pipeline.size(); ++i) {
    const bool read =
        std::any_of(pipeline.begin() + static_cast<long>(i), pipeline.end(), reads_line);
    if (!std::holds_alternative<logql::LineFormat>(pipeline[i]) || read) out.push_back(pipeline[i]);
  }
  return out;
}

base::Result<ReadyPipeline> make_ready(const logql::Pipeline& pipeline) {
  ReadyPipeline out;
  out.order = logql::execution_order(pipeline);
  // Everything is compiled, so that every mistake is reported.
  SKALD_TRY_ASSIGN(auto all, compile_stages(out.order));
  SKALD_TRY_ASSIGN(out.filters, plan::plan_line_filters(out.order, compile_line_matcher));
  // The store has run the filters up to the first stage that changes the line.
  bool stored_line = true;
  for (const logql::Stage& stage : out.order) {
    if (changes_line(stage)) stored_line = false;
    if (stored_line && std::holds_alternative<logql::LineFilters>(stage)) continue;
    out.left.push_back(stage);
  }
  SKALD_TRY_ASSIGN(out.stages, compile_stages(out.left));
  const auto needs_line = [](const auto& stage) { return stage->needs_line(); };
  const auto reader = std::find_if(out.stages.begin(), out.stages.end(), needs_line);
  out.needs_line = reader != out.stages.end();
  if (out.needs_line && std::none_of(reader + 1, out.stages.end(), needs_line))
    out.reads_only = (*reader)->reads_only();
  return out;
}

base::Result<std::unique_ptr<store::Scan>> open_scan(store::Store& store,
                                                     const QueryContext& context,
                                                     const logql::LogSelector& selector,
                                                     model::TimeRange range,
                                                     const plan::LineFilterPlan& filters) {
  store::ScanRequest request;
  request.tenant = context.request.tenant;
  request.matchers = logql::copy_matchers(selector);
  request.range = range;
  request.prune = filters.filters;
  return open_tenants_scan(store, std::move(request));
}

store::ScanOptions scan_options(QueryContext& context, model::Direction direction) {
  store::ScanOptions out;
  out.workers = std::max(1U, context.options.workers);
  out.direction = direction;
  out.deadline_monotonic_ns = context.request.timeout_ns > 0 ? context.deadline_ns : 0;
  out.clock = &context.clock;
  out.cancelled = [&context] { return context.request.abandoned(); };
  out.memory = &context;
  return out;
}

std::size_t batch_after(std::size_t rows, std::uint64_t bytes) {
  const std::uint64_t line = rows == 0 ? 0 : bytes / rows;
  return std::clamp<std::size_t>(kBatchBytes / std::max<std::uint64_t>(line, 1), 64, kBatchRows);
}

base::Status in_batches(
    const store::Selection& selection,
    const std::function<base::Result<std::uint64_t>(const store::Selection&)>& visit) {
  const auto words = selection.words();
  std::size_t most = kFirstBatchRows;
  for (std::size_t from = 0; from < words.size();) {
    store::Selection part(selection.rows());
    std::size_t rows = 0;
    // A word more would be too many: it begins the next part.
    for (; from < words.size() && rows + 64 <= most; ++from) {
      part.words()[from] = words[from];
      rows += static_cast<std::size_t>(__builtin_popcountll(words[from]));
    }
    if (rows == 0) continue;
    SKALD_TRY_ASSIGN(const std::uint64_t bytes, visit(part));
    most = batch_after(rows, bytes);
  }
  return {};
}

void take_stats(const store::Scan& scan, QueryResult& result) {
  const store::ScanStats& stats = scan.stats();
  result.stats.parts += stats.parts;
  result.stats.blocks += stats.blocks;
  result.stats.blocks_skipped += stats.blocks_skipped;
  result.stats.bytes_read += stats.bytes_read;
  result.stats.bytes_decoded += stats.bytes_decoded;
  for (std::string& warning : scan.warnings()) result.warnings.push_back(std::move(warning));
}

}  // namespace skald::query
