#include "store/part/raw_block.h"

#include <algorithm>
#include <limits>

namespace skald::store::part {
namespace {

const Shape& text_shape() {
  static const Shape shape;
  return shape;
}

class RawBlock final : public Block {
 public:
  RawBlock(std::vector<RawRow> rows, std::shared_ptr<const BlockContext> context,
           std::shared_ptr<const void> keep_alive)
      : rows_(std::move(rows)), context_(std::move(context)), keep_alive_(std::move(keep_alive)) {
    for (const RawRow& row : rows_) {
      min_ns_ = std::min(min_ns_, row.timestamp_ns);
      max_ns_ = std::max(max_ns_, row.timestamp_ns);
      has_ranks_ |= row.rank != rows_.front().rank;
      has_metadata_ |= row.metadata != nullptr && !row.metadata->empty();
    }
  }

  // True if any row is wanted; the maker drops the block otherwise.
  bool any_selected() const {
    return std::any_of(rows_.begin(), rows_.end(), [&](const RawRow& row) { return wanted(row); });
  }

  std::uint32_t rows() const noexcept override { return static_cast<std::uint32_t>(rows_.size()); }
  model::TimestampNs min_time_ns() const noexcept override { return min_ns_; }
  model::TimestampNs max_time_ns() const noexcept override { return max_ns_; }
  std::uint64_t sequence() const noexcept override { return context_->sequence; }
  const Shape& shape() const noexcept override { return text_shape(); }

  base::Result<Selection> select() override {
    Selection selection(rows());
    for (std::uint32_t i = 0; i < rows(); ++i)
      if (wanted(rows_[i]) && !deleted(rows_[i])) selection.set(i);
    return selection;
  }

  std::optional<std::vector<StreamCount>> whole_counts() override {
    if (!context_->tombstones.empty()) return std::nullopt;
    std::vector<StreamCount> by_local(context_->streams.size());
    for (const RawRow& row : rows_) {
      if (!wanted(row)) return std::nullopt;
      StreamCount& count = by_local[row.stream];
      count.stream = context_->streams[row.stream];
      ++count.entries;
      count.line_bytes += row.line.size();
    }
    std::erase_if(by_local, [](const StreamCount& count) { return count.entries == 0; });
    return by_local;
  }

  base::Result<std::span<const model::TimestampNs>> timestamps() override {
    if (timestamps_.empty())
      for (const RawRow& row : rows_) timestamps_.push_back(row.timestamp_ns);
    return std::span<const model::TimestampNs>(timestamps_);
  }
  base::Result<std::span<const std::uint32_t>> streams() override {
    if (streams_.empty())
      for (const RawRow& row : rows_)
        streams_.push_back(row.stream < context_->streams.size() ? context_->streams[row.stream]
                                                                 : kNotSelected);
    return std::span<const std::uint32_t>(streams_);
  }
  base::Result<std::span<const std::uint32_t>> ranks() override {
    if (has_ranks_ && ranks_.empty())
      for (const RawRow& row : rows_) ranks_.push_back(row.rank);
    return std::span<const std::uint32_t>(ranks_);
  }
  base::Result<std::span<const std::uint32_t>> line_sizes() override {
    if (sizes_.empty())
      for (const RawRow& row : rows_) sizes_.push_back(static_cast<std::uint32_t>(row.line.size()));
    return std::span<const std::uint32_t>(sizes_);
  }

  base::Status filter_lines(const LineFilter& filter, Selection& selection) override {
    selection.for_each([&](std::uint32_t row) {
      if (!filter.matches(rows_[row].line)) selection.reset(row);
    });
    return {};
  }

  base::Status read_lines(const Selection& selection, TextColumn& out) override {
    out = TextColumn{};
    selection.for_each([&](std::uint32_t row) { out.entries.push_back(rows_[row].line); });
    return {};
  }

  FieldStats field_stats(std::size_t) const override { return {}; }
  base::Status filter_field(std::size_t, const ValuePredicate&, Selection&) override {
    return no_fields();
  }
  base::Status read_text(std::size_t, const Selection&, TextColumn&) override {
    return no_fields();
  }
  base::Status read_numbers(std::size_t, const Selection&, std::vector<double>&) override {
    return no_fields();
  }

  bool has_metadata() const noexcept override { return has_metadata_; }
  base::Status read_metadata(const Selection& selection, std::vector<model::Labels>& out) override {
    out.clear();
    selection.for_each([&](std::uint32_t row) {
      const model::Labels* metadata = rows_[row].metadata;
      out.push_back(metadata != nullptr ? *metadata : model::Labels());
    });
    return {};
  }

 private:
  static base::Status no_fields() { return base::internal("a text block has no fields"); }

  bool wanted(const RawRow& row) const {
    return row.stream < context_->streams.size() && context_->streams[row.stream] != kNotSelected &&
           context_->range.contains(row.timestamp_ns);
  }
  bool deleted(const RawRow& row) const {
    return std::any_of(
        context_->tombstones.begin(), context_->tombstones.end(),
        [&](const std::shared_ptr<const Tombstone>& tombstone) {
          return row.stream < tombstone->streams.size() && tombstone->streams[row.stream] &&
                 tombstone->range.contains(row.timestamp_ns) &&
                 std::all_of(tombstone->filters.begin(), tombstone->filters.end(),
                             [&](const LineFilter& filter) { return filter.matches(row.line); });
        });
  }

  std::vector<RawRow> rows_;
  std::shared_ptr<const BlockContext> context_;
  std::shared_ptr<const void> keep_alive_;
  model::TimestampNs min_ns_ = std::numeric_limits<model::TimestampNs>::max();
  model::TimestampNs max_ns_ = std::numeric_limits<model::TimestampNs>::min();
  bool has_ranks_ = false;
  bool has_metadata_ = false;
  std::vector<model::TimestampNs> timestamps_;
  std::vector<std::uint32_t> streams_, ranks_, sizes_;
};

}  // namespace

std::unique_ptr<Block> make_raw_block(std::vector<RawRow> rows,
                                      std::shared_ptr<const BlockContext> context,
                                      std::shared_ptr<const void> keep_alive) {
  auto block =
      std::make_unique<RawBlock>(std::move(rows), std::move(context), std::move(keep_alive));
  if (!block->any_selected()) return nullptr;
  return block;
}

}  // namespace skald::store::part
