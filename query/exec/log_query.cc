#include "query/exec/log_query.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "query/exec/column_rows.h"
#include "query/exec/held_bytes.h"
#include "query/exec/limits.h"
#include "query/exec/log_pieces.h"
#include "query/exec/metered_block.h"
#include "query/exec/scan_support.h"

namespace skald::query {
namespace {

// Tells of rows that the stages drop, without their lines.
struct ColumnFilter {
  Hints hints;
  std::unique_ptr<ColumnRows> columns;  // null: not for this pipeline
};
// Columns are asked about a block's rows once fewer than one of so many is kept.
constexpr std::size_t kFilterShare = 16;

class LogVisitor final : public store::BlockVisitor {
 public:
  LogVisitor(const LogPipeline& pipeline, const ColumnFilter& filter, QueryContext& context,
             std::span<const store::StreamInfo> streams, LogHits& hits, unsigned workers)
      : pipeline_(pipeline),
        filter_(filter),
        context_(context),
        streams_(streams),
        hits_(hits),
        pushdown_(pipeline.ready.order, pipeline.ready.filters, nullptr, streams),
        forward_(context.request.direction == model::Direction::kForward) {
    const std::size_t hashed = hits.folds() ? streams.size() : 0;
    for (unsigned i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<Worker>(pipeline.hints, filter.hints, &context));
      workers_.back()->numbers.resize(streams.size());
      workers_.back()->hashes.resize(hashed);
    }
    context.charge(workers * streams.size() * sizeof(std::uint32_t) +
                   workers * hashed * sizeof(std::uint64_t));
  }

  bool wants(model::TimestampNs min_ns, model::TimestampNs max_ns) override {
    return hits_.wants(forward_ ? min_ns : max_ns);
  }

  base::Status visit(store::Block& stored, unsigned worker) override {
    SKALD_TRY(context_.check());
    MeteredBlock block(stored, context_);
    SKALD_TRY_ASSIGN(store::Selection selection, block.select());
    // Columns take out what cannot pass; what is left goes through the whole pipeline.
    SKALD_TRY(plan::BlockPass(pushdown_, block).filter(selection));
    if (selection.none()) return {};
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    // Best rows first, in batches, so that lines which the limit leaves out are never read.
    std::vector<std::uint32_t> order;
    selection.for_each([&](std::uint32_t row) { order.push_back(row); });
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return forward_ ? times[a] < times[b] : times[a] > times[b];
    });
    const std::size_t most =
        std::clamp<std::size_t>(context_.request.limit, kFirstBatchRows, kBatchRows);
    std::size_t batch = kFirstBatchRows;
    bool filtered = filter_.columns == nullptr;
    std::optional<std::uint32_t> number;
    RowMetadata metadata(block, selection);
    for (std::size_t from = 0; from < order.size();) {
      if (!hits_.wants(times[order[from]])) return {};
      SKALD_TRY(context_.check());
      if (!number) number = hits_.block(block);
      store::Selection part(block.rows());
      const std::size_t end = std::min(order.size(), from + batch);
      for (std::size_t i = from; i < end; ++i) part.set(order[i]);
      SKALD_TRY_ASSIGN(const Batch done, rows(block, part, metadata, *number, *workers_[worker]));
      batch = std::min(most, batch_after(end - from, done.bytes));
      from = end;
      // Where lines are read for nothing, columns are asked about the rest of them.
      if (filtered || done.kept > done.rows / kFilterShare) continue;
      filtered = true;
      SKALD_TRY(drop_by_columns(block, from, order, workers_[worker]->filter_row));
    }
    return {};
  }

 private:
  struct Worker {
    Worker(const Hints& hints, const Hints& filter_hints, QueryContext* context)
        : row(hints, context), filter_row(filter_hints, context) {}
    Row row, filter_row;
    EntryLabels labels;
    std::vector<LabelView> all;
    std::vector<std::uint32_t> numbers;  // by stream: labels_of()
    std::vector<std::uint64_t> hashes;   // by stream, of its labels alone
    // Of the rows under way, when entries are not held.
    std::vector<Hit> found;
    bool folded = false;         // some have labels beside their stream's
    std::size_t line_bytes = 0;  // of a line that is not read
  };
  struct Batch {
    std::size_t rows = 0, kept = 0;
    std::uint64_t bytes = 0;  // of the lines
  };

  // Takes the rows out of order[from, end) that the stages drop, as far as columns tell.
  base::Status drop_by_columns(store::Block& block, std::size_t from,
                               std::vector<std::uint32_t>& order, Row& row) const {
    if (order.size() - from < kFirstBatchRows) return {};
    store::Selection rest(block.rows());
    for (std::size_t i = from; i < order.size(); ++i) rest.set(order[i]);
    SKALD_TRY_ASSIGN(const auto groups, filter_.columns->divide(block, rest));
    if (!groups) return {};
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    SKALD_TRY_ASSIGN(const auto streams, block.streams());
    std::vector<bool> dropped;
    row.pace()->begin();
    for (std::size_t g = 0; g < groups->first.size(); ++g) {
      SKALD_TRY(row.pace()->next(0));
      const std::uint32_t first = groups->first[g].row;
      dropped.push_back(filter_.columns->run(*groups, g, times[first],
                                             streams_[streams[first]].labels,
                                             row) == ColumnRows::Outcome::kDropped);
      if (row.stopped()) SKALD_TRY(context_.check());
    }
    std::size_t i = 0;
    store::Selection out(block.rows());
    rest.for_each([&](std::uint32_t r) {
      if (dropped[groups->ids[i++]]) out.set(r);
    });
    context_.lines += out.count();
    order.erase(std::remove_if(order.begin() + static_cast<std::ptrdiff_t>(from), order.end(),
                               [&](std::uint32_t r) { return out.test(r); }),
                order.end());
    return {};
  }

  base::Result<Batch> rows(store::Block& block, const store::Selection& selection,
                           RowMetadata& shared, std::uint32_t number, Worker& worker) {
    Row& row = worker.row;
    // Where an entry is, is known without its line.
    const bool whole = hits_.whole(), lines_read = whole || !pipeline_.ready.stages.empty();
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    SKALD_TRY_ASSIGN(const auto streams, block.streams());
    SKALD_TRY_ASSIGN(const auto ranks, block.ranks());
    store::TextColumn lines;
    std::span<const std::uint32_t> sizes;
    if (lines_read) {
      SKALD_TRY(block.read_lines(selection, lines));
    } else {
      SKALD_TRY_ASSIGN(sizes, block.line_sizes());
    }
    // Sets that rows share pay when all rows are read, which a small limit prevents.
    std::vector<model::Labels> metadata;
    if (!whole) SKALD_TRY(shared.read(selection));
    if (whole && block.has_metadata()) SKALD_TRY(block.read_metadata(selection, metadata));
    Batch out;
    base::Status status;
    row.pace()->begin();
    selection.for_each([&](std::uint32_t r) {
      if (!status.ok()) return;
      const std::size_t index = out.rows++;
      const std::string_view line = lines_read ? lines.at(index) : std::string_view();
      worker.line_bytes = lines_read ? 0 : sizes[r];
      status = row.pace()->next(line.size());
      if (!status.ok()) return;
      out.bytes += line.size() + worker.line_bytes;
      row.start(times[r], line, streams_[streams[r]].labels,
                !whole             ? shared.of(r, index)
                : metadata.empty() ? nullptr
                                   : &metadata[index]);
      if (!run_stages(pipeline_.ready.stages, row)) {
        if (row.stopped()) status = context_.check();
        return;
      }
      ++out.kept;
      take(worker,
           {.time = times[r],
            .stream = streams[r],
            .rank = ranks.empty() ? 0 : ranks[r],
            .block = number,
            .row = r},
           whole);
    });
    context_.lines += out.rows;
    context_.lines_kept += out.kept;
    context_.line_bytes += out.bytes;
    hits_.offer(worker.found, std::exchange(worker.folded, false));
    worker.found.clear();
    SKALD_TRY(status);
    return out;
  }

  void take(Worker& worker, Hit hit, bool whole) {
    if (!hits_.wants(hit.time)) return;
    const Row& row = worker.row;
    EntryLabels& labels = worker.labels;
    hit.labels = labels_of(row, hit.stream, worker);
    labels.stream.clear();
    row.collect(Category::kMetadata, labels.metadata);
    row.collect(Category::kParsed, labels.parsed);
    if (!whole) return worker.found.push_back(place_of(worker, hit));
    HeldHit held;
    held.hit = hit;
    held.entry.timestamp_ns = row.timestamp_ns;
    held.entry.line = row.line;
    held.entry.metadata = to_labels(labels.metadata);
    held.entry.parsed = to_labels(labels.parsed);
    held.bytes = sizeof(HeldHit) + kAnswerBytes + row.line.size() + kAllocationBytes +
                 held_bytes(held.entry.metadata) + held_bytes(held.entry.parsed);
    if (!held.entry.metadata.empty() || !held.entry.parsed.empty()) held.bytes += kFoldBytes;
    hits_.offer(std::move(held));
  }

  Hit place_of(Worker& worker, Hit hit) const {
    const Row& row = worker.row;
    EntryLabels& labels = worker.labels;
    if (hits_.folds()) {
      const bool alone = labels.metadata.empty() && labels.parsed.empty() && !row.changed();
      std::uint64_t& known = worker.hashes[hit.stream];
      row.collect(Category::kStream, labels.stream);
      if (!alone || known == 0) {
        fold(labels, worker.all);
        hit.group = hash_of(worker.all, hits_.seed());
        if (alone) known = hit.group;
      } else {
        hit.group = known;
      }
      worker.folded |= !labels.metadata.empty() || !labels.parsed.empty();
    }
    hit.bytes = entry_bytes(worker.line_bytes + row.line.size(), labels);
    return hit;
  }

  // Known of the streams whose labels a row did not change; one more than the number.
  std::uint32_t labels_of(const Row& row, std::uint32_t stream, Worker& worker) {
    std::uint32_t& known = worker.numbers[stream];
    if (!row.changed() && known != 0) return known - 1;
    row.collect(Category::kStream, worker.labels.stream);
    const std::uint32_t number = hits_.number(to_labels(worker.labels.stream));
    if (!row.changed()) known = number + 1;
    return number;
  }

  // An entry's place in the answer, and a pointer to it while that is sent.
  static constexpr std::uint64_t kAnswerBytes = sizeof(LogEntry) + 2 * sizeof(void*);
  // What sending takes for an entry whose labels no other may have.
  static constexpr std::uint64_t kFoldBytes = 160;

  const LogPipeline& pipeline_;
  const ColumnFilter& filter_;
  QueryContext& context_;
  std::span<const store::StreamInfo> streams_;
  LogHits& hits_;
  const plan::Pushdown pushdown_;
  const bool forward_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

base::Status run_log_query(store::Store& store, QueryContext& context,
                           const logql::LogSelector& selector, QueryResult& result) {
  const QueryRequest& request = context.request;
  SKALD_TRY_ASSIGN(ReadyPipeline ready, make_ready(selector.pipeline));
  Hints hints = Hints::for_log(ready.stages);
  const auto pipeline =
      std::make_shared<const LogPipeline>(LogPipeline{std::move(ready), std::move(hints)});
  ColumnFilter filter{ColumnRows::filter_hints(pipeline->ready.stages), nullptr};
  SKALD_TRY_ASSIGN(filter.columns, ColumnRows::create_filter(pipeline->ready.left, filter.hints));
  SKALD_TRY_ASSIGN(auto scan,
                   open_scan(store, context, selector, {request.start_ns, request.end_ns},
                             pipeline->ready.filters));
  const store::ScanOptions options = scan_options(context, request.direction);
  const bool all = request.interval_ns > 0;
  LogHits hits(all ? SIZE_MAX : request.limit, context);
  {
    LogVisitor visitor(*pipeline, filter, context, scan->streams(), hits, options.workers);
    SKALD_TRY(scan->run(visitor, options));
  }
  SKALD_TRY(context.check());
  take_stats(*scan, result);
  if (all) hits.thin_out(request.interval_ns, request.limit);
  result.stats.entries_returned = hits.size();
  if (hits.whole())
    result.data = hits.take_streams();
  else
    result.data = make_log_pieces(std::move(scan), pipeline, hits.take_places(), context);
  return context.check_memory();
}

}  // namespace skald::query
