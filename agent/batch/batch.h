#pragma once
// The open batch of one tenant: entries grouped by stream, already in their wire form, and the
// compressor that turns it into a request body. Thread rule: one thread.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/batch/block_chain.h"
#include "proto/base/status.h"
#include "proto/model/push.h"
#include "proto/wire/line_block.h"

namespace skald::agent {

// "The bytes [start, end) of source `source` are settled when this batch is acknowledged."
struct SourceSpan {
  std::uint64_t source = 0;
  std::uint64_t start = 0, end = 0;
  friend bool operator==(const SourceSpan&, const SourceSpan&) = default;
};

enum class Encoding : unsigned char { kZstd, kSnappy };

// A batch ready to be sent, and sent again unchanged until it is answered.
struct SealedBatch {
  std::uint64_t number = 0;  // ascending over all tenants of a client
  std::string tenant;        // X-Scope-OrgID; empty: none
  std::string body;          // compressed
  Encoding encoding = Encoding::kZstd;
  std::uint64_t entries = 0;
  std::uint64_t line_bytes = 0;  // lines and metadata, as Promtail counts
  std::string marks;             // the encoded marks alone (also part of body)
  std::vector<SourceSpan> spans;
};

using MetadataView = std::span<const std::pair<std::string_view, std::string_view>>;

class OpenBatch {
 public:
  explicit OpenBatch(BlockPool& pool) : pool_(pool) {}
  // Skald takes lines without metadata as one text and an entry's time from its line
  // (proto/wire/line_block.h, line_time.h); a Loki does not.
  void set_for_skald(bool on) noexcept { for_skald_ = on; }

  // Index of a stream; streams are told apart by the caller.
  std::size_t add_stream(std::string labels_text);
  void add(std::size_t stream, std::int64_t timestamp_ns, std::string_view line,
           MetadataView metadata);
  // Bytes add() would count, as Promtail does: line and metadata.
  static std::size_t counted_bytes(std::string_view line, MetadataView metadata) noexcept;

  bool empty() const noexcept { return entries_ == 0; }
  std::size_t bytes() const noexcept { return bytes_; }
  std::uint64_t entries() const noexcept { return entries_; }
  std::size_t streams() const noexcept { return streams_.size(); }
  // Calls fn(std::string_view) over the request's bytes in order, after encoded_size().
  template <typename Fn>
  void for_each_piece(std::string_view marks, Fn&& fn) const {
    for (const Stream& stream : streams_) {
      fn(std::string_view(stream.head));
      if (stream.text.size() != 0) {
        fn(std::string_view(stream.text_head));
        stream.text.for_each(fn);
        fn(std::string_view(stream.notes_head));
        fn(std::string_view(stream.notes));
      }
      stream.entries.for_each(fn);
    }
    fn(marks);
  }
  std::size_t encoded_size(std::string_view marks);
  void clear();

 private:
  struct Stream {
    Stream(std::string labels, BlockPool& pool)
        : labels_text(std::move(labels)), text(pool), entries(pool) {}
    std::string labels_text;
    // A block of lines, and behind it what cannot be in one; once there is such an entry, all that
    // follow are with it, so that the order is kept.
    BlockChain text;
    std::string notes;
    wire::LineBlockWriter block;
    BlockChain entries;
    std::size_t time_at = 0;                  // where the last line of `entries` had its time
    std::string head, text_head, notes_head;  // of the fields, once encoded_size() has run
  };
  static std::size_t close_block(Stream& stream);
  static bool add_to_block(Stream& stream, std::int64_t timestamp_ns, std::string_view line);
  void add_entry(Stream& stream, std::int64_t timestamp_ns, std::string_view line,
                 MetadataView metadata);
  BlockPool& pool_;
  std::vector<Stream> streams_;
  std::size_t bytes_ = 0;
  std::uint64_t entries_ = 0;
  bool for_skald_ = false;
};

// Compressors with their memory kept between batches.
class BodyCompressor {
 public:
  BodyCompressor();
  ~BodyCompressor();
  // Replaces `out`, which ends with no spare capacity.
  base::Status compress(OpenBatch& batch, std::string_view marks, Encoding encoding,
                        std::string& out);

 private:
  base::Status compress_zstd(OpenBatch& batch, std::string_view marks, std::string& out);
  base::Status compress_snappy(OpenBatch& batch, std::string_view marks, std::string& out);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A body that the server found too large, as two halves; each keeps the batch's tenant, and only
// the second has marks and spans, so that they count when both are stored. kInvalidArgument: one
// entry alone, it cannot be split.
base::Result<std::pair<SealedBatch, SealedBatch>> split_batch(const SealedBatch& batch);
// A batch of the same marks without entries: for entries the server refuses for good.
base::Result<SealedBatch> without_entries(const SealedBatch& batch);

}  // namespace skald::agent
