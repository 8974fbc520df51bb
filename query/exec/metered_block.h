#pragma once
// A block whose columns count against the query's memory: as long as the block is visited; lines,
// values as they are written and metadata until the next are read. What the block itself decodes,
// the store asks for beforehand (ScanOptions::memory). Over the budget every read fails with the
// query's kResourceExhausted.

#include <vector>

#include "query/exec/query_context.h"
#include "store/scan.h"

namespace skald::query {

class MeteredBlock final : public store::Block {
 public:
  // Both outlive it.
  MeteredBlock(store::Block& block, QueryContext& context) : block_(block), context_(context) {
    set_id(block.id());
  }
  ~MeteredBlock() override { context_.release(kept_ + lines_ + written_ + metadata_); }
  MeteredBlock(const MeteredBlock&) = delete;
  MeteredBlock& operator=(const MeteredBlock&) = delete;

  std::uint32_t rows() const noexcept override { return block_.rows(); }
  model::TimestampNs min_time_ns() const noexcept override { return block_.min_time_ns(); }
  model::TimestampNs max_time_ns() const noexcept override { return block_.max_time_ns(); }
  std::uint64_t sequence() const noexcept override { return block_.sequence(); }
  const store::Shape& shape() const noexcept override { return block_.shape(); }
  store::FieldStats field_stats(std::size_t field) const override {
    return block_.field_stats(field);
  }
  std::span<const std::string_view> line_literals() const noexcept override {
    return block_.line_literals();
  }
  std::array<std::uint64_t, 4> field_bytes(std::size_t field) const noexcept override {
    return block_.field_bytes(field);
  }
  bool has_metadata() const noexcept override { return block_.has_metadata(); }
  bool may_have_metadata(std::string_view name) const override {
    return block_.may_have_metadata(name);
  }
  std::optional<std::vector<store::StreamCount>> whole_counts() override {
    return block_.whole_counts();
  }
  std::optional<std::vector<store::StreamRun>> whole_runs() override { return block_.whole_runs(); }

  base::Result<store::Selection> select() override;
  base::Result<std::span<const model::TimestampNs>> timestamps() override;
  base::Result<std::span<const std::uint32_t>> streams() override;
  base::Result<std::span<const std::uint32_t>> ranks() override;
  base::Result<std::span<const std::uint32_t>> line_sizes() override;
  base::Status filter_lines(const store::LineFilter& filter, store::Selection& selection) override;
  base::Status read_lines(const store::Selection& selection, store::TextColumn& out) override;
  base::Status filter_field(std::size_t field, const store::ValuePredicate& predicate,
                            store::Selection& selection) override;
  base::Status read_text(std::size_t field, const store::Selection& selection,
                         store::TextColumn& out) override;
  base::Status read_written(std::size_t field, const store::Selection& selection,
                            store::TextColumn& out) override;
  base::Status read_numbers(std::size_t field, const store::Selection& selection,
                            std::vector<double>& out) override;
  base::Status read_metadata(const store::Selection& selection,
                             std::vector<model::Labels>& out) override;
  base::Status read_metadata_sets(std::size_t sets_max, store::MetadataSets& out) override;

 private:
  // The outcome of a read; what the store refused is said in the query's words.
  template <typename Outcome>
  Outcome told(Outcome outcome) const;
  base::Status keep(std::uint64_t bytes);
  template <typename T>
  base::Result<std::span<const T>> keep_once(base::Result<std::span<const T>> column, bool& kept);

  store::Block& block_;
  QueryContext& context_;
  std::uint64_t kept_ = 0, lines_ = 0, written_ = 0, metadata_ = 0;
  bool times_kept_ = false, streams_kept_ = false, ranks_kept_ = false, sizes_kept_ = false;
};

// The structured metadata of a block's rows. Usually they share few sets, which are read once; sets
// of their own (trace ids, say) are read batch by batch.
class RowMetadata {
  enum class Form { kUnknown, kNone, kShared, kOwn };

 public:
  // `rows`: those that will be asked for, batch by batch. For few of many, sets do not pay.
  RowMetadata(store::Block& block, const store::Selection& rows)
      : block_(block),
        form_(!block.has_metadata()             ? Form::kNone
              : rows.count() < block.rows() / 4 ? Form::kOwn
                                                : Form::kUnknown) {}
  // Before the rows of each batch are asked for.
  base::Status read(const store::Selection& batch);
  // Of a row of the batch, the `index`th of its selection. Null: none. Lives until the next read().
  const model::Labels* of(std::uint32_t row, std::size_t index) const;

 private:
  store::Block& block_;
  Form form_;
  store::MetadataSets shared_;
  std::vector<model::Labels> own_;
};

// Memory of a column's values: the views, and what they show.
std::uint64_t bytes_of(const store::TextColumn& column);

}  // namespace skald::query
