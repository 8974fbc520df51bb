#include "query/exec/log_pieces.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "query/exec/limits.h"
#include "query/exec/metered_block.h"

namespace skald::query {
namespace {

constexpr std::chrono::milliseconds kMemoryLook(50);

base::Status lost() { return base::corrupt("entries of the answer cannot be read any more"); }

// An entry to make, and where it goes in its batch.
struct Wanted {
  std::uint32_t block = 0, row = 0;
  std::uint32_t slot = 0;
  bool begins = false;  // its stream's first in the batch
};

struct Batch {
  explicit Batch(std::size_t size) : entries(size), wanted(size) {}
  std::vector<LogEntry> entries;
  std::vector<Wanted> wanted;          // by block and row
  std::vector<std::uint64_t> checks;   // folded: of each entry's labels
  std::vector<model::Labels> streams;  // folded: of those entries that begin one
  std::shared_ptr<const void> share;   // of the memory of all queries
};

// Makes the entries of a batch.
class AgainVisitor final : public store::BlockVisitor {
 public:
  AgainVisitor(const LogPipeline& pipeline, const EntryPlaces& places,
               std::span<const store::StreamInfo> streams, QueryContext& context, Batch& batch)
      : pipeline_(pipeline), places_(places), streams_(streams), context_(context), batch_(batch) {
    for (unsigned i = 0; i < std::max(1U, context.options.workers); ++i)
      workers_.push_back(std::make_unique<Worker>(pipeline.hints, &context));
    const auto& wanted = batch.wanted;
    for (std::size_t at = 0; at < wanted.size(); at = by_block_.back().end) {
      std::size_t end = at;
      while (end < wanted.size() && wanted[end].block == wanted[at].block) ++end;
      by_block_.push_back({places.blocks[wanted[at].block], at, end});
    }
    std::sort(by_block_.begin(), by_block_.end(),
              [](const OfBlock& a, const OfBlock& b) { return a.id < b.id; });
  }

  std::vector<store::BlockId> blocks() const {
    std::vector<store::BlockId> out;
    for (const OfBlock& one : by_block_) out.push_back(one.id);
    return out;
  }
  // Entries that are there now.
  std::size_t made() const noexcept { return made_; }

  base::Status visit(store::Block& stored, unsigned worker) override {
    SKALD_TRY(context_.check());
    const auto of =
        std::lower_bound(by_block_.begin(), by_block_.end(), stored.id(),
                         [](const OfBlock& a, const store::BlockId& id) { return a.id < id; });
    if (of == by_block_.end() || of->id != stored.id()) return {};
    MeteredBlock block(stored, context_);
    store::Selection selection(block.rows());
    for (std::size_t i = of->begin; i < of->end; ++i) {
      if (batch_.wanted[i].row >= block.rows()) return lost();
      selection.set(batch_.wanted[i].row);
    }
    RowMetadata metadata(block, selection);
    std::size_t next = of->begin;
    return in_batches(selection, [&](const store::Selection& rows) {
      return make(block, rows, metadata, next, *workers_[worker]);
    });
  }

 private:
  struct OfBlock {
    store::BlockId id;
    std::size_t begin = 0, end = 0;  // of Batch::wanted
  };
  struct Worker {
    Worker(const Hints& hints, QueryContext* context) : row(hints, context) {}
    Row row;
    EntryLabels labels;
    std::vector<LabelView> all;
  };

  // The entries from `next` on; how many bytes their lines had.
  base::Result<std::uint64_t> make(store::Block& block, const store::Selection& rows,
                                   RowMetadata& metadata, std::size_t& next, Worker& worker) {
    SKALD_TRY_ASSIGN(const auto times, block.timestamps());
    SKALD_TRY_ASSIGN(const auto streams, block.streams());
    store::TextColumn lines;
    SKALD_TRY(block.read_lines(rows, lines));
    SKALD_TRY(metadata.read(rows));
    std::size_t index = 0;
    std::uint64_t bytes = 0;
    base::Status status;
    Row& row = worker.row;
    row.pace()->begin();
    rows.for_each([&](std::uint32_t r) {
      const std::size_t at = index++;
      if (!status.ok()) return;
      const std::string_view line = lines.at(at);
      bytes += line.size();
      status = row.pace()->next(line.size());
      if (!status.ok()) return;
      row.start(times[r], line, streams_[streams[r]].labels, metadata.of(r, at));
      const bool kept = run_stages(pipeline_.ready.stages, row);
      if (row.stopped()) status = context_.check();
      if (status.ok() && !kept) status = lost();
      if (status.ok()) take(worker, batch_.wanted[next++]);
    });
    SKALD_TRY(status);
    made_ += index;
    return bytes;
  }

  void take(Worker& worker, const Wanted& wanted) {
    const Row& row = worker.row;
    LogEntry& entry = batch_.entries[wanted.slot];
    entry.timestamp_ns = row.timestamp_ns;
    entry.line = row.line;
    EntryLabels& labels = worker.labels;
    row.collect(Category::kMetadata, labels.metadata);
    row.collect(Category::kParsed, labels.parsed);
    if (!places_.folded) {
      entry.metadata = to_labels(labels.metadata);
      entry.parsed = to_labels(labels.parsed);
      return;
    }
    row.collect(Category::kStream, labels.stream);
    fold(labels, worker.all);
    batch_.checks[wanted.slot] = hash_of(worker.all, places_.seed);
    if (wanted.begins) batch_.streams[wanted.slot] = to_labels(worker.all);
  }

  const LogPipeline& pipeline_;
  const EntryPlaces& places_;
  std::span<const store::StreamInfo> streams_;
  QueryContext& context_;
  Batch& batch_;
  std::vector<OfBlock> by_block_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<std::size_t> made_{0};
};

class Pieces final : public LogPieces {
 public:
  Pieces(std::unique_ptr<store::Scan> scan, std::shared_ptr<const LogPipeline> pipeline,
         EntryPlaces places, const QueryContext& context)
      : request_(context.request),
        options_(context.options),
        clock_(context.clock),
        now_ns_(context.now_ns),
        rest_ns_(context.deadline_ns - context.clock.monotonic_ns()),
        pipeline_(std::move(pipeline)),
        scan_(std::move(scan)),
        places_(std::move(places)) {
    request_.others = nullptr;
    // What is held stays the query's.
    options_.memory_max -= std::min(options_.memory_max, context.held_bytes());
  }

  base::Status read(const std::atomic<bool>* cancelled, const Take& take) const override {
    Reading reading{request_, rest_ns_, std::vector<std::uint32_t>(places_.blocks.size()), {}, 0};
    reading.request.cancelled = cancelled;
    std::uint32_t number = 0;
    for (std::size_t from = 0; from < places_.entries.size();) {
      const std::size_t end = batch_end(from, ++number, reading.seen);
      SKALD_TRY(read_batch(from, end, reading, take));
      from = end;
    }
    return {};
  }

 private:
  struct Reading {
    QueryRequest request;
    std::int64_t rest_ns = 0;         // of the query's time
    std::vector<std::uint32_t> seen;  // by block, the last batch that has of it
    std::optional<std::uint32_t> group;
    std::uint64_t check = 0;  // of the labels of `group`
  };

  // Some megabytes; more, if their blocks are many, each of which costs something to visit.
  std::size_t batch_end(std::size_t from, std::uint32_t number,
                        std::vector<std::uint32_t>& seen) const {
    const std::uint64_t usual = options_.piece_bytes;
    const std::uint64_t most = std::clamp(options_.memory_max / 4, usual, kSparsePieces * usual);
    std::uint64_t bytes = 0;
    std::size_t blocks = 0, end = from;
    for (; end < places_.entries.size(); ++end) {
      const EntryPlace& place = places_.entries[end];
      if (seen[place.block] != number) {
        seen[place.block] = number;
        ++blocks;
      }
      bytes += place.bytes + sizeof(Wanted);
      const bool dense = end - from >= blocks * kRowsPerVisit;
      if (end > from && bytes > (dense ? usual : most)) break;
    }
    return end;
  }

  Batch plan_batch(std::size_t from, std::size_t end, const Reading& reading) const {
    Batch batch(end - from);
    std::optional<std::uint32_t> group = reading.group;
    for (std::size_t i = from; i < end; ++i) {
      const EntryPlace& place = places_.entries[i];
      batch.wanted[i - from] = {place.block, place.row, static_cast<std::uint32_t>(i - from),
                                group != place.group};
      group = place.group;
    }
    std::sort(batch.wanted.begin(), batch.wanted.end(), [](const Wanted& a, const Wanted& b) {
      return a.block != b.block ? a.block < b.block : a.row < b.row;
    });
    if (places_.folded) {
      batch.checks.resize(end - from);
      batch.streams.resize(end - from);
    }
    return batch;
  }

  base::Status read_batch(std::size_t from, std::size_t end, Reading& reading,
                          const Take& take) const {
    Batch batch(0);
    base::Status status = make_in_turn(from, end, reading, batch);
    if (status.code() == base::Code::kDeadlineExceeded)
      return base::deadline_exceeded("the query ran into its deadline of " +
                                     std::to_string(request_.timeout_ns / base::kNsPerMs) +
                                     " ms while its answer was sent");
    SKALD_TRY(std::move(status));
    return give(from, batch, reading, take);
  }

  // What is sent cannot be taken back: when others hold the memory of all queries, this waits for
  // it, holding none itself, as long as the query's time lasts.
  base::Status make_in_turn(std::size_t from, std::size_t end, Reading& reading,
                            Batch& batch) const {
    for (;;) {
      const std::int64_t begin_ns = clock_.monotonic_ns();
      batch = plan_batch(from, end, reading);
      base::Status status = make(from, end, reading, batch);
      const bool waits = status.code() == base::Code::kUnavailable && !reading.request.abandoned();
      if (waits) {
        batch = Batch(0);
        std::this_thread::sleep_for(kMemoryLook);
      }
      reading.rest_ns -= clock_.monotonic_ns() - begin_ns;
      if (!waits || (request_.timeout_ns > 0 && reading.rest_ns <= 0)) return status;
    }
  }

  base::Status make(std::size_t from, std::size_t end, Reading& reading, Batch& batch) const {
    if (request_.timeout_ns > 0)
      reading.request.timeout_ns = std::max<std::int64_t>(reading.rest_ns, 1);
    QueryContext context(reading.request, options_, clock_, now_ns_);
    std::uint64_t bytes = 0;
    for (std::size_t i = from; i < end; ++i) bytes += places_.entries[i].bytes + sizeof(Wanted);
    context.charge(bytes);
    SKALD_TRY(context.check());
    AgainVisitor visitor(*pipeline_, places_, scan_->streams(), context, batch);
    SKALD_TRY(scan_->revisit(visitor.blocks(), visitor, scan_options(context, request_.direction)));
    SKALD_TRY(context.check());
    batch.share = context.keep_share();
    return visitor.made() == end - from ? base::Status() : lost();
  }

  base::Status give(std::size_t from, const Batch& batch, Reading& reading,
                    const Take& take) const {
    for (std::size_t at = 0; at < batch.entries.size();) {
      const std::uint32_t group = places_.entries[from + at].group;
      Piece piece{nullptr, {}};
      if (reading.group != group) {
        piece.begins = places_.folded ? &batch.streams[at] : &places_.streams[group];
        if (places_.folded) reading.check = batch.checks[at];
      }
      reading.group = group;
      std::size_t end = at;
      for (; end < batch.entries.size() && places_.entries[from + end].group == group; ++end)
        if (places_.folded && batch.checks[end] != reading.check)
          return base::internal("two streams of the answer have labels of the same hash");
      piece.entries = std::span(batch.entries).subspan(at, end - at);
      SKALD_TRY(take(piece));
      at = end;
    }
    return {};
  }

  QueryRequest request_;
  EngineOptions options_;
  const base::Clock& clock_;
  const std::int64_t now_ns_, rest_ns_;
  const std::shared_ptr<const LogPipeline> pipeline_;  // the scan borrows its matchers
  const std::unique_ptr<store::Scan> scan_;
  const EntryPlaces places_;
};

}  // namespace

LogPiecesPtr make_log_pieces(std::unique_ptr<store::Scan> scan,
                             std::shared_ptr<const LogPipeline> pipeline, EntryPlaces places,
                             const QueryContext& context) {
  return std::make_shared<Pieces>(std::move(scan), std::move(pipeline), std::move(places), context);
}

}  // namespace skald::query
