#include "query/exec/log_query.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "query/exec/column_rows.h"
#include "query/exec/held_bytes.h"
#include "query/exec/limits.h"
#include "query/exec/metered_block.h"
#include "query/exec/scan_support.h"

namespace skald::query {
namespace {

// Where an entry stands: by time, then by stream, then by arrival.
struct Place {
  std::int64_t time = 0;
  std::uint32_t stream = 0;
  std::uint32_t rank = 0;
  std::uint64_t sequence = 0;
  std::uint32_t row = 0;
  auto key() const { return std::tie(time, stream, sequence, rank, row); }
};

struct Hit {
  Place place;
  std::uint32_t labels = 0;  // a number of Best::number()
  LogEntry entry;
  std::uint64_t bytes = 0;
};

// The best `limit` entries so far, shared by the workers. A heap with the worst on top.
class Best {
 public:
  Best(std::size_t limit, bool forward, QueryContext& context)
      : limit_(limit), forward_(forward), context_(context) {}

  bool before(const Place& a, const Place& b) const {
    return forward_ ? a.key() < b.key() : b.key() < a.key();
  }
  // Whether an entry of this time could still come in.
  bool wants(std::int64_t first_time) const {
    const std::lock_guard lock(mutex_);
    if (hits_.size() < limit_) return true;
    const std::int64_t worst = hits_.front().place.time;
    return forward_ ? first_time <= worst : first_time >= worst;
  }
  void offer(Hit hit) {
    const std::lock_guard lock(mutex_);
    const auto order = [&](const Hit& a, const Hit& b) { return before(a.place, b.place); };
    if (hits_.size() == limit_) {
      if (limit_ == 0 || !before(hit.place, hits_.front().place)) return;
      std::pop_heap(hits_.begin(), hits_.end(), order);
      context_.release(hits_.back().bytes);
      hits_.pop_back();
    }
    context_.charge(hit.bytes);
    hits_.push_back(std::move(hit));
    std::push_heap(hits_.begin(), hits_.end(), order);
  }
  // Of a stream's labels, which thousands of entries share.
  std::uint32_t number(model::Labels labels) {
    const std::lock_guard lock(mutex_);
    const auto [known, added] =
        numbers_.try_emplace(std::move(labels), static_cast<std::uint32_t>(streams_.size()));
    if (added) {
      context_.charge(held_bytes(known->first) + sizeof(model::Labels) + kMapNodeBytes);
      streams_.push_back(&known->first);
    }
    return known->second;
  }
  const std::vector<const model::Labels*>& streams() const { return streams_; }
  std::deque<Hit> take() {
    std::sort(hits_.begin(), hits_.end(),
              [&](const Hit& a, const Hit& b) { return before(a.place, b.place); });
    return std::move(hits_);
  }

 private:
  const std::size_t limit_;
  const bool forward_;
  QueryContext& context_;
  mutable std::mutex mutex_;
  std::deque<Hit> hits_;  // does not double
  std::unordered_map<model::Labels, std::uint32_t, model::LabelsHash> numbers_;
  std::vector<const model::Labels*> streams_;  // by number
};

model::Labels to_labels(const std::vector<LabelView>& views) {
  std::vector<model::Labels::Pair> pairs;
  pairs.reserve(views.size());
  for (const LabelView& label : views) pairs.emplace_back(label.name, label.value);
  return model::Labels::from_result(std::move(pairs));
}

// Tells of rows that the stages drop, without their lines.
struct ColumnFilter {
  Hints hints;
  std::unique_ptr<ColumnRows> columns;  // null: not for this pipeline
};
// Columns are asked about a block's rows once fewer than one of so many is kept.
constexpr std::size_t kFilterShare = 16;

class LogVisitor final : public store::BlockVisitor {
 public:
  LogVisitor(const ReadyPipeline& pipeline, const Hints& hints, const ColumnFilter& filter,
             QueryContext& context, std::span<const store::StreamInfo> streams, Best& best,
             unsigned workers)
      : pipeline_(pipeline),
        filter_(filter),
        context_(context),
        streams_(streams),
        best_(best),
        pushdown_(pipeline.order, pipeline.filters, nullptr, streams),
        forward_(context.request.direction == model::Direction::kForward) {
    for (unsigned i = 0; i < workers; ++i) {
      rows_.push_back(std::make_unique<Row>(hints, &context));
      filter_rows_.push_back(std::make_unique<Row>(filter.hints, &context));
      numbers_.emplace_back(streams.size());
    }
    context.charge(workers * streams.size() * sizeof(std::uint32_t));
  }

  bool wants(model::TimestampNs min_ns, model::TimestampNs max_ns) override {
    return best_.wants(forward_ ? min_ns : max_ns);
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
    for (std::size_t from = 0; from < order.size();) {
      if (!best_.wants(times[order[from]])) return {};
      SKALD_TRY(context_.check());
      store::Selection part(block.rows());
      const std::size_t end = std::min(order.size(), from + batch);
      for (std::size_t i = from; i < end; ++i) part.set(order[i]);
      SKALD_TRY_ASSIGN(const Batch done, rows(block, part, worker));
      batch = std::min(most, batch_after(end - from, done.bytes));
      from = end;
      // Where lines are read for nothing, columns are asked about the rest of them.
      if (filtered || done.kept > done.rows / kFilterShare) continue;
      filtered = true;
      SKALD_TRY(drop_by_columns(block, from, order, *filter_rows_[worker]));
    }
    return {};
  }

 private:
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
    for (std::size_t g = 0; g < groups->first.size(); ++g) {
      if (g % kRowsPerCheck == kRowsPerCheck - 1) SKALD_TRY(context_.check());
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
                           unsigned worker) {
    Row& row = *rows_[worker];
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    SKALD_TRY_ASSIGN(const auto streams, block.streams());
    SKALD_TRY_ASSIGN(const auto ranks, block.ranks());
    store::TextColumn lines;
    SKALD_TRY(block.read_lines(selection, lines));
    std::vector<model::Labels> metadata;
    if (block.has_metadata()) SKALD_TRY(block.read_metadata(selection, metadata));
    Batch out;
    base::Status status;
    selection.for_each([&](std::uint32_t r) {
      const std::size_t index = out.rows++;
      if (index % kRowsPerCheck == kRowsPerCheck - 1 && status.ok()) status = context_.check();
      if (!status.ok()) return;
      const std::string_view line = lines.at(index);
      out.bytes += line.size();
      row.start(times[r], line, streams_[streams[r]].labels,
                metadata.empty() ? nullptr : &metadata[index]);
      if (!run_stages(pipeline_.stages, row)) {
        if (row.stopped()) status = context_.check();
        return;
      }
      ++out.kept;
      take(row, worker, {times[r], streams[r], ranks.empty() ? 0 : ranks[r], block.sequence(), r});
    });
    context_.lines += out.rows;
    context_.lines_kept += out.kept;
    context_.line_bytes += out.bytes;
    SKALD_TRY(status);
    return out;
  }

  void take(const Row& row, unsigned worker, const Place& place) {
    if (!best_.wants(place.time)) return;
    Hit hit;
    hit.place = place;
    hit.entry.timestamp_ns = row.timestamp_ns;
    hit.entry.line = row.line;
    std::vector<LabelView> views;
    hit.labels = labels_of(row, place.stream, numbers_[worker], views);
    row.collect(Category::kMetadata, views);
    hit.entry.metadata = to_labels(views);
    row.collect(Category::kParsed, views);
    hit.entry.parsed = to_labels(views);
    hit.bytes = sizeof(Hit) + kAnswerBytes + row.line.size() + kAllocationBytes +
                held_bytes(hit.entry.metadata) + held_bytes(hit.entry.parsed);
    if (!hit.entry.metadata.empty() || !hit.entry.parsed.empty()) hit.bytes += kFoldBytes;
    best_.offer(std::move(hit));
  }

  // `known`: of the streams whose labels a row did not change; one more than the number.
  std::uint32_t labels_of(const Row& row, std::uint32_t stream, std::vector<std::uint32_t>& known,
                          std::vector<LabelView>& views) {
    if (!row.changed() && known[stream] != 0) return known[stream] - 1;
    row.collect(Category::kStream, views);
    const std::uint32_t number = best_.number(to_labels(views));
    if (!row.changed()) known[stream] = number + 1;
    return number;
  }

  // An entry's place in the answer, and a pointer to it while that is sent.
  static constexpr std::uint64_t kAnswerBytes = sizeof(LogEntry) + 2 * sizeof(void*);
  // What sending takes for an entry whose labels no other may have.
  static constexpr std::uint64_t kFoldBytes = 160;

  const ReadyPipeline& pipeline_;
  const ColumnFilter& filter_;
  QueryContext& context_;
  std::span<const store::StreamInfo> streams_;
  Best& best_;
  const plan::Pushdown pushdown_;
  const bool forward_;
  std::vector<std::unique_ptr<Row>> rows_, filter_rows_;
  std::vector<std::vector<std::uint32_t>> numbers_;  // by worker and stream
};

// At most one entry per interval, counted from the last one given.
void thin_out(std::deque<Hit>& hits, std::int64_t interval_ns, std::size_t limit) {
  std::deque<Hit> kept;
  for (Hit& hit : hits) {
    if (kept.size() == limit) break;
    const std::int64_t distance =
        kept.empty() ? interval_ns : std::abs(hit.place.time - kept.back().place.time);
    if (distance >= interval_ns) kept.push_back(std::move(hit));
  }
  hits = std::move(kept);
}

// Streams by their labels. Entries leave the hits one by one, so that there is no second list.
Streams in_streams(std::deque<Hit> hits, const std::vector<const model::Labels*>& labels,
                   QueryContext& context) {
  std::vector<std::size_t> sizes(labels.size());
  for (const Hit& hit : hits) ++sizes[hit.labels];
  std::vector<std::uint32_t> order, place(labels.size());
  for (std::uint32_t number = 0; number < labels.size(); ++number)
    if (sizes[number] > 0) order.push_back(number);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return *labels[a] < *labels[b]; });
  Streams out;
  out.streams.reserve(order.size());
  for (const std::uint32_t number : order) {
    place[number] = static_cast<std::uint32_t>(out.streams.size());
    LogStream& stream = out.streams.emplace_back();
    stream.labels = *labels[number];
    stream.entries.reserve(sizes[number]);
    context.charge(sizeof(LogStream) + held_bytes(stream.labels));
  }
  for (; !hits.empty(); hits.pop_front()) {
    out.streams[place[hits.front().labels]].entries.push_back(std::move(hits.front().entry));
    context.release(sizeof(Hit));
  }
  return out;
}

}  // namespace

base::Status run_log_query(store::Store& store, QueryContext& context,
                           const logql::LogSelector& selector, QueryResult& result) {
  const QueryRequest& request = context.request;
  SKALD_TRY_ASSIGN(const ReadyPipeline pipeline, make_ready(selector.pipeline));
  const Hints hints = Hints::for_log(pipeline.stages);
  ColumnFilter filter{ColumnRows::filter_hints(pipeline.stages), nullptr};
  SKALD_TRY_ASSIGN(filter.columns, ColumnRows::create_filter(pipeline.left, filter.hints));
  SKALD_TRY_ASSIGN(
      const auto scan,
      open_scan(store, context, selector, {request.start_ns, request.end_ns}, pipeline.filters));
  const store::ScanOptions options = scan_options(context, request.direction);
  const bool all = request.interval_ns > 0;
  Best best(all ? SIZE_MAX : request.limit, request.direction == model::Direction::kForward,
            context);
  LogVisitor visitor(pipeline, hints, filter, context, scan->streams(), best, options.workers);
  SKALD_TRY(scan->run(visitor, options));
  SKALD_TRY(context.check());
  take_stats(*scan, result);
  std::deque<Hit> hits = best.take();
  if (all) thin_out(hits, request.interval_ns, request.limit);
  result.stats.entries_returned = hits.size();
  result.data = in_streams(std::move(hits), best.streams(), context);
  return context.check_memory();
}

}  // namespace skald::query
