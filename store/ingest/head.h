#pragma once
// Rows that are in the WAL but not yet in a part, searchable at once.
//
// A TenantHead grows by chunks of fixed capacity; a chunk never moves, so a scan that has taken a
// snapshot reads the rows before its count without a lock while new ones are written behind them.
// Lines point into the records' buffers, which the chunks keep alive.
//
// Threads: append() and snapshot() under the tenant's lock (exclusive and shared).

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proto/model/entry.h"
#include "store/index/bitmap.h"
#include "store/wal/batch_codec.h"

namespace skald::store::ingest {

struct HeadRow {
  model::TimestampNs timestamp_ns = 0;
  const char* line = nullptr;
  const model::Labels* metadata = nullptr;  // null: none
  std::uint32_t line_size = 0;
  std::uint32_t stream = 0;  // the tenant's number
};

struct HeadChunk {
  explicit HeadChunk(std::uint32_t rows_max) : rows(new HeadRow[rows_max]), capacity(rows_max) {}
  std::unique_ptr<HeadRow[]> rows;
  std::uint32_t capacity;
  std::uint32_t size = 0;
  std::uint32_t first_rank = 0;  // rows of the head before this chunk
  model::TimestampNs min_time_ns = 0, max_time_ns = 0;
  std::vector<std::shared_ptr<const void>> owners;
};

struct HeadStream {
  std::uint64_t entries = 0, line_bytes = 0;
  model::TimestampNs min_time_ns = 0, max_time_ns = 0;
};

// Of WAL records, inclusive; without any the first is beyond every sequence.
struct Sequences {
  std::uint64_t first = UINT64_MAX, last = 0;
};

class TenantHead {
 public:
  struct Slice {
    std::shared_ptr<const HeadChunk> chunk;
    std::uint32_t rows = 0;
    model::TimestampNs min_time_ns = 0, max_time_ns = 0;
  };

  // The rows of the batch that are not marked as dropped and that `take` takes; `numbers` gives the
  // tenant's number of each of its streams. Returns what it cost in memory.
  struct Added {
    std::uint64_t entries = 0, line_bytes = 0;
  };
  template <typename Take>
  Added append(const wal::EncodedBatch& batch, std::span<const std::uint32_t> numbers,
               std::uint64_t sequence, Take&& take) {
    Added added;
    begin(sequence);
    for (const wal::BatchRow& row : batch.rows) {
      if ((row.flags != nullptr && (*row.flags & wal::kRowDropped) != 0) || !take(row)) continue;
      put(batch, row, numbers[row.stream]);
      ++added.entries;
      added.line_bytes += row.line.size();
    }
    return added;
  }

  std::vector<Slice> snapshot() const;
  // The streams with rows here, and which of `among` have rows whose bounds overlap the range.
  const index::Bitmap& streams() const noexcept { return stream_set_; }
  index::Bitmap streams_in(const model::TimeRange& range, const index::Bitmap& among) const;
  std::uint64_t entries() const noexcept { return entries_; }
  std::uint64_t line_bytes() const noexcept { return line_bytes_; }
  // Of the first record with a row here; 0: there is none.
  std::uint64_t first_sequence() const noexcept { return first_sequence_; }
  // The records with rows here of this UTC day. After a death in a seal they are fewer than those
  // of the generation: the others' rows are in a part already.
  Sequences sequences_of_day(std::int64_t day) const {
    const auto found = days_.find(day);
    return found != days_.end() ? found->second : Sequences{};
  }

 private:
  void begin(std::uint64_t sequence);
  void put(const wal::EncodedBatch& batch, const wal::BatchRow& row, std::uint32_t number);
  HeadChunk& chunk_with_room(const wal::EncodedBatch& batch);
  void note_sequence(std::int64_t day);

  std::vector<std::shared_ptr<HeadChunk>> chunks_;
  std::unordered_map<std::uint32_t, HeadStream> streams_;
  index::Bitmap stream_set_;
  model::TimestampNs min_time_ns_ = 0, max_time_ns_ = 0;
  std::uint64_t entries_ = 0, line_bytes_ = 0;
  std::uint64_t first_sequence_ = 0;
  std::map<std::int64_t, Sequences> days_;
  // Of the append under way.
  std::uint64_t sequence_ = 0;
  std::int64_t last_day_ = 0;
  bool day_noted_ = false;            // that last_day_ has rows of sequence_
  const void* last_owner_ = nullptr;  // of the open chunk
  std::uint32_t last_number_ = 0;
  HeadStream* last_stream_ = nullptr;
};

}  // namespace skald::store::ingest
