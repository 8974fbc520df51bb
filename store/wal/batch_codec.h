#pragma once
// One push batch of one tenant as a record's payload (WAL.md), and back.
//
// The encoder leaves a flag byte per row, so that the committer, which alone knows what is already
// stored, can still mark a row as a duplicate before the record is written. Recovery then needs no
// judgement: it takes the rows that are not marked.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "proto/model/push.h"
#include "store/wal/wal_format.h"

namespace skald::store::wal {

inline constexpr char kRowDropped = 1;   // a duplicate: does not count
inline constexpr char kRowMetadata = 2;  // structured metadata follows the time

struct BatchRow {
  model::TimestampNs timestamp_ns = 0;
  std::string_view line;                    // into the record
  char* flags = nullptr;                    // into the record; null after decode_batch()
  const model::Labels* metadata = nullptr;  // into EncodedBatch::metadata; null: none
  std::uint32_t stream = 0;                 // index into EncodedBatch::streams
};

struct EncodedBatch {
  std::string tenant;
  std::vector<model::Labels> streams;
  std::vector<model::FileMark> marks;
  std::vector<BatchRow> rows;  // in the order of the batch; after decoding without dropped ones
  std::shared_ptr<std::deque<model::Labels>> metadata;  // null when no row has any
  std::shared_ptr<const void> owner;                    // what the lines borrow from
  std::size_t owner_bytes = 0;                          // its size in memory
  std::shared_ptr<RecordBuffer> record;                 // the encoder's; null after decoding
};

// `keep(stream, entry)` says which entries to take: the committer's caller leaves out those beyond
// retention. kResourceExhausted when the batch would be larger than kPayloadBytesMax.
template <typename Keep>
base::Result<EncodedBatch> encode_batch(std::string_view tenant, const model::PushBatch& batch,
                                        Keep&& keep);

// kCorrupt. Lines borrow from `payload`, which `owner` keeps alive.
base::Result<EncodedBatch> decode_batch(std::string_view payload,
                                        std::shared_ptr<const void> owner);

// Used by encode_batch only: writes into a buffer sized for the worst case.
class BatchEncoder {
 public:
  static std::size_t bytes_max(std::string_view tenant, const model::PushBatch& batch);
  BatchEncoder(std::string_view tenant, const model::PushBatch& batch, std::size_t capacity);
  void begin_stream(const model::Labels& labels);
  void add(const model::EntryView& entry);
  void end_stream();
  EncodedBatch finish();

 private:
  void put_varint(std::uint64_t value) noexcept;
  void put_bytes(std::string_view bytes) noexcept;
  void put_labels(const model::Labels& labels) noexcept;

  EncodedBatch out_;
  char* at_ = nullptr;
  char* count_at_ = nullptr;  // the open stream's row count, 4 bytes
  std::uint32_t count_ = 0;
  model::TimestampNs previous_ns_ = 0;
};

base::Status batch_too_large(std::size_t bytes);
inline constexpr std::size_t kEncodeBytesMax = 512U << 20;

template <typename Keep>
base::Result<EncodedBatch> encode_batch(std::string_view tenant, const model::PushBatch& batch,
                                        Keep&& keep) {
  const std::size_t capacity = BatchEncoder::bytes_max(tenant, batch);
  if (capacity > kEncodeBytesMax) return batch_too_large(capacity);
  BatchEncoder encoder(tenant, batch, capacity);
  for (std::size_t s = 0; s < batch.streams.size(); ++s) {
    const model::PushStream& stream = batch.streams[s];
    encoder.begin_stream(stream.labels);
    for (const model::EntryView& entry : stream.entries)
      if (keep(s, entry)) encoder.add(entry);
    encoder.end_stream();
  }
  return encoder.finish();
}

}  // namespace skald::store::wal
