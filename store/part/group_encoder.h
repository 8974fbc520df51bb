#pragma once
// Encodes the rows of one row group: shreds the lines, gathers rows of one shape into blocks,
// orders them, and encodes every column. Kept by the writer from group to group for its warm
// tables.

#include <span>
#include <string>
#include <vector>

#include "store/part/column_encoder.h"
#include "store/part/part_writer.h"
#include "store/part/shredder.h"

namespace skald::store::part {

struct EncodedGroup {
  std::string bytes;  // the pages
  std::string meta;   // the group's description
  std::vector<StreamTotals> streams;
  model::TimestampNs min_time_ns = 0, max_time_ns = 0;
  std::uint64_t line_bytes = 0;
};

class GroupEncoder {
 public:
  explicit GroupEncoder(Effort effort) : compressor_(effort) {}

  // At least one row; streams below `streams_count`.
  void encode(std::span<const InputRow> rows, std::uint32_t streams_count, EncodedGroup& out);
  Compressor& compressor() noexcept { return compressor_; }

 private:
  struct RowPlace {
    std::uint32_t block = 0;    // shape number, or kTextBlock
    std::uint32_t ordinal = 0;  // among the rows of its shape, in arrival order
  };
  struct BlockRows {
    std::vector<std::uint32_t> rows;  // in the order they are stored
    std::vector<ValueSpan> spans;     // by ordinal, row-major
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
  void put_uuids(PageWriter& pages, std::string& meta);

  Compressor compressor_;
  Shredder shredder_;
  UuidTable uuids_;
  std::vector<RowPlace> places_;
  std::vector<BlockRows> blocks_;  // by shape number
  BlockRows text_;
  std::vector<std::uint32_t> order_;  // rows by (stream, time, arrival)
  std::vector<std::uint32_t> ranks_;  // among equal (stream, time)
  std::vector<std::string_view> values_;
  std::vector<model::TimestampNs> times_;
};

EncodedColumn encode_metadata(EncodeContext& context, std::span<const model::Labels* const> rows,
                              std::span<const model::TimestampNs> times);

}  // namespace skald::store::part
