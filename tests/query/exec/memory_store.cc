#include "tests/query/exec/memory_store.h"

#include <algorithm>

namespace skald::query {
namespace {

class TextBlock final : public store::Block {
 public:
  TextBlock(std::vector<const MemoryStore::Row*> rows, std::vector<std::uint32_t> stream_map,
            model::TimeRange range, std::uint64_t sequence)
      : rows_(std::move(rows)), range_(range), sequence_(sequence) {
    for (const auto* row : rows_) {
      times_.push_back(row->time);
      streams_.push_back(stream_map[row->stream]);
      sizes_.push_back(static_cast<std::uint32_t>(row->line.size()));
    }
  }

  std::uint32_t rows() const noexcept override { return static_cast<std::uint32_t>(rows_.size()); }
  model::TimestampNs min_time_ns() const noexcept override {
    return *std::min_element(times_.begin(), times_.end());
  }
  model::TimestampNs max_time_ns() const noexcept override {
    return *std::max_element(times_.begin(), times_.end());
  }
  std::uint64_t sequence() const noexcept override { return sequence_; }
  const store::Shape& shape() const noexcept override { return shape_; }
  base::Result<store::Selection> select() override {
    store::Selection out(rows());
    for (std::uint32_t i = 0; i < rows(); ++i)
      if (streams_[i] != UINT32_MAX && range_.contains(times_[i])) out.set(i);
    return out;
  }
  std::optional<std::vector<store::StreamCount>> whole_counts() override { return std::nullopt; }
  base::Result<std::span<const model::TimestampNs>> timestamps() override {
    return std::span<const model::TimestampNs>(times_);
  }
  base::Result<std::span<const std::uint32_t>> streams() override {
    return std::span<const std::uint32_t>(streams_);
  }
  base::Result<std::span<const std::uint32_t>> ranks() override {
    return std::span<const std::uint32_t>();
  }
  base::Result<std::span<const std::uint32_t>> line_sizes() override {
    return std::span<const std::uint32_t>(sizes_);
  }
  base::Status filter_lines(const store::LineFilter& filter, store::Selection& s) override {
    for (std::uint32_t i = 0; i < rows(); ++i)
      if (s.test(i) && !filter.matches(rows_[i]->line)) s.reset(i);
    return {};
  }
  base::Status read_lines(const store::Selection& s, store::TextColumn& out) override {
    out = {};
    s.for_each([&](std::uint32_t i) { out.entries.push_back(rows_[i]->line); });
    return {};
  }
  store::FieldStats field_stats(std::size_t) const override { return {}; }
  base::Status filter_field(std::size_t, const store::ValuePredicate&, store::Selection&) override {
    return base::unsupported("no fields");
  }
  base::Status read_text(std::size_t, const store::Selection&, store::TextColumn&) override {
    return base::unsupported("no fields");
  }
  base::Status read_numbers(std::size_t, const store::Selection&, std::vector<double>&) override {
    return base::unsupported("no fields");
  }
  bool has_metadata() const noexcept override {
    return std::any_of(rows_.begin(), rows_.end(),
                       [](const auto* row) { return !row->metadata.empty(); });
  }
  base::Status read_metadata(const store::Selection& s, std::vector<model::Labels>& out) override {
    out.clear();
    s.for_each([&](std::uint32_t i) { out.push_back(rows_[i]->metadata); });
    return {};
  }

 private:
  std::vector<const MemoryStore::Row*> rows_;
  model::TimeRange range_;
  std::uint64_t sequence_;
  store::Shape shape_;
  std::vector<model::TimestampNs> times_;
  std::vector<std::uint32_t> streams_, sizes_;
};

}  // namespace

class MemoryScan final : public store::Scan {
 public:
  MemoryScan(MemoryStore& owner, const store::ScanRequest& request)
      : owner_(owner), range_(request.range), map_(owner.streams_.size(), UINT32_MAX) {
    for (std::uint32_t i = 0; i < owner.streams_.size(); ++i) {
      if (!model::matches_all(request.matchers, owner.streams_[i])) continue;
      map_[i] = static_cast<std::uint32_t>(infos_.size());
      infos_.push_back({{i}, owner.streams_[i]});
    }
  }
  std::span<const store::StreamInfo> streams() const noexcept override { return infos_; }
  base::Status run(store::BlockVisitor& visitor, const store::ScanOptions& options) override {
    std::vector<std::pair<std::size_t, std::size_t>> blocks;
    for (std::size_t i = 0; i < owner_.rows_.size(); i += owner_.rows_per_block_)
      blocks.emplace_back(i, std::min(i + owner_.rows_per_block_, owner_.rows_.size()));
    if (options.direction == model::Direction::kBackward)
      std::reverse(blocks.begin(), blocks.end());
    unsigned worker = 0;
    for (const auto& [from, to] : blocks)
      SKALD_TRY(visit(from, to, visitor, worker++ % options.workers));
    return {};
  }
  base::Status revisit(std::span<const store::BlockId> blocks, store::BlockVisitor& visitor,
                       const store::ScanOptions& options) override {
    unsigned worker = 0;
    for (const store::BlockId& id : blocks)
      SKALD_TRY(visit(id.block, std::min(id.block + owner_.rows_per_block_, owner_.rows_.size()),
                      visitor, worker++ % options.workers));
    return {};
  }
  const store::ScanStats& stats() const noexcept override { return stats_; }
  std::vector<std::string> warnings() const override { return {}; }

 private:
  base::Status visit(std::size_t from, std::size_t to, store::BlockVisitor& visitor,
                     unsigned worker) {
    std::vector<const MemoryStore::Row*> rows;
    for (std::size_t i = from; i < to; ++i) rows.push_back(&owner_.rows_[i]);
    TextBlock block(std::move(rows), map_, range_, from);
    block.set_id({.block = static_cast<std::uint32_t>(from)});
    if (!range_.overlaps(block.min_time_ns(), block.max_time_ns())) return {};
    if (!visitor.wants(block.min_time_ns(), block.max_time_ns())) return {};
    ++owner_.blocks_visited_;
    return visitor.visit(block, worker);
  }

  MemoryStore& owner_;
  model::TimeRange range_;
  std::vector<std::uint32_t> map_;
  std::vector<store::StreamInfo> infos_;
  store::ScanStats stats_;
};

void MemoryStore::add(model::Labels stream, model::TimestampNs time, std::string line,
                      model::Labels metadata) {
  const auto [id, inserted] =
      stream_ids_.try_emplace(stream, static_cast<std::uint32_t>(streams_.size()));
  if (inserted) streams_.push_back(stream);
  if (!seen_.try_emplace({id->second, time, line + '\0' + metadata.to_string()}, true).second)
    return;
  rows_.push_back({id->second, time, std::move(line), std::move(metadata)});
}

base::Result<std::unique_ptr<store::Scan>> MemoryStore::open_scan(
    const store::ScanRequest& request) {
  return std::unique_ptr<store::Scan>(std::make_unique<MemoryScan>(*this, request));
}

}  // namespace skald::query
