#pragma once
// Encodes the rows of one row group: shreds the lines, gathers rows of one shape into blocks,
// orders them, and encodes every column. Kept by the writer from group to group for its warm
// tables.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/part/column_encoder.h"
#include "store/part/part_writer.h"
#include "store/part/search_summary.h"
#include "store/part/shredder.h"

namespace skald::store::part {

struct EncodedGroup {
  std::string bytes;  // the pages
  std::string meta;   // the group's description
  std::vector<StreamTotals> streams;
  model::TimestampNs min_time_ns = 0, max_time_ns = 0;
  std::uint64_t line_bytes = 0;
  StoredFilter uuid_filter, hex_filter;
};

class GroupEncoder {
 public:
  explicit GroupEncoder(Effort effort) : compressor_(effort) {}

  // At least one row; streams below `streams_count`. The filters also get `more`.
  void encode(std::span<const InputRow> rows, std::uint32_t streams_count,
              const LineIdentifiers& more, EncodedGroup& out);
  Compressor& compressor() noexcept { return compressor_; }

 private:
  struct RowPlace {
    std::uint32_t block = 0;    // shape number, or kTextBlock
    std::uint32_t ordinal = 0;  // among the rows of its shape, in arrival order
  };
  // The values of one column in arrival order, copied while their line is in the cache: the passes
  // over a column then read memory in order. A column that is constant so far keeps one value.
  class ValueBuffer {
   public:
    void clear() noexcept {
      size_ = 0;
      ends_.clear();
      repeats_ = 0;
    }
    void add(std::string_view value);
    bool constant() const noexcept { return ends_.size() <= 1; }
    std::string_view first() const noexcept { return {bytes_.get(), ends_[0]}; }
    std::string_view at(std::uint32_t ordinal) const noexcept {
      const std::size_t start = ordinal == 0 ? 0 : ends_[ordinal - 1];
      return {bytes_.get() + start, ends_[ordinal] - start};
    }

   private:
    void append(std::string_view value);
    void spread();
    std::unique_ptr<char[]> bytes_;
    std::size_t size_ = 0, capacity_ = 0;
    std::vector<std::uint32_t> ends_;  // a group's lines fit 32 bits: kRowGroupBytesMax
    std::size_t repeats_ = 0;          // of the first value, not yet in `ends_`
  };
  struct BlockRows {
    std::vector<std::uint32_t> rows;   // in the order they are stored
    std::vector<ValueBuffer> columns;  // by ordinal
    std::uint32_t count = 0;
  };
  struct PendingBlock {
    std::string head;
    std::vector<EncodedColumn> columns;
  };
  void shred_rows(std::span<const InputRow> rows);
  void order_rows(std::span<const InputRow> rows, std::uint32_t streams_count, EncodedGroup& out);
  PendingBlock encode_block(EncodeContext& context, std::span<const InputRow> rows,
                            BlockRows& block, const JsonShape* shape);
  void put_rows(EncodeContext& context, std::span<const InputRow> rows, BlockRows& block,
                std::string& head);
  void put_identifiers(PageWriter& pages, const LineIdentifiers& more, EncodedGroup& out);

  Compressor compressor_;
  Shredder shredder_;
  UuidTable uuids_;
  std::vector<std::uint64_t> identifiers_;  // hashes of hex values
  std::vector<RowPlace> places_;
  std::vector<BlockRows> blocks_;  // by shape number
  BlockRows text_;
  std::vector<std::uint32_t> order_;  // rows by (stream, time, arrival)
  std::vector<std::uint32_t> ranks_;  // among equal (stream, time)
  std::vector<ValueSpan> spans_;
  std::vector<std::string_view> values_;
  std::vector<model::TimestampNs> times_;
};

EncodedColumn encode_metadata(EncodeContext& context, std::span<const model::Labels* const> rows,
                              std::span<const model::TimestampNs> times);

}  // namespace skald::store::part
