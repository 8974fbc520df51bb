#pragma once
// The entries of a log query's answer while they are looked for: the best `limit` so far. They are
// held whole while they are few bytes; beyond that, where the request allows it, only where each
// is, to be made again when it is sent (log_pieces.h).
//
// Threads: safe from the workers of the scan until they are taken.

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "query/exec/fold.h"
#include "query/exec/query_context.h"

namespace skald::query {

// Where an entry is, and what its place in the answer depends on: time, stream, sequence of the
// block, rank, row. Millions of them are held.
struct Hit {
  model::TimestampNs time = 0;
  std::uint64_t group =
      0;  // hash of its folded labels, then the number of its stream in the answer
  std::uint32_t stream = 0, rank = 0;
  std::uint32_t block = 0, row = 0;  // block: LogHits::block()
  std::uint32_t labels = 0;          // LogHits::number()
  std::uint32_t bytes = 0;           // what it takes once it is made again
};
static_assert(sizeof(Hit) == 40);

struct HeldHit {
  Hit hit;
  LogEntry entry;
  std::uint64_t bytes = 0;  // what it takes until it is sent
};

// An entry of an answer that is made again.
struct EntryPlace {
  std::uint32_t block = 0, row = 0;
  std::uint32_t group = 0;  // the number of its stream
  std::uint32_t bytes = 0;
};

// What log_pieces.h makes an answer of.
struct EntryPlaces {
  std::deque<EntryPlace> entries;  // in the order of the answer
  std::vector<store::BlockId> blocks;
  bool folded = false;
  std::vector<model::Labels> streams;  // by group; empty if folded
  std::uint64_t seed = 0;              // of a second hash of the folded labels
};

// What an entry takes while it is sent, beside its place.
std::uint32_t entry_bytes(std::size_t line, const EntryLabels& labels);

class LogHits {
 public:
  LogHits(std::size_t limit, QueryContext& context);

  // Whether an entry of this time could still come in.
  bool wants(model::TimestampNs first_time) const;
  // Whether entries are still held.
  bool whole() const noexcept { return whole_.load(std::memory_order_relaxed); }
  bool folds() const noexcept { return context_.request.large == LargeAnswer::kFoldedPieces; }
  std::uint64_t seed() const noexcept { return seed_; }

  // Of a block whose rows will be offered. Once per block.
  std::uint32_t block(const store::Block& block);
  // Of a stream's labels, which thousands of entries share.
  std::uint32_t number(model::Labels labels);
  void offer(HeldHit held);
  // Only when not whole(). `folded`: some have labels beside their stream's.
  void offer(std::span<const Hit> hits, bool folded);

  // ---- when the scan is done ----
  // At most one entry per interval, counted from the last one given.
  void thin_out(std::int64_t interval_ns, std::size_t limit);
  std::size_t size() const noexcept { return held_.size() + places_.size(); }
  Streams take_streams();     // if whole()
  EntryPlaces take_places();  // if not

 private:
  struct BlockPlace {
    store::BlockId id;
    std::uint64_t sequence = 0;
  };
  // For heaps and sorting.
  auto order() const {
    return [this](const auto& a, const auto& b) { return before(hit_of(a), hit_of(b)); };
  }
  static const Hit& hit_of(const Hit& hit) { return hit; }
  static const Hit& hit_of(const HeldHit& held) { return held.hit; }
  static Hit& hit_of(Hit& hit) { return hit; }
  static Hit& hit_of(HeldHit& held) { return held.hit; }
  static std::uint64_t bytes_of(const Hit& /*hit*/) { return sizeof(Hit); }
  static std::uint64_t bytes_of(const HeldHit& held) { return held.bytes; }

  bool before(const Hit& a, const Hit& b) const;
  template <typename T>
  void push(std::deque<T>& best, T hit);
  template <typename T>
  void thin_out(std::deque<T>& hits, std::int64_t interval_ns, std::size_t limit);
  Hit to_place(const HeldHit& held);
  // Hit::labels becomes the place of the labels among all, sorted; by it, their old numbers.
  template <typename T>
  std::vector<std::uint32_t> number_by_labels(std::deque<T>& hits);
  void number_groups();

  const std::size_t limit_;
  const bool forward_;
  QueryContext& context_;
  const std::uint64_t held_max_;
  const std::uint64_t seed_;
  std::atomic<bool> whole_{true};
  mutable std::mutex mutex_;
  // One of them is in use. Once it has `limit_`, a heap with the worst on top. Deques do not
  // double.
  bool is_heap_ = false;
  std::deque<HeldHit> held_;
  std::deque<Hit> places_;
  std::uint64_t held_bytes_ = 0;
  bool folded_any_ = false;  // some entry has labels beside its stream's
  std::vector<BlockPlace> blocks_;
  std::unordered_map<model::Labels, std::uint32_t, model::LabelsHash> numbers_;
  std::vector<const model::Labels*> streams_;  // by number
};

}  // namespace skald::query
