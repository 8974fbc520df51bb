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

inline constexpr char kRowDropped = 1;       // a duplicate: does not count
inline constexpr char kRowMetadata = 2;      // structured metadata follows the time
inline constexpr char kRowSameMetadata = 4;  // that of the row before in its stream

struct BatchRow {
  model::TimestampNs timestamp_ns = 0;
  std::string_view line;                    // into what `owner` keeps
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
                                                        // (may be `owner`, too)
};

// `keep(stream, entry)` says which entries to take: the committer's caller leaves out those beyond
// retention. kResourceExhausted when the batch would be larger than kPayloadBytesMax.
template <typename Keep>
base::Result<EncodedBatch> encode_batch(std::string_view tenant, const model::PushBatch& batch,
                                        Keep&& keep);

// kCorrupt. Lines borrow from `payload`, which `owner` keeps alive, or from the unpacked body.
base::Result<EncodedBatch> decode_batch(std::string_view payload,
                                        std::shared_ptr<const void> owner);

// Used by encode_batch only: writes into a buffer sized for the worst case.
class BatchEncoder {
 public:
  struct Plan {
    bool packed = false;       // the body goes to the record, and rows say where in it they lie
    std::size_t capacity = 0;  // of the record
  };
  static Plan plan(std::string_view tenant, const model::PushBatch& batch);
  BatchEncoder(std::string_view tenant, const model::PushBatch& batch, const Plan& plan);
  void begin_stream(const model::Labels& labels);
  void add(const model::EntryView& entry);
  void end_stream();
  EncodedBatch finish();

 private:
  void put_varint(std::uint64_t value) noexcept;
  void put_bytes(std::string_view bytes) noexcept;
  void put_labels(const model::Labels& labels) noexcept;
  void put_metadata(const model::Labels& metadata, BatchRow& row);
  void put_line(std::string_view line, BatchRow& row) noexcept;

  EncodedBatch out_;
  const char* plain_ = nullptr;                // of the packed body; null: lines go to the record
  std::size_t line_end_ = 0;                   // in `plain_`, of the row before
  const model::Labels* last_given_ = nullptr;  // metadata of the row before, as it came
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
  const BatchEncoder::Plan plan = BatchEncoder::plan(tenant, batch);
  if (plan.capacity > kEncodeBytesMax) return batch_too_large(plan.capacity);
  BatchEncoder encoder(tenant, batch, plan);
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
