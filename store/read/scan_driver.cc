#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <queue>
#include <thread>
#include <utility>

#include "proto/base/clock.h"
#include "store/part/raw_block.h"
#include "store/read/scan_plan.h"

namespace skald::store::read {
namespace {

// A part, one of its row groups, one of its blocks or a slice of the head: whatever is opened next.
// Parts and row groups are opened only when their time comes, and then put their contents back.
struct Item {
  enum class Kind { kPart, kGroup, kBlock, kSlice };
  Kind kind = Kind::kPart;
  model::TimestampNs min_ns = 0, max_ns = 0;
  std::size_t index = 0;  // of the part, the row group, the slice
  std::size_t part = 0;   // of a row group
  std::shared_ptr<const part::PartReader> reader = nullptr;
  std::shared_ptr<const part::BlockContext> context = nullptr;
  std::shared_ptr<Block> block = nullptr;
  // Of a row group: the blocks that may have lines to find; nothing: all.
  std::optional<part::BlockNumbers> blocks = std::nullopt;
};

// A row group to open.
struct WantedGroup {
  std::size_t index = 0;
  std::optional<part::BlockNumbers> blocks;  // as in Item
};

Item part_item(std::size_t index, const catalog::PartMeta& meta) {
  Item item{Item::Kind::kPart, meta.min_time_ns, meta.max_time_ns};
  item.index = index;
  return item;
}

Item slice_item(std::size_t index, const ingest::TenantHead::Slice& slice) {
  Item item{Item::Kind::kSlice, slice.min_time_ns, slice.max_time_ns};
  item.index = index;
  return item;
}

struct LaterFirst {
  bool operator()(const Item& a, const Item& b) const noexcept { return a.max_ns < b.max_ns; }
};
struct EarlierFirst {
  bool operator()(const Item& a, const Item& b) const noexcept { return a.min_ns > b.min_ns; }
};

// A heap whose order depends on the direction.
class ItemHeap {
 public:
  explicit ItemHeap(model::Direction direction)
      : backward_(direction == model::Direction::kBackward) {}
  bool empty() const noexcept { return items_.empty(); }
  const Item& top() const noexcept { return items_.front(); }
  void clear() { items_.clear(); }
  void push(Item item) {
    items_.push_back(std::move(item));
    backward_ ? std::push_heap(items_.begin(), items_.end(), LaterFirst())
              : std::push_heap(items_.begin(), items_.end(), EarlierFirst());
  }
  Item pop() {
    backward_ ? std::pop_heap(items_.begin(), items_.end(), LaterFirst())
              : std::pop_heap(items_.begin(), items_.end(), EarlierFirst());
    Item item = std::move(items_.back());
    items_.pop_back();
    return item;
  }

 private:
  const bool backward_;
  std::vector<Item> items_;
};

class ScanDriver final : public Scan {
 public:
  ScanDriver(ScanPlan plan, catalog::PartCache& cache) : plan_(std::move(plan)), cache_(cache) {}

  std::span<const StreamInfo> streams() const noexcept override { return plan_.streams; }
  const ScanStats& stats() const noexcept override { return stats_; }
  std::vector<std::string> warnings() const override {
    const std::scoped_lock lock(warnings_mutex_);
    std::vector<std::string> out = plan_.warnings;
    out.insert(out.end(), warnings_.begin(), warnings_.end());
    return out;
  }
  base::Status run(BlockVisitor& visitor, const ScanOptions& options) override;
  base::Status revisit(std::span<const BlockId> blocks, BlockVisitor& visitor,
                       const ScanOptions& options) override;

 private:
  struct Run {
    Run(BlockVisitor& to_visit, const ScanOptions& with)
        : visitor(to_visit), options(with), heap(with.direction) {}
    BlockVisitor& visitor;
    const ScanOptions& options;
    std::mutex mutex;
    std::condition_variable changed;
    ItemHeap heap;
    unsigned busy = 0;
    base::Status status;
  };

  // Until the heap is empty.
  base::Status work_off(Run& run);
  void work(Run& run, unsigned worker);
  base::Status process(Run& run, Item item, unsigned worker);
  std::vector<WantedGroup> wanted_groups(const part::PartReader& reader,
                                         const part::BlockContext& context,
                                         const std::optional<std::vector<bool>>& among);
  void expand_part(Run& run, const Item& item);
  // Null: it is damaged, and left out.
  std::shared_ptr<const catalog::OpenPart> open_part(catalog::PartHandle& part);
  // The named row groups of one part.
  void push_groups(Run& run, std::span<const BlockId> blocks);
  base::Status expand_group(Run& run, const Item& item, unsigned worker);
  base::Status visit(Run& run, Block& block, unsigned worker);
  std::shared_ptr<const part::BlockContext> part_context(const catalog::PartHandle& part,
                                                         const catalog::OpenPart& open,
                                                         ScanMemory* memory);
  std::unique_ptr<Block> open_slice(std::size_t index);
  void warn(std::string text);
  static base::Status interrupted(const ScanOptions& options);

  ScanPlan plan_;
  catalog::PartCache& cache_;
  ScanStats stats_;
  mutable std::mutex warnings_mutex_;
  std::vector<std::string> warnings_;
};

void ScanDriver::warn(std::string text) {
  const std::scoped_lock lock(warnings_mutex_);
  if (std::find(warnings_.begin(), warnings_.end(), text) == warnings_.end())
    warnings_.push_back(std::move(text));
}

base::Status ScanDriver::interrupted(const ScanOptions& options) {
  if (options.cancelled && options.cancelled()) return base::cancelled("the query was cancelled");
  const base::Clock& clock = options.clock != nullptr ? *options.clock : base::Clock::system();
  if (options.deadline_monotonic_ns != 0 && clock.monotonic_ns() >= options.deadline_monotonic_ns)
    return base::deadline_exceeded("the query ran out of time");
  return {};
}

base::Status ScanDriver::run(BlockVisitor& visitor, const ScanOptions& options) {
  SKALD_TRY(interrupted(options));
  Run run(visitor, options);
  for (std::size_t i = 0; i < plan_.parts.size(); ++i) {
    run.heap.push(part_item(i, plan_.parts[i]->meta()));
  }
  for (std::size_t i = 0; i < plan_.slices.size(); ++i)
    run.heap.push(slice_item(i, plan_.slices[i].slice));
  // What part statistics refuse costs no thread.
  while (!run.heap.empty() && run.heap.top().kind == Item::Kind::kPart)
    SKALD_TRY(process(run, run.heap.pop(), 0));
  return work_off(run);
}

base::Status ScanDriver::revisit(std::span<const BlockId> blocks, BlockVisitor& visitor,
                                 const ScanOptions& options) {
  SKALD_TRY(interrupted(options));
  Run run(visitor, options);
  std::vector<BlockId> sorted(blocks.begin(), blocks.end());
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t at = 0; at < sorted.size();) {
    std::size_t end = at;
    while (end < sorted.size() && sorted[end].source == sorted[at].source) ++end;
    if (const std::size_t source = sorted[at].source; source >= plan_.parts.size()) {
      const std::size_t slice = source - plan_.parts.size();
      run.heap.push(slice_item(slice, plan_.slices[slice].slice));
    } else {
      push_groups(run, std::span(sorted).subspan(at, end - at));
    }
    at = end;
  }
  return work_off(run);
}

void ScanDriver::push_groups(Run& run, std::span<const BlockId> blocks) {
  catalog::PartHandle& part = *plan_.parts[blocks.front().source];
  const auto open = open_part(part);
  if (open == nullptr) return;
  const auto context = part_context(part, *open, run.options.memory);
  for (std::size_t at = 0; at < blocks.size();) {
    Item item{Item::Kind::kGroup};
    item.index = blocks[at].group;
    item.part = blocks.front().source;
    item.reader = open->reader;
    item.context = context;
    item.blocks.emplace();
    for (; at < blocks.size() && blocks[at].group == item.index; ++at)
      item.blocks->push_back(blocks[at].block);
    run.heap.push(std::move(item));
  }
}

base::Status ScanDriver::work_off(Run& run) {
  if (run.heap.empty()) return {};
  std::vector<std::thread> threads;
  for (unsigned worker = 1; worker < run.options.workers; ++worker)
    threads.emplace_back([this, &run, worker] { work(run, worker); });
  work(run, 0);
  for (std::thread& thread : threads) thread.join();
  return std::move(run.status);
}

void ScanDriver::work(Run& run, unsigned worker) {
  std::unique_lock lock(run.mutex);
  for (;;) {
    run.changed.wait(lock, [&] { return !run.heap.empty() || run.busy == 0; });
    if (run.heap.empty()) return;
    Item item = run.heap.pop();
    ++run.busy;
    lock.unlock();
    base::Status status = process(run, std::move(item), worker);
    lock.lock();
    --run.busy;
    if (!status.ok()) {
      if (run.status.ok()) run.status = std::move(status);
      run.heap.clear();
    }
    if (run.busy == 0 || !run.status.ok()) run.changed.notify_all();
  }
}

base::Status ScanDriver::process(Run& run, Item item, unsigned worker) {
  SKALD_TRY(interrupted(run.options));
  if (!run.visitor.wants(item.min_ns, item.max_ns)) {
    ++(item.kind == Item::Kind::kPart ? stats_.parts_skipped : stats_.blocks_skipped);
    return {};
  }
  switch (item.kind) {
    case Item::Kind::kPart: expand_part(run, item); return {};
    case Item::Kind::kGroup: return expand_group(run, item, worker);
    case Item::Kind::kBlock: return visit(run, *item.block, worker);
    case Item::Kind::kSlice: break;
  }
  const std::unique_ptr<Block> block = open_slice(item.index);
  if (block == nullptr) {
    ++stats_.blocks_skipped;
    return {};
  }
  return visit(run, *block, worker);
}

base::Status ScanDriver::visit(Run& run, Block& block, unsigned worker) {
  ++stats_.blocks;
  stats_.rows += block.rows();
  base::Status status = run.visitor.visit(block, worker);
  // Damage found late, in a column: the rest of the scan is not affected.
  if (status.code() == base::Code::kCorrupt) {
    warn("damaged data was left out: " + std::string(status.message()));
    return {};
  }
  return status;
}

std::shared_ptr<const part::BlockContext> ScanDriver::part_context(const catalog::PartHandle& part,
                                                                   const catalog::OpenPart& open,
                                                                   ScanMemory* memory) {
  auto context = std::make_shared<part::BlockContext>();
  context->streams.reserve(open.numbers.size());
  for (const std::uint32_t number : open.numbers)
    context->streams.push_back(plan_.stream_map.at(number));
  context->range = plan_.range;
  context->sequence = part.meta().name.first_sequence;
  context->stats = &stats_;
  context->memory = memory;
  for (const PlannedDelete& planned : plan_.deletes) {
    if (!planned.range.overlaps(part.meta().min_time_ns, part.meta().max_time_ns)) continue;
    auto tombstone = std::make_shared<part::Tombstone>();
    tombstone->range = planned.range;
    tombstone->filters = planned.filters;
    for (const std::uint32_t number : open.numbers)
      tombstone->streams.push_back(number != index::kNoStream && planned.streams.contains(number));
    context->tombstones.push_back(std::move(tombstone));
  }
  return context;
}

// The row groups of a part that the request may have rows of.
std::vector<WantedGroup> ScanDriver::wanted_groups(const part::PartReader& reader,
                                                   const part::BlockContext& context,
                                                   const std::optional<std::vector<bool>>& among) {
  std::vector<WantedGroup> out;
  const auto infos = reader.row_groups();
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const bool wanted =
        plan_.range.overlaps(infos[i].min_time_ns, infos[i].max_time_ns) &&
        std::any_of(infos[i].streams.begin(), infos[i].streams.end(),
                    [&](const part::StreamTotals& totals) {
                      return totals.stream < context.streams.size() &&
                             context.streams[totals.stream] != part::kNotSelected &&
                             plan_.range.overlaps(totals.min_time_ns, totals.max_time_ns);
                    });
    if (!wanted || (among && i < among->size() && !(*among)[i])) continue;
    WantedGroup group{i, std::nullopt};
    if (!plan_.prune.empty()) group.blocks = reader.blocks_that_may_match(plan_.prune, i);
    if (!group.blocks || !group.blocks->empty()) out.push_back(std::move(group));
  }
  return out;
}

void ScanDriver::expand_part(Run& run, const Item& item) {
  catalog::PartHandle& part = *plan_.parts[item.index];
  const auto among = part.groups_that_may_match(plan_.prune);
  if (among && std::find(among->begin(), among->end(), true) == among->end()) {
    ++stats_.parts_skipped;
    return;
  }
  const auto open = open_part(part);
  if (open == nullptr) return;
  const auto context = part_context(part, *open, run.options.memory);
  std::vector<WantedGroup> groups = wanted_groups(*open->reader, *context, among);
  if (groups.empty()) {
    ++stats_.parts_skipped;
    return;
  }
  ++stats_.parts;
  const auto infos = open->reader->row_groups();
  stats_.blocks_skipped += infos.size() - groups.size();
  const std::scoped_lock lock(run.mutex);
  if (!run.status.ok()) return;
  for (WantedGroup& group : groups) {
    const part::RowGroupInfo& info = infos[group.index];
    run.heap.push({Item::Kind::kGroup,
                   info.min_time_ns,
                   info.max_time_ns,
                   group.index,
                   item.index,
                   open->reader,
                   context,
                   {},
                   std::move(group.blocks)});
  }
  run.changed.notify_all();
}

std::shared_ptr<const catalog::OpenPart> ScanDriver::open_part(catalog::PartHandle& part) {
  auto opened = cache_.get(part, number_streams(*plan_.tenant));
  if (opened.ok()) return std::move(*opened);
  part.mark_damaged();
  warn("part " + part.meta().name.to_string() + " was left out: " + opened.status().to_string());
  return nullptr;
}

base::Status ScanDriver::expand_group(Run& run, const Item& item, unsigned worker) {
  auto blocks =
      item.reader->open_row_group(item.index, item.context, item.blocks ? &*item.blocks : nullptr);
  if (!blocks.ok()) {
    warn("a row group was left out: " + blocks.status().to_string());
    return {};
  }
  for (const auto& block : *blocks)
    block->set_id({.source = static_cast<std::uint32_t>(item.part),
                   .group = static_cast<std::uint32_t>(item.index),
                   .block = block->id().block});
  if (blocks->size() == 1) return visit(run, *blocks->front(), worker);
  const std::scoped_lock lock(run.mutex);
  if (!run.status.ok()) return {};
  for (auto& block : *blocks) {
    const auto min_ns = block->min_time_ns();
    const auto max_ns = block->max_time_ns();
    Item one{Item::Kind::kBlock, min_ns, max_ns};
    one.block = std::move(block);
    run.heap.push(std::move(one));
  }
  run.changed.notify_all();
  return {};
}

std::unique_ptr<Block> ScanDriver::open_slice(std::size_t index) {
  const HeadSlice& from = plan_.slices[index];
  const auto& chunk = from.slice.chunk;
  std::vector<part::RawRow> rows;
  rows.reserve(from.slice.rows);
  for (std::uint32_t i = 0; i < from.slice.rows; ++i) {
    const ingest::HeadRow& row = chunk->rows[i];
    const std::uint32_t stream = plan_.stream_map.at(row.stream);
    if (stream == part::kNotSelected || !plan_.range.contains(row.timestamp_ns)) continue;
    rows.push_back(
        {row.timestamp_ns, {row.line, row.line_size}, row.metadata, stream, chunk->first_rank + i});
  }
  if (rows.empty()) return nullptr;
  auto context = std::make_shared<part::BlockContext>();
  context->streams.resize(plan_.streams.size());
  for (std::uint32_t i = 0; i < context->streams.size(); ++i) context->streams[i] = i;
  context->range = plan_.range;
  context->sequence = from.sequence;
  context->stats = &stats_;
  for (const PlannedDelete& planned : plan_.deletes) {
    if (!planned.range.overlaps(from.slice.min_time_ns, from.slice.max_time_ns)) continue;
    auto tombstone = std::make_shared<part::Tombstone>();
    tombstone->range = planned.range;
    tombstone->filters = planned.filters;
    tombstone->streams.assign(plan_.streams.size(), false);
    for (const std::uint32_t number : planned.streams.values()) {
      const std::uint32_t stream = plan_.stream_map.at(number);
      if (stream != part::kNotSelected) tombstone->streams[stream] = true;
    }
    context->tombstones.push_back(std::move(tombstone));
  }
  auto block = part::make_raw_block(std::move(rows), std::move(context), chunk);
  if (block != nullptr)
    block->set_id({.source = static_cast<std::uint32_t>(plan_.parts.size() + index)});
  return block;
}

}  // namespace

std::unique_ptr<Scan> make_scan(ScanPlan plan, catalog::PartCache& cache) {
  return std::make_unique<ScanDriver>(std::move(plan), cache);
}

}  // namespace skald::store::read
