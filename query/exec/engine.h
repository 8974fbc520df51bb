#pragma once
// Runs LogQL over a store: the door that the HTTP API, the ruler and the tests use.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "query/exec/memory_pool.h"
#include "store/store.h"

namespace skald::query {

// How the answer of a log query comes that is larger than EngineOptions::answer_held_max.
enum class LargeAnswer : std::uint8_t {
  kWhole,         // as every other
  kPieces,        // as LogPieces
  kFoldedPieces,  // as LogPieces, whose streams have structured metadata and parsed labels, too
};

struct QueryRequest {
  std::string tenant = "fake";      // "a|b": several, told apart by the label __tenant_id__
  std::string text;                 // LogQL
  bool instant = false;             // true: one evaluation at end_ns
  model::TimestampNs start_ns = 0;  // log queries: [start, end); metric: see step_ns
  model::TimestampNs end_ns = 0;
  std::int64_t step_ns = 0;  // metric range queries; > 0. Points: start rounded down to a multiple
                             // of the step, to end rounded up (as Loki's query frontend)
  std::int64_t interval_ns = 0;  // log queries: at most one entry per stream and interval
  std::uint32_t limit = 100;     // log queries: entries in all
  LargeAnswer large = LargeAnswer::kWhole;
  model::Direction direction = model::Direction::kBackward;
  std::int64_t timeout_ns = 60 * base::kNsPerSecond;
  const std::atomic<bool>* cancelled = nullptr;
  // Others who wait for the answer; as long as there are any, `cancelled` is not heeded.
  const std::atomic<std::uint32_t>* others = nullptr;

  bool abandoned() const noexcept {
    return cancelled != nullptr && cancelled->load(std::memory_order_relaxed) &&
           (others == nullptr || others->load(std::memory_order_relaxed) == 0);
  }
};

struct LogEntry {
  model::TimestampNs timestamp_ns = 0;
  std::string line;
  // Kept apart for `categorize-labels`; index labels are LogStream::labels.
  model::Labels metadata;
  model::Labels parsed;
};

struct LogStream {
  model::Labels labels;           // index labels after the pipeline (drop, keep, format)
  std::vector<LogEntry> entries;  // in the request's direction
};

struct Sample {
  std::int64_t timestamp_ms = 0;
  double value = 0;
};

struct Series {
  model::Labels labels;
  std::vector<Sample> samples;  // ascending; instant: exactly one
};

struct Streams {
  std::vector<LogStream> streams;
};
struct Matrix {
  std::vector<Series> series;
};
struct Vector {
  std::vector<Series> series;
};  // one sample each; in result order
struct Scalar {
  Sample sample;
};

// A log answer that is too large to be held: where its entries are, in the order of the answer.
// They are made again, some megabytes at a time, as they are read.
//
// Keeps the scan open: files of parts that are merged or deleted meanwhile, and the rows of heads
// that are sealed, go when it goes.
// Threads: any number may read at once. Must not outlive the engine nor its store.
class LogPieces {
 public:
  // Entries of one stream that follow each other. Borrowed, until `take` returns.
  struct Piece {
    const model::Labels* begins;  // the stream's labels; null: goes on with the last one's
    // kFoldedPieces: without labels of their own.
    std::span<const LogEntry> entries;
  };
  using Take = std::function<base::Status(const Piece&)>;

  virtual ~LogPieces() = default;
  // From the first to the last entry, each time the same. A reading has the memory that the query
  // left and its time, without that which `take` takes. `cancelled` may be null.
  // Errors: those of `take` and of Engine::run; kCorrupt: what an entry is made of cannot be read
  // any more.
  virtual base::Status read(const std::atomic<bool>* cancelled, const Take& take) const = 0;
};
using LogPiecesPtr = std::shared_ptr<const LogPieces>;

struct QueryStats {
  std::uint64_t bytes_processed = 0;  // of lines the query looked at, uncompressed
  std::uint64_t lines_processed = 0;
  std::uint64_t entries_returned = 0;
  std::uint64_t post_filter_lines = 0;
  std::uint64_t parts = 0, blocks = 0, blocks_skipped = 0, bytes_read = 0, bytes_decoded = 0;
  double exec_seconds = 0;
};

struct QueryResult {
  std::variant<Streams, Matrix, Vector, Scalar, LogPiecesPtr> data;
  std::vector<std::string> warnings;
  QueryStats stats;
  std::uint64_t memory_bytes = 0;            // what it holds, as its query was charged
  std::shared_ptr<const void> memory_share;  // of EngineOptions::memory_pool; goes with the answer
};
// From so much memory on, what was freed is given back to the system, where the allocator would
// keep it for the next large query.
constexpr std::uint64_t kLargeBytes = 32U << 20;

struct EngineOptions {
  unsigned workers = 2;                      // threads per query
  std::uint64_t memory_max = 256U << 20;     // per query, hard: kResourceExhausted beyond
  std::shared_ptr<MemoryPool> memory_pool;   // of all queries: kUnavailable beyond; null: no bound
  std::uint32_t series_max = 0;              // 0: no limit
  std::size_t query_bytes_max = 128U << 10;  // longer texts are refused
  // Memory of a log answer's entries beyond which QueryRequest::large counts; so does a fourth of
  // memory_max.
  std::uint64_t answer_held_max = 32U << 20;
  std::uint64_t piece_bytes = 4U << 20;  // of entries that LogPieces makes at once, about
};

// Range aggregations that queries asked for, and the scans that ran for them.
struct ScanCounts {
  std::uint64_t asked = 0, run = 0;
};

// Errors: kInvalidArgument carries Loki's wording ("parse error at line 1, col 5: ..."), which is
// what clients match on; kDeadlineExceeded, kCancelled, kResourceExhausted as they say;
// kUnavailable: others hold the memory, the same query may be answered later.
class Engine {
 public:
  // Borrows store and clock; both outlive the engine. Safe from any thread.
  Engine(store::Store& store, const base::Clock& clock, EngineOptions options);
  ~Engine();
  base::Result<QueryResult> run(const QueryRequest& request) const;
  const MemoryPool* memory_pool() const noexcept;  // null: none
  // Instant metric queries, each answered as run() would; range aggregations over the same streams
  // and times share one scan. Adds to `counts`, if given.
  std::vector<base::Result<QueryResult>> run_together(std::span<const QueryRequest> requests,
                                                      ScanCounts* counts = nullptr) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::query
