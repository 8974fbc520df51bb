#include "query/exec/range_query.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <set>

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"
#include "query/exec/column_rows.h"
#include "query/exec/column_samples.h"
#include "query/exec/limits.h"
#include "query/exec/metered_block.h"
#include "query/exec/range_state.h"
#include "query/exec/scan_support.h"
#include "query/exec/series_keys.h"

namespace skald::query {
namespace {

using logql::RangeOp;

// Compiled once, shared by the workers.
struct RangePlan {
  const logql::RangeAggregation* expr = nullptr;
  ReadyPipeline pipeline;
  std::unique_ptr<Stage> post_filter;  // null: none
  GroupSpec groups;
  Hints hints;
  bool sample_bytes = false;                // the value is the line's length
  plan::MetricNeeds needs;                  // of the column path
  bool columns = false;                     // the column path may serve
  std::unique_ptr<ColumnRows> column_rows;  // null: not for this pipeline
};

base::Result<std::unique_ptr<Stage>> compile_post_filters(const logql::Unwrap& unwrap) {
  if (unwrap.post_filters.empty()) return std::unique_ptr<Stage>();
  if (unwrap.post_filters.size() == 1) return compile_post_filter(*unwrap.post_filters[0]);
  // Several are one `and`, which unlike stages one after the other does not stop at the first.
  class All final : public Stage {
   public:
    explicit All(Stages filters) : filters_(std::move(filters)) {}
    bool process(Row& row) const override {
      bool out = true;
      for (const auto& filter : filters_) out = filter->process(row) && out;
      return out;
    }
    void required_labels(std::vector<std::string>& out) const override {
      for (const auto& filter : filters_) filter->required_labels(out);
    }

   private:
    Stages filters_;
  };
  Stages filters;
  for (const auto& filter : unwrap.post_filters) {
    SKALD_TRY_ASSIGN(auto compiled, compile_post_filter(*filter));
    if (compiled) filters.push_back(std::move(compiled));
  }
  return std::unique_ptr<Stage>(std::make_unique<All>(std::move(filters)));
}

// Series that keep all labels but some are the row engine's.
void plan_columns(const logql::RangeAggregation& expr, RangePlan& out) {
  out.needs.grouped = out.groups.none || !out.groups.labels.empty();
  if (!out.groups.none) out.needs.by = out.groups.labels;
  if (expr.range.unwrap) out.needs.unwrap = &*expr.range.unwrap;
  out.columns = !out.groups.without;
}

base::Result<RangePlan> make_plan(const logql::RangeAggregation& expr,
                                  const logql::Grouping* outer) {
  RangePlan out;
  out.expr = &expr;
  out.sample_bytes = expr.op == RangeOp::kBytes || expr.op == RangeOp::kBytesRate;
  const logql::Pipeline& written = expr.range.selector.pipeline;
  SKALD_TRY_ASSIGN(out.pipeline,
                   make_ready(out.sample_bytes ? written : without_unread_line_formats(written)));
  const logql::Grouping* grouping = outer != nullptr ? outer
                                    : expr.grouping  ? &*expr.grouping
                                                     : nullptr;
  if (grouping != nullptr) {
    // A label that is named twice is one label.
    const std::set<std::string> names(grouping->labels.begin(), grouping->labels.end());
    out.groups.labels.assign(names.begin(), names.end());
    out.groups.without = grouping->without;
    out.groups.none = grouping->labels.empty() && !grouping->without;
  }
  if (expr.op == RangeOp::kAbsent) out.groups.none = true;
  plan_columns(expr, out);
  Hints::MetricNeeds needs;
  for (const auto& stage : out.pipeline.stages) stage->required_labels(needs.required);
  if (expr.range.unwrap) {
    SKALD_TRY_ASSIGN(out.post_filter, compile_post_filters(*expr.range.unwrap));
    if (out.post_filter) out.post_filter->required_labels(needs.required);
    needs.post_filter = out.post_filter.get();
    needs.unwrap = expr.range.unwrap->label;
    if (out.groups.labels.empty() || out.groups.without) {
      out.groups.without = true;
      out.groups.labels.push_back(needs.unwrap);
    }
  }
  std::sort(out.groups.labels.begin(), out.groups.labels.end());
  needs.groups = out.groups.labels;
  needs.without = out.groups.without;
  needs.none = out.groups.none;
  out.hints = Hints::for_metric(needs, out.pipeline.stages);
  needs.required.push_back(needs.unwrap);
  SKALD_TRY_ASSIGN(out.column_rows,
                   ColumnRows::create(out.pipeline.left, out.hints, needs.required));
  return out;
}

base::Result<double> convert(const logql::Unwrap& unwrap, std::string_view text) {
  switch (unwrap.convert) {
    case logql::Unwrap::Convert::kNone: return gotext::parse_float(text);
    case logql::Unwrap::Convert::kBytes: {
      SKALD_TRY_ASSIGN(const std::uint64_t bytes, gotext::parse_bytes(text));
      return static_cast<double>(bytes);
    }
    case logql::Unwrap::Convert::kDuration:
    case logql::Unwrap::Convert::kDurationSeconds: {
      SKALD_TRY_ASSIGN(const std::int64_t duration, gotext::parse_duration(text));
      return gotext::duration_seconds(duration);
    }
  }
  return base::internal("unknown conversion");
}

// Aggregations whose state is a count or a sum.
bool takes_counts(const logql::RangeAggregation& expr) {
  if (expr.range.unwrap) return false;
  return expr.op == RangeOp::kCount || expr.op == RangeOp::kAbsent || expr.op == RangeOp::kRate ||
         expr.op == RangeOp::kBytes || expr.op == RangeOp::kBytesRate;
}

// One worker's part.
struct Worker {
  Worker(const RangePlan& plan, const Windows& windows, QueryContext& context)
      : row(plan.hints, &context),
        keys(plan.groups, context),
        state(RangeState::create(*plan.expr, windows, context)) {}
  Row row;
  SeriesKeys keys;
  std::unique_ptr<RangeState> state;
};

class RangeVisitor final : public store::BlockVisitor {
 public:
  RangeVisitor(const RangePlan& plan, const Windows& windows, QueryContext& context,
               std::span<const store::StreamInfo> streams, unsigned workers)
      : plan_(plan), windows_(windows), context_(context), streams_(streams) {
    for (unsigned i = 0; i < workers; ++i)
      workers_.push_back(std::make_unique<Worker>(plan, windows, context));
    if (plan.columns)
      pushdown_.emplace(plan.pipeline.order, plan.pipeline.filters, &plan.needs, streams);
  }

  base::Status visit(store::Block& stored, unsigned worker) override {
    SKALD_TRY(context_.check());
    MeteredBlock block(stored, context_);
    if (reach_ && !reach_->overlaps(block.min_time_ns(), block.max_time_ns())) return {};
    blocks_.fetch_add(1, std::memory_order_relaxed);
    workers_[worker]->state->begin_block(block.sequence(), block.min_time_ns());
    if (pushdown_) return visit_columns(block, *workers_[worker]);
    SKALD_TRY_ASSIGN(store::Selection selection, select(block));
    SKALD_TRY(plan::filter_lines(plan_.pipeline.filters, block, selection));
    return undecided_rows(block, selection, *workers_[worker]);
  }

  // Joins the workers' states.
  base::Result<StepMatrix> finish() {
    Worker& all = *workers_[0];
    for (std::size_t i = 1; i < workers_.size(); ++i) {
      Worker& other = *workers_[i];
      for (std::uint32_t id = 0; id < other.keys.size(); ++id) {
        if (id % kRowsPerCheck == 0) SKALD_TRY(context_.check());
        all.state->merge_series(all.keys.of_other(other.keys, id), *other.state, id);
      }
      workers_[i] = nullptr;
    }
    all.state->came_from(blocks_);
    StepMatrix out;
    for (std::uint32_t id = 0; id < all.keys.size(); ++id) {
      StepSeries series(all.keys.labels_of(id));
      all.state->finish(id, series);
      if (series.empty()) continue;
      context_.charge(series.bytes());
      if (id % kRowsPerCheck == 0) SKALD_TRY(context_.check());
      out.push_back(std::move(series));
    }
    SKALD_TRY(context_.check());
    workers_.clear();
    return out;
  }

  // The scan goes further: what lies outside is not looked at.
  void stay_within(model::TimeRange reach) { reach_ = reach; }

 private:
  base::Result<store::Selection> select(store::Block& block) const {
    SKALD_TRY_ASSIGN(store::Selection out, block.select());
    if (!reach_ || (reach_->contains(block.min_time_ns()) && reach_->contains(block.max_time_ns())))
      return out;
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    for (std::uint32_t row = 0; row < out.rows(); ++row)
      if (!reach_->contains(times[row])) out.reset(row);
    return out;
  }

  base::Status visit_columns(store::Block& block, Worker& worker) {
    const auto series_of = [&](const model::Labels& labels) {
      return worker.keys.of_labels(labels);
    };
    const ColumnSampler sampler{.plan = *pushdown_,
                                .windows = windows_,
                                .context = context_,
                                .sample_bytes = plan_.sample_bytes,
                                .unwrap = plan_.expr->range.unwrap.has_value(),
                                .countable = takes_counts(*plan_.expr)};
    plan::BlockPass pass(*pushdown_, block);
    SKALD_TRY_ASSIGN(const bool counted,
                     sampler.count_whole(pass, block, series_of, *worker.state));
    if (counted) return {};
    SKALD_TRY_ASSIGN(store::Selection selection, select(block));
    const std::uint32_t selected = selection.count();
    SKALD_TRY_ASSIGN(const auto outcome, pass.filter(selection));
    if (selection.none()) {
      context_.lines += selected;
      return {};
    }
    if (outcome == plan::BlockPass::Outcome::kDecided) {
      SKALD_TRY_ASSIGN(const bool sampled,
                       sampler.sample(pass, block, selection, series_of, *worker.state));
      context_.lines += sampled ? selected : selected - selection.count();
      if (sampled) return {};
    }
    return undecided_rows(block, selection, worker);
  }

  base::Status undecided_rows(store::Block& block, const store::Selection& selection,
                              Worker& worker) {
    if (selection.none()) return {};
    if (!plan_.column_rows) return all_rows(block, selection, worker);
    SKALD_TRY_ASSIGN(const auto groups, plan_.column_rows->divide(block, selection));
    if (!groups) return all_rows(block, selection, worker);
    store::Selection rest(selection.rows());
    SKALD_TRY(run_groups(block, selection, *groups, worker, rest));
    return all_rows(block, rest, worker);
  }

  // What a row of each group comes to, for all of its rows. `rest` gets the rows that need their
  // lines.
  base::Status run_groups(store::Block& block, const store::Selection& selection,
                          const ColumnRows::Groups& groups, Worker& worker,
                          store::Selection& rest) {
    SKALD_TRY_ASSIGN(auto times, block.timestamps());
    std::vector<GroupSample> samples(groups.first.size());
    std::vector<std::uint32_t> series(groups.first.size(), 0);
    worker.row.pace()->begin();
    for (std::size_t g = 0; g < samples.size(); ++g) {
      SKALD_TRY(worker.row.pace()->next(0));
      SKALD_TRY(run_group(block, groups, g, worker, samples[g], series[g]));
    }
    store::Selection left(selection.rows());
    std::vector<std::uint32_t> ids;
    std::vector<double> values;
    std::span<const std::uint32_t> sizes;
    if (plan_.sample_bytes) {
      SKALD_TRY_ASSIGN(sizes, block.line_sizes());
    }
    std::size_t i = 0;
    selection.for_each([&](std::uint32_t row) {
      const std::uint32_t group = groups.ids[i++];
      const GroupSample& sample = samples[group];
      if (sample.outcome == ColumnRows::Outcome::kNeedsLine) rest.set(row);
      if (sample.outcome != ColumnRows::Outcome::kKept) return;
      left.set(row);
      ids.push_back(group);
      values.push_back(sample.stored_line ? sizes[row] : sample.value);
    });
    const Windows::Slot slot = windows_.slot_of(block.min_time_ns());
    if (slot.holds(block.max_time_ns()) && !worker.state->needs_times()) times = {};
    worker.state->add_rows({left, series, ids, values, times, slot});
    context_.lines += selection.count() - rest.count();
    context_.lines_kept += left.count();
    return {};
  }

  struct GroupSample {
    ColumnRows::Outcome outcome = ColumnRows::Outcome::kDropped;
    double value = 1;
    bool stored_line = false;  // the value is the size of each row's line
  };
  base::Status run_group(store::Block& block, const ColumnRows::Groups& groups, std::size_t group,
                         Worker& worker, GroupSample& out, std::uint32_t& series) {
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    SKALD_TRY_ASSIGN(const auto streams, block.streams());
    const std::uint32_t row = groups.first[group].row, stream = streams[row];
    out.outcome =
        plan_.column_rows->run(groups, group, times[row], streams_[stream].labels, worker.row);
    if (worker.row.stopped()) return context_.check();
    if (out.outcome != ColumnRows::Outcome::kKept) return {};
    if (!value_of(worker.row, -1, out.value)) {
      out.outcome = ColumnRows::Outcome::kDropped;
      return {};
    }
    if (worker.row.has_error()) {
      out.outcome = ColumnRows::Outcome::kNeedsLine;
      return {};
    }
    out.stored_line = plan_.sample_bytes && ColumnRows::has_stored_line(worker.row);
    SKALD_TRY_ASSIGN(series, worker.keys.of_row(worker.row, stream));
    return {};
  }

  base::Status all_rows(store::Block& block, const store::Selection& selection, Worker& worker) {
    store::Selection read(block.rows(), plan_.pipeline.needs_line);
    read.intersect(selection);
    if (plan_.pipeline.reads_only != nullptr)
      SKALD_TRY(block.filter_lines(*plan_.pipeline.reads_only, read));
    RowMetadata metadata(block, selection);
    return in_batches(selection, [&](const store::Selection& part) -> base::Result<std::uint64_t> {
      SKALD_TRY(context_.check());
      store::Selection text = part;
      text.intersect(read);
      SKALD_TRY(metadata.read(part));
      return rows(block, part, text, metadata, worker);
    });
  }

  // `text`: the rows of the selection whose lines are read. Their bytes.
  base::Result<std::uint64_t> rows(store::Block& block, const store::Selection& selection,
                                   const store::Selection& text, const RowMetadata& metadata,
                                   Worker& worker) {
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    SKALD_TRY_ASSIGN(const auto streams, block.streams());
    std::span<const std::uint32_t> sizes;
    // Whoever reads lines may change them; what a row without a line has is its stored line's size.
    if (plan_.sample_bytes &&
        (!plan_.pipeline.needs_line || plan_.pipeline.reads_only != nullptr)) {
      SKALD_TRY_ASSIGN(sizes, block.line_sizes());
    }
    store::TextColumn lines;
    SKALD_TRY(block.read_lines(text, lines));
    std::size_t i = 0, next_line = 0;
    std::uint64_t bytes = 0;
    base::Status status;
    worker.row.pace()->begin();
    selection.for_each([&](std::uint32_t r) {
      const std::size_t index = i++;
      if (!status.ok()) return;
      const std::string_view line = text.test(r) ? lines.at(next_line++) : std::string_view();
      if (windows_.points_of(times[r]).empty()) return;
      bytes += line.size();
      status = worker.row.pace()->next(line.size());
      worker.row.start(times[r], line, streams_[streams[r]].labels, metadata.of(r, index));
      const double size = sizes.empty() ? -1 : static_cast<double>(sizes[r]);
      if (status.ok()) status = sample(worker, streams[r], size);
    });
    context_.lines += i;
    context_.line_bytes += bytes;
    SKALD_TRY(status);
    return bytes;
  }

  base::Status sample(Worker& worker, std::uint32_t stream, double size) {
    Row& row = worker.row;
    if (!run_stages(plan_.pipeline.stages, row))
      return row.stopped() ? context_.check() : base::Status();
    double value = 1;
    if (!value_of(row, size, value)) return {};
    SKALD_TRY_ASSIGN(const std::uint32_t series, worker.keys.of_row(row, stream));
    worker.state->add(series, row.timestamp_ns, value);
    ++context_.lines_kept;
    return {};
  }

  // Of a row that the stages let pass. `size`: of its stored line, where known. False: no sample.
  bool value_of(Row& row, double size, double& value) const {
    if (plan_.expr->range.unwrap) {
      const logql::Unwrap& unwrap = *plan_.expr->range.unwrap;
      const std::string_view text = row.get(unwrap.label).value;
      if (text.empty()) return false;
      const auto converted = convert(unwrap, text);
      value = converted.ok() ? *converted : 0;
      if (!converted.ok()) {
        row.set_error(kSampleError);
        row.set_error_details(converted.status().message());
      }
      if (plan_.post_filter && !plan_.post_filter->process(row)) return false;
    } else if (plan_.sample_bytes) {
      value = size >= 0 ? size : static_cast<double>(row.line.size());
    }
    return true;
  }

  const RangePlan& plan_;
  const Windows& windows_;
  QueryContext& context_;
  std::span<const store::StreamInfo> streams_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<std::size_t> blocks_ = 0;
  std::optional<plan::Pushdown> pushdown_;  // the column path
  std::optional<model::TimeRange> reach_;   // not set: that of the scan
};

// The labels that a missing series has: those of equality matchers, as far as unambiguous.
model::Labels absent_labels(const logql::LogSelector& selector) {
  model::Labels out;
  std::vector<std::string> ambiguous;
  for (const auto& matcher : selector.matchers) {
    if (matcher->name() == "__name__") continue;
    if (matcher->op() == model::Matcher::Op::kEqual && !out.has(matcher->name()))
      out.set(matcher->name(), matcher->value());
    else
      ambiguous.push_back(matcher->name());
  }
  for (const std::string& name : ambiguous) out.erase(name);
  return out;
}

// 1 wherever there is nothing.
StepMatrix invert(const StepMatrix& present, const model::Labels& labels, const Steps& steps) {
  StepMatrix out(1, StepSeries(labels));
  for (std::uint32_t k = 0; k < steps.count; ++k) {
    const bool any = std::any_of(present.begin(), present.end(),
                                 [&](const StepSeries& series) { return series.has(k); });
    if (!any) out[0].set(k, 1);
  }
  return out;
}

// One range aggregation at work.
struct RangeRun {
  RangeTask task;
  RangePlan plan;
  Windows windows;
  std::unique_ptr<RangeVisitor> visitor;

  base::Result<StepMatrix> finish() {
    SKALD_TRY_ASSIGN(StepMatrix out, visitor->finish());
    if (task.expr.op != RangeOp::kAbsent) return out;
    return invert(out, absent_labels(task.expr.range.selector), task.steps);
  }
};

base::Result<std::unique_ptr<RangeRun>> prepare(const RangeTask& task) {
  const logql::LogRange& range = task.expr.range;
  SKALD_TRY_ASSIGN(RangePlan plan, make_plan(task.expr, task.outer));
  return std::make_unique<RangeRun>(RangeRun{
      task, std::move(plan), Windows{task.steps, range.interval_ns, range.offset_ns}, nullptr});
}

// Shows each block to several visitors. One that fails is left out from then on.
class JointVisitor final : public store::BlockVisitor {
 public:
  explicit JointVisitor(std::span<const std::unique_ptr<RangeRun>> runs)
      : runs_(runs), statuses_(runs.size()), failed_(runs.size()) {}

  base::Status visit(store::Block& block, unsigned worker) override {
    bool any = false;
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      if (failed_[i].load(std::memory_order_relaxed)) continue;
      base::Status status = runs_[i]->visitor->visit(block, worker);
      if (status.ok()) {
        any = true;
        continue;
      }
      const std::lock_guard lock(mutex_);
      if (statuses_[i].ok()) statuses_[i] = std::move(status);
      failed_[i] = true;
    }
    return any ? base::Status() : base::cancelled("nothing that shares the scan needs it any more");
  }
  const base::Status& status(std::size_t i) const { return statuses_[i]; }

 private:
  std::span<const std::unique_ptr<RangeRun>> runs_;
  std::mutex mutex_;
  std::vector<base::Status> statuses_;
  std::vector<std::atomic<bool>> failed_;
};

// What all of them look for: needles that a line of use to any must have.
plan::LineFilterPlan common_needles(std::span<const std::unique_ptr<RangeRun>> runs) {
  plan::LineFilterPlan out;
  for (const store::LineFilter& filter : runs.front()->plan.pipeline.filters.filters) {
    const auto equal = [&](const store::LineFilter& other) {
      return !other.negated && other.clauses == filter.clauses &&
             other.fold_case == filter.fold_case;
    };
    const bool common = !filter.negated && !filter.clauses.empty() &&
                        std::all_of(runs.begin(), runs.end(), [&](const auto& run) {
                          const auto& filters = run->plan.pipeline.filters.filters;
                          return std::any_of(filters.begin(), filters.end(), equal);
                        });
    if (common) out.filters.push_back({filter.clauses, filter.fold_case, nullptr, false});
  }
  return out;
}

}  // namespace

model::TimeRange reach_of(const logql::RangeAggregation& expr, const Steps& steps) {
  const logql::LogRange& range = expr.range;
  return {steps.start_ns - range.interval_ns - range.offset_ns + 1,
          steps.at(steps.count - 1) - range.offset_ns + 1};
}

base::Result<StepMatrix> run_range(store::Store& store, const RangeTask& task) {
  // Each is below 2^63, so that halves do not overflow.
  const logql::LogRange& range = task.expr.range;
  if (range.interval_ns / 2 + std::abs(range.offset_ns / 2) > kReachMaxNs / 2)
    return base::invalid_argument("the range and its offset reach over more than 73 years");
  QueryContext& context = task.context;
  if (context.ranges != nullptr) {
    SKALD_TRY_ASSIGN(auto known, context.ranges->take(task));
    if (known) return std::move(*known);
  }
  SKALD_TRY_ASSIGN(const auto run, prepare(task));
  SKALD_TRY_ASSIGN(const auto scan,
                   open_scan(store, context, task.expr.range.selector,
                             reach_of(task.expr, task.steps), run->plan.pipeline.filters));
  const store::ScanOptions options = scan_options(context, model::Direction::kForward);
  run->visitor = std::make_unique<RangeVisitor>(run->plan, run->windows, context, scan->streams(),
                                                options.workers);
  SKALD_TRY(scan->run(*run->visitor, options));
  take_stats(*scan, task.result);
  return run->finish();
}

base::Result<std::vector<base::Result<StepMatrix>>> run_ranges(store::Store& store,
                                                               QueryContext& scan_context,
                                                               std::span<const RangeTask> tasks) {
  std::vector<std::unique_ptr<RangeRun>> runs;
  for (const RangeTask& task : tasks) {
    SKALD_TRY_ASSIGN(auto run, prepare(task));
    runs.push_back(std::move(run));
  }
  const RangeTask& first = tasks.front();
  model::TimeRange reach = reach_of(first.expr, first.steps);
  for (const RangeTask& task : tasks) {
    const model::TimeRange own = reach_of(task.expr, task.steps);
    reach.start_ns = std::min(reach.start_ns, own.start_ns);
    reach.end_ns = std::max(reach.end_ns, own.end_ns);
  }
  SKALD_TRY_ASSIGN(const auto scan, open_scan(store, scan_context, first.expr.range.selector, reach,
                                              common_needles(runs)));
  const store::ScanOptions options = scan_options(scan_context, model::Direction::kForward);
  for (const auto& run : runs) {
    run->visitor = std::make_unique<RangeVisitor>(run->plan, run->windows, run->task.context,
                                                  scan->streams(), options.workers);
    run->visitor->stay_within(reach_of(run->task.expr, run->task.steps));
  }
  JointVisitor visitor(runs);
  SKALD_TRY(scan->run(visitor, options));
  std::vector<base::Result<StepMatrix>> out;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    take_stats(*scan, runs[i]->task.result);
    if (visitor.status(i).ok())
      out.push_back(runs[i]->finish());
    else
      out.emplace_back(visitor.status(i));
  }
  return out;
}

}  // namespace skald::query
