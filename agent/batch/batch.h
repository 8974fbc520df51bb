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
  // Skald takes an entry's time from the line, if it stands there (proto/wire/line_time.h).
  void set_times_in_lines(bool on) noexcept { times_in_lines_ = on; }

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
      stream.entries.for_each(fn);
    }
    fn(marks);
  }
  std::size_t encoded_size(std::string_view marks);
  void clear();

 private:
  struct Stream {
    std::string labels_text;
    BlockChain entries;
    std::size_t time_at = 0;  // where the last line had its time
    std::string head;         // of its `streams` field, once encoded_size() has run
  };
  BlockPool& pool_;
  std::vector<Stream> streams_;
  std::size_t bytes_ = 0;
  std::uint64_t entries_ = 0;
  bool times_in_lines_ = false;
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
