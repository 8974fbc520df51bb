#include "store/ingest/head.h"

#include <algorithm>

#include "store/catalog/layout.h"
#include "store/ingest/limits.h"

namespace skald::store::ingest {

void TenantHead::begin(std::uint64_t sequence) {
  sequence_ = sequence;
  day_noted_ = false;
  last_owner_ = nullptr;
  last_stream_ = nullptr;
}

void TenantHead::note_sequence(std::int64_t day) {
  if (day_noted_ && day == last_day_) return;
  days_.try_emplace(day, Sequences{sequence_, sequence_}).first->second.last = sequence_;
  if (first_sequence_ == 0) first_sequence_ = sequence_;
  last_day_ = day;
  day_noted_ = true;
}

HeadChunk& TenantHead::chunk_with_room(const wal::EncodedBatch& batch) {
  if (chunks_.empty() || chunks_.back()->size == chunks_.back()->capacity) {
    const std::uint32_t capacity =
        chunks_.empty() ? kChunkRowsMin : std::min(kChunkRowsMax, chunks_.back()->capacity * 2);
    chunks_.push_back(std::make_shared<HeadChunk>(capacity));
    chunks_.back()->first_rank = static_cast<std::uint32_t>(entries_);
    last_owner_ = nullptr;
  }
  HeadChunk& chunk = *chunks_.back();
  if (last_owner_ != batch.owner.get()) {
    chunk.owners.push_back(batch.owner);
    if (batch.metadata != nullptr) chunk.owners.push_back(batch.metadata);
    last_owner_ = batch.owner.get();
  }
  return chunk;
}

void TenantHead::put(const wal::EncodedBatch& batch, const wal::BatchRow& row,
                     std::uint32_t number) {
  HeadChunk& chunk = chunk_with_room(batch);
  const model::TimestampNs time_ns = row.timestamp_ns;
  note_sequence(catalog::day_of(time_ns));
  if (chunk.size == 0) chunk.min_time_ns = chunk.max_time_ns = time_ns;
  chunk.min_time_ns = std::min(chunk.min_time_ns, time_ns);
  chunk.max_time_ns = std::max(chunk.max_time_ns, time_ns);
  chunk.rows[chunk.size++] = {time_ns, row.line.data(), row.metadata,
                              static_cast<std::uint32_t>(row.line.size()), number};
  if (last_stream_ == nullptr || last_number_ != number) {
    const auto [at, added] = streams_.try_emplace(number);
    if (added) {
      at->second.min_time_ns = at->second.max_time_ns = time_ns;
      stream_set_.add(number);
    }
    last_stream_ = &at->second;
    last_number_ = number;
  }
  last_stream_->min_time_ns = std::min(last_stream_->min_time_ns, time_ns);
  last_stream_->max_time_ns = std::max(last_stream_->max_time_ns, time_ns);
  if (entries_ == 0) min_time_ns_ = max_time_ns_ = time_ns;
  min_time_ns_ = std::min(min_time_ns_, time_ns);
  max_time_ns_ = std::max(max_time_ns_, time_ns);
  ++last_stream_->entries;
  last_stream_->line_bytes += row.line.size();
  ++entries_;
  line_bytes_ += row.line.size();
}

// With a million streams a walk over all of them would cost every query tens of milliseconds, and
// nearly every query's range takes in the whole head.
index::Bitmap TenantHead::streams_in(const model::TimeRange& range,
                                     const index::Bitmap& among) const {
  if (entries_ == 0 || !range.overlaps(min_time_ns_, max_time_ns_)) return {};
  index::Bitmap out = stream_set_;
  out.intersect(among);
  if (range.contains(min_time_ns_) && range.contains(max_time_ns_)) return out;
  for (const std::uint32_t number : out.values()) {
    const HeadStream& stream = streams_.at(number);
    if (!range.overlaps(stream.min_time_ns, stream.max_time_ns)) out.remove(number);
  }
  return out;
}

std::vector<TenantHead::Slice> TenantHead::snapshot() const {
  std::vector<Slice> out;
  out.reserve(chunks_.size());
  for (const auto& chunk : chunks_)
    if (chunk->size > 0)
      out.push_back({chunk, chunk->size, chunk->min_time_ns, chunk->max_time_ns});
  return out;
}

}  // namespace skald::store::ingest
