#pragma once
// The one read door of the store. A query opens a Scan (which pins a consistent set of parts and
// the head), and visits Blocks: rows that share one shape, held in typed columns. The store knows
// no LogQL: a query hands it line filters and value predicates through the small interfaces below,
// and asks only for the columns and rows it needs (late materialization).
//
// Threads: a Scan runs its visitor on several workers at once; a Block belongs to the worker that
// got it, until visit() returns. Views returned by a Block live that long, unless said otherwise.

#include <array>
#include <atomic>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "proto/model/matcher.h"

namespace skald::store {

// A set of rows of one block, as a bitmap.
class Selection {
 public:
  Selection() = default;
  explicit Selection(std::uint32_t rows, bool all = false);

  std::uint32_t rows() const noexcept { return rows_; }
  std::uint32_t count() const noexcept;
  bool none() const noexcept;
  bool all() const noexcept { return count() == rows_; }
  bool test(std::uint32_t row) const noexcept { return (words_[row / 64] >> (row % 64)) & 1; }
  void set(std::uint32_t row) noexcept { words_[row / 64] |= std::uint64_t{1} << (row % 64); }
  void reset(std::uint32_t row) noexcept { words_[row / 64] &= ~(std::uint64_t{1} << (row % 64)); }
  void clear() noexcept;
  void intersect(const Selection& other) noexcept;
  void subtract(const Selection& other) noexcept;
  // 64 rows per word, row 0 in the lowest bit; bits past rows() are zero and must stay so.
  std::span<std::uint64_t> words() noexcept { return words_; }
  std::span<const std::uint64_t> words() const noexcept { return words_; }

  template <typename F>
  void for_each(F&& visit) const {  // visit(row), ascending
    for (std::size_t w = 0; w < words_.size(); ++w)
      for (std::uint64_t bits = words_[w]; bits != 0; bits &= bits - 1)
        visit(static_cast<std::uint32_t>(w * 64 + static_cast<unsigned>(__builtin_ctzll(bits))));
  }

 private:
  std::uint32_t rows_ = 0;
  std::vector<std::uint64_t> words_;
};

class LineMatcher {
 public:
  virtual ~LineMatcher() = default;
  virtual bool matches(std::string_view line) const = 0;  // thread-safe, pure
};

// `|= "x" or "y"`, `|~ "re"` and their negations. The clauses are a conjunction of disjunctions of
// needles: what a line must contain to match. Without a matcher they are the whole condition; with
// one they are only the prefilter, and candidates are verified on the rebuilt line.
struct LineFilter {
  std::vector<std::vector<std::string>> clauses;
  bool fold_case = false;                // ASCII case-insensitive; needles are lower case
  const LineMatcher* matcher = nullptr;  // borrowed; outlives the scan
  bool negated = false;                  // keeps the lines that do not match

  bool matches(std::string_view line) const;  // the definition, and the naive implementation
};

// One key or array index on the way to a JSON value.
struct PathSegment {
  std::string key;          // raw bytes between the quotes, escapes not undone
  std::int32_t index = -1;  // >= 0: an array element, key is empty
  friend bool operator==(const PathSegment&, const PathSegment&) = default;
};

// A scalar value of a shape: a column of the block.
struct Field {
  enum class Syntax : std::uint8_t {
    kString,  // a JSON string; read_text gives it with escapes undone
    kToken,   // a number, true, false or null, as written; may vary from row to row
  };
  std::vector<PathSegment> path;
  Syntax syntax = Syntax::kString;
};

struct Shape {
  enum class Kind : std::uint8_t {
    kText,  // no promise about the lines; fields is empty
    kJson,  // every line is one valid JSON object (RFC 8259, valid UTF-8) whose scalar values are
            // exactly `fields`, in the order they are written; keys may repeat. Empty objects and
            // arrays have no field.
  };
  Kind kind = Kind::kText;
  std::vector<Field> fields;
  // kJson: every line begins with its brace, and no value in it is an empty object or array. So a
  // path that is no field's, nor the beginning of one, leads nowhere.
  bool plain = false;
  std::uint64_t id = 0;  // equal ids within a process: equal shapes. Lets a query cache its plan.
};

// What is known of a field's values without reading rows.
struct FieldStats {
  bool all_numbers = false;  // every value is a JSON number token: read_numbers() will serve
  double min = 0;            // of the numbers, when all_numbers
  double max = 0;
  std::uint32_t distinct = 0;  // 0: unknown
};

// A predicate on one field's value as text (string escapes undone; tokens as written).
class ValuePredicate {
 public:
  virtual ~ValuePredicate() = default;
  virtual bool test(std::string_view value) const = 0;  // thread-safe, pure
  // When the predicate on a JSON number is an interval of its double value: that interval.
  struct Interval {
    double low, high;
    bool low_open = false, high_open = false;
    bool complement = false;  // outside the interval instead
    bool contains(double v) const noexcept {
      const bool inside = (low_open ? v > low : v >= low) && (high_open ? v < high : v <= high);
      return inside != complement;
    }
  };
  virtual std::optional<Interval> interval() const { return std::nullopt; }
  // When the predicate holds for exactly one text: that text (dictionary and filter look-up).
  virtual std::optional<std::string_view> equals() const { return std::nullopt; }
};

// Values of the selected rows in row order: row i (of the selected) has entries[ids[i]], or
// entries[i] when ids is empty. Entries borrow from `storage` or from the block.
struct TextColumn {
  std::vector<std::string_view> entries;
  std::vector<std::uint32_t> ids;
  std::vector<std::unique_ptr<char[]>> storage;
  std::string_view at(std::size_t i) const { return ids.empty() ? entries[i] : entries[ids[i]]; }
};

// The distinct structured metadata of a block, and per row of the block which set it has; with no
// ids every row has sets[0].
struct MetadataSets {
  std::vector<model::Labels> sets;
  std::vector<std::uint32_t> ids;
};

struct StreamCount {
  std::uint32_t stream = 0;  // index into Scan::streams()
  std::uint64_t entries = 0;
  std::uint64_t line_bytes = 0;
};

// Rows [begin, end) of a block, all of one stream.
struct StreamRun {
  std::uint32_t stream = 0;  // index into Scan::streams()
  std::uint32_t begin = 0, end = 0;
};

// Names a block within its scan, for as long as that lives.
struct BlockId {
  std::uint32_t scan = 0;    // of several that run as one
  std::uint32_t source = 0;  // a part or a piece of the head
  std::uint32_t group = 0;   // of the part
  std::uint32_t block = 0;   // of the group
  friend auto operator<=>(const BlockId&, const BlockId&) = default;
};

class Block {
 public:
  virtual ~Block() = default;

  const BlockId& id() const noexcept { return id_; }
  void set_id(const BlockId& id) noexcept { id_ = id; }  // whoever opens or wraps it

  virtual std::uint32_t rows() const noexcept = 0;
  virtual model::TimestampNs min_time_ns() const noexcept = 0;
  virtual model::TimestampNs max_time_ns() const noexcept = 0;
  // Entries of one stream with equal times come back in the order of (sequence, rank).
  virtual std::uint64_t sequence() const noexcept = 0;
  virtual const Shape& shape() const noexcept = 0;

  // The rows in the scan's time range, of its streams, not deleted: where every query starts.
  virtual base::Result<Selection> select() = 0;
  // If all rows are selected: entries and bytes per stream, from statistics alone.
  virtual std::optional<std::vector<StreamCount>> whole_counts() = 0;
  // If all rows are selected and lie stream by stream: the runs, from statistics alone. Within a
  // run times ascend, unless a strange writer made the part.
  virtual std::optional<std::vector<StreamRun>> whole_runs() { return std::nullopt; }

  // One value per row of the block (not per selected row).
  virtual base::Result<std::span<const model::TimestampNs>> timestamps() = 0;
  virtual base::Result<std::span<const std::uint32_t>> streams() = 0;  // index into Scan::streams()
  virtual base::Result<std::span<const std::uint32_t>> ranks() = 0;    // empty: all equal
  virtual base::Result<std::span<const std::uint32_t>> line_sizes() = 0;  // bytes

  // Removes the rows that the filter refuses. Exactly what LineFilter::matches says of each line.
  virtual base::Status filter_lines(const LineFilter& filter, Selection& selection) = 0;
  virtual base::Status read_lines(const Selection& selection, TextColumn& out) = 0;

  // Columns of a kJson shape; `field` is an index into shape().fields.
  virtual FieldStats field_stats(std::size_t field) const = 0;
  virtual base::Status filter_field(std::size_t field, const ValuePredicate& predicate,
                                    Selection& selection) = 0;
  virtual base::Status read_text(std::size_t field, const Selection& selection,
                                 TextColumn& out) = 0;
  // The same as it is written in the lines: escapes of strings are not undone.
  virtual base::Status read_written(std::size_t /*field*/, const Selection& /*selection*/,
                                    TextColumn& /*out*/) {
    return base::unsupported("values as they are written");
  }
  // The lines of a kJson shape, piece by piece: literal 0, field 0 as it is written, literal 1, and
  // so on. Empty: not known.
  virtual std::span<const std::string_view> line_literals() const noexcept { return {}; }
  // A bitmap of the bytes that the field's values, as they are written, may have. Costs no reading.
  virtual std::array<std::uint64_t, 4> field_bytes(std::size_t /*field*/) const noexcept {
    return {~0ULL, ~0ULL, ~0ULL, ~0ULL};
  }
  // Only if field_stats().all_numbers: the correctly rounded doubles of the selected rows.
  virtual base::Status read_numbers(std::size_t field, const Selection& selection,
                                    std::vector<double>& out) = 0;

  // Structured metadata. has_metadata() false: no row of this block has any.
  virtual bool has_metadata() const noexcept = 0;
  // False proves that no row has metadata of this name. Costs no reading.
  virtual bool may_have_metadata(std::string_view /*name*/) const { return has_metadata(); }
  virtual base::Status read_metadata(const Selection& selection,
                                     std::vector<model::Labels>& out) = 0;
  // As a dictionary; kResourceExhausted when there are more than `sets_max` sets. The default
  // collects them from read_metadata(); blocks that hold a dictionary give it as it is.
  virtual base::Status read_metadata_sets(std::size_t sets_max, MetadataSets& out);

 private:
  BlockId id_;
};

struct StreamInfo {
  model::StreamId id;
  model::Labels labels;
};

struct ScanStats {
  std::atomic<std::uint64_t> parts{0}, parts_skipped{0}, blocks{0}, blocks_skipped{0};
  std::atomic<std::uint64_t> rows{0};        // of visited blocks
  std::atomic<std::uint64_t> bytes_read{0};  // of pages decoded, compressed
  std::atomic<std::uint64_t> bytes_decoded{0};
};

struct ScanRequest {
  std::string tenant;
  model::Matchers matchers;  // all must hold; at least one
  model::TimeRange range;
  // Only a hint: lines refused by one of these need not be visited, so parts and row groups whose
  // filters rule them out are skipped. The visitor still applies its filters.
  std::vector<LineFilter> prune;
};

class BlockVisitor {
 public:
  virtual ~BlockVisitor() = default;
  // `worker` is in [0, ScanOptions::workers). A Status that is not OK ends the scan with it.
  virtual base::Status visit(Block& block, unsigned worker) = 0;
  // Asked before a block is opened; false skips it. Lets `limit` end a scan early.
  virtual bool wants(model::TimestampNs /*min_ns*/, model::TimestampNs /*max_ns*/) { return true; }
};

// The memory that the blocks of a scan may decode into. Thread-safe.
class ScanMemory {
 public:
  virtual ~ScanMemory() = default;
  // Asked before `bytes` are allocated. False: they are too many; nothing was taken, and the read
  // that wants them fails with kResourceExhausted.
  virtual bool take(std::uint64_t bytes) noexcept = 0;
  virtual void give_back(std::uint64_t bytes) noexcept = 0;
};

struct ScanOptions {
  unsigned workers = 1;
  model::Direction direction = model::Direction::kBackward;  // order in which blocks are offered
  std::int64_t deadline_monotonic_ns = 0;                    // 0: none
  const base::Clock* clock = nullptr;                        // the deadline's; null: the system's
  std::function<bool()> cancelled;  // asked before each block; empty: never
  ScanMemory* memory = nullptr;     // null: as much as it takes
};

// Parts stay on disk and the head stays readable while a Scan lives.
class Scan {
 public:
  virtual ~Scan() = default;
  virtual std::span<const StreamInfo> streams() const noexcept = 0;
  // Errors: what the visitor returned, kDeadlineExceeded, kCancelled. A damaged row group is not
  // an error: it is skipped, counted and named in warnings().
  virtual base::Status run(BlockVisitor& visitor, const ScanOptions& options) = 0;
  // Visits some of the blocks that run() visited, in any order, each with the same rows in the same
  // places. What cannot be read any more is left out, as by run(). Several may run at once.
  virtual base::Status revisit(std::span<const BlockId> blocks, BlockVisitor& visitor,
                               const ScanOptions& options) = 0;
  virtual const ScanStats& stats() const noexcept = 0;
  virtual std::vector<std::string> warnings() const = 0;
};

}  // namespace skald::store
