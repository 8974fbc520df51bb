#include "store/part/group_encoder.h"

#include <algorithm>
#include <cstring>

#include "proto/base/check.h"
#include "store/part/bloom.h"
#include "store/part/intpack.h"
#include "store/part/limits.h"
#include "store/part/part_format.h"
#include "store/part/short_bytes.h"

namespace skald::store::part {
namespace {

constexpr std::uint32_t kTextBlock = Shredder::kNoShape;
// Below, a shape's columns cost more than its lines as text.
constexpr std::uint32_t kShapeRowsMin = 8;
constexpr std::uint32_t kShapeShareMin = 8192;  // nor less than this part of the group
// With shorter runs per stream, jumps of time cost more than a stream id per row.
constexpr std::size_t kRunRowsMin = 128;

}  // namespace

void GroupEncoder::ValueBuffer::add(std::string_view value) {
  if (ends_.size() == 1) {
    if (equal_bytes(value, first())) {
      ++repeats_;
      return;
    }
    spread();
  }
  append(value);
}

inline void GroupEncoder::ValueBuffer::append(std::string_view value) {
  if (size_ + value.size() > capacity_) {
    capacity_ = std::max<std::size_t>({64, capacity_ + capacity_ / 2, size_ + value.size()});
    auto larger = std::make_unique_for_overwrite<char[]>(capacity_);
    if (size_ > 0) std::memcpy(larger.get(), bytes_.get(), size_);
    bytes_ = std::move(larger);
  }
  copy_bytes(bytes_.get() + size_, value.data(), value.size());
  size_ += value.size();
  ends_.push_back(static_cast<std::uint32_t>(size_));
}

void GroupEncoder::ValueBuffer::spread() {
  const std::string value(first());
  for (; repeats_ > 0; --repeats_) append(value);
}

void GroupEncoder::shred_rows(std::span<const InputRow> rows) {
  for (BlockRows& block : blocks_) {
    block.rows.clear();
    for (ValueBuffer& column : block.columns) column.clear();
    block.count = 0;
  }
  text_.rows.clear();
  places_.resize(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    spans_.clear();
    const std::string_view line = rows[i].line;
    const std::uint32_t shape = shredder_.shred(line, spans_);
    places_[i] = {shape, 0};
    if (shape == kTextBlock) continue;
    if (shape >= blocks_.size()) blocks_.resize(shape + 1);
    BlockRows& block = blocks_[shape];
    places_[i].ordinal = block.count++;
    if (block.columns.size() < spans_.size()) block.columns.resize(spans_.size());
    for (std::size_t c = 0; c < spans_.size(); ++c)
      block.columns[c].add(line.substr(spans_[c].offset, spans_[c].size));
  }
  // Only frequent shapes become blocks.
  std::vector<std::uint32_t> counts;
  for (const BlockRows& block : blocks_) counts.push_back(block.count);
  auto rows_min = std::max(kShapeRowsMin, static_cast<std::uint32_t>(rows.size() / kShapeShareMin));
  if (counts.size() > kShapesMax) {
    std::nth_element(counts.begin(), counts.begin() + kShapesMax, counts.end(), std::greater<>());
    rows_min = std::max(rows_min, counts[kShapesMax] + 1);
  }
  for (RowPlace& place : places_)
    if (place.block != kTextBlock && blocks_[place.block].count < rows_min)
      place.block = kTextBlock;
}

// Stable counting sort by stream, then by time within a stream where it is not in order already.
void GroupEncoder::order_rows(std::span<const InputRow> rows, std::uint32_t streams_count,
                              EncodedGroup& out) {
  std::vector<std::uint32_t> first(streams_count + 1, 0);
  for (const InputRow& row : rows) ++first[row.stream + 1];
  for (std::uint32_t s = 0; s < streams_count; ++s) first[s + 1] += first[s];
  std::vector<std::uint32_t> next(first.begin(), first.end() - 1);
  order_.resize(rows.size());
  ranks_.assign(rows.size(), 0);
  for (std::uint32_t i = 0; i < rows.size(); ++i) order_[next[rows[i].stream]++] = i;
  out.streams.clear();
  for (std::uint32_t s = 0; s < streams_count; ++s) {
    const auto begin = order_.begin() + first[s];
    const auto end = order_.begin() + first[s + 1];
    if (begin == end) continue;
    const auto earlier = [&](std::uint32_t a, std::uint32_t b) {
      return rows[a].timestamp_ns < rows[b].timestamp_ns;
    };
    if (!std::is_sorted(begin, end, earlier)) std::stable_sort(begin, end, earlier);
    StreamTotals totals{.stream = s,
                        .entries = static_cast<std::uint64_t>(end - begin),
                        .min_time_ns = rows[*begin].timestamp_ns,
                        .max_time_ns = rows[*(end - 1)].timestamp_ns};
    for (auto it = begin; it != end; ++it) {
      totals.line_bytes += rows[*it].line.size();
      if (it != begin && rows[*it].timestamp_ns == rows[*(it - 1)].timestamp_ns)
        ranks_[*it] = ranks_[*(it - 1)] + 1;
    }
    out.streams.push_back(totals);
  }
  for (const std::uint32_t row : order_)
    (places_[row].block == kTextBlock ? text_ : blocks_[places_[row].block]).rows.push_back(row);
}

// Times, streams, ranks and metadata of a block's rows.
void GroupEncoder::put_rows(EncodeContext& context, std::span<const InputRow> rows,
                            BlockRows& block, std::string& head) {
  std::vector<StreamTotals> streams;
  bool has_ranks = false, has_metadata = false;
  for (const std::uint32_t i : block.rows) {
    if (streams.empty() || streams.back().stream != rows[i].stream)
      streams.push_back({.stream = rows[i].stream});
    ++streams.back().entries;
    streams.back().line_bytes += rows[i].line.size();
    has_ranks |= ranks_[i] != 0;
    has_metadata |= rows[i].metadata != nullptr && !rows[i].metadata->empty();
  }
  const bool runs = streams.size() == 1 || block.rows.size() / streams.size() >= kRunRowsMin;
  base::put_varint(head, streams.size());
  for (const StreamTotals& stream : streams) {
    base::put_varint(head, stream.stream);
    base::put_varint(head, stream.entries);
    base::put_varint(head, stream.line_bytes);
  }
  head.push_back(static_cast<char>(runs ? StreamOrder::kRuns : StreamOrder::kIds));
  std::vector<std::uint64_t> numbers;
  if (!runs) {
    std::stable_sort(block.rows.begin(), block.rows.end(), [&](std::uint32_t a, std::uint32_t b) {
      return rows[a].timestamp_ns < rows[b].timestamp_ns;
    });
    for (const std::uint32_t i : block.rows) {
      const auto found =
          std::lower_bound(streams.begin(), streams.end(), rows[i].stream,
                           [](const StreamTotals& s, std::uint32_t id) { return s.stream < id; });
      numbers.push_back(static_cast<std::uint64_t>(found - streams.begin()));
    }
    encode_ints(numbers, IntsHint::kPlain, context.pages, head);
  }
  times_.clear();
  for (const std::uint32_t i : block.rows) times_.push_back(rows[i].timestamp_ns);
  const auto [min, max] = std::minmax_element(times_.begin(), times_.end());
  base::put_le<std::int64_t>(head, *min);
  base::put_varint(head, static_cast<std::uint64_t>(*max) - static_cast<std::uint64_t>(*min));
  numbers.clear();
  for (const model::TimestampNs time : times_)
    numbers.push_back(static_cast<std::uint64_t>(time) - static_cast<std::uint64_t>(*min));
  encode_ints(numbers, IntsHint::kOrdered, context.pages, head);
  head.push_back(has_ranks ? 1 : 0);
  if (has_ranks) {
    numbers.clear();
    for (const std::uint32_t i : block.rows) numbers.push_back(ranks_[i]);
    encode_ints(numbers, IntsHint::kPlain, context.pages, head);
  }
  head.push_back(has_metadata ? 1 : 0);
}

GroupEncoder::PendingBlock GroupEncoder::encode_block(EncodeContext& context,
                                                      std::span<const InputRow> rows,
                                                      BlockRows& block, const JsonShape* shape) {
  PendingBlock pending;
  std::string& head = pending.head;
  base::put_varint(head, block.rows.size());
  if (shape == nullptr) {
    head.push_back(static_cast<char>(Shape::Kind::kText));
  } else {
    head.push_back(static_cast<char>(Shape::Kind::kJson));
    base::put_varint(head, shape->pieces.values());
    for (const Field& field : shape->shape.fields) head.push_back(static_cast<char>(field.syntax));
    for (const std::string& literal : shape->pieces.literals) base::put_bytes(head, literal);
  }
  put_rows(context, rows, block, head);
  if (head.back() != 0) {
    std::vector<const model::Labels*> metadata;
    for (const std::uint32_t i : block.rows) metadata.push_back(rows[i].metadata);
    pending.columns.push_back(encode_metadata(context, metadata, times_));
  }
  const std::size_t first_column = pending.columns.size();
  values_.resize(block.rows.size());
  if (shape == nullptr) {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = rows[block.rows[i]].line;
    pending.columns.push_back(encode_column(context, {.values = values_, .times = times_}));
    return pending;
  }
  const std::size_t width = shape->pieces.values();
  std::optional<Determinant> determinant;
  for (std::size_t column = 0; column < width; ++column) {
    const ValueBuffer& buffer = block.columns[column];
    if (buffer.constant()) {
      pending.columns.push_back(encode_constant(buffer.first()));
      continue;
    }
    for (std::size_t i = 0; i < values_.size(); ++i)
      values_[i] = buffer.at(places_[block.rows[i]].ordinal);
    pending.columns.push_back(encode_column(
        context, {.values = values_,
                  .times = times_,
                  .tokens = shape->shape.fields[column].syntax == Field::Syntax::kToken,
                  .determinant = determinant ? &*determinant : nullptr}));
    if (!determinant)
      determinant =
          make_determinant(static_cast<std::uint32_t>(pending.columns.size() - 1 - first_column),
                           pending.columns.back());
  }
  return pending;
}

void GroupEncoder::put_identifiers(PageWriter& pages, const LineIdentifiers& more,
                                   EncodedGroup& out) {
  std::string& meta = out.meta;
  const auto put_filter = [&](StoredFilter& filter) {
    filter.offset = out.bytes.size();
    pages.put(filter.bytes, Content::kRandom, meta);
    filter.inlined = out.bytes.size() == filter.offset;
  };
  uuids_.finish();
  base::put_varint(meta, uuids_.size());
  if (uuids_.size() > 0) {
    std::string& filter = out.uuid_filter.bytes;
    filter = make_bloom(uuids_.size());
    for (const Uuid& uuid : uuids_.ordered()) bloom_add(filter, bloom_hash(uuid));
    for (const std::uint64_t hash : more.uuids) bloom_add(filter, hash);
    put_filter(out.uuid_filter);
    const auto* const bytes = reinterpret_cast<const char*>(uuids_.ordered().data());
    pages.put(std::string_view(bytes, uuids_.size() * sizeof(Uuid)), Content::kRandom, meta);
  }
  base::put_varint(meta, identifiers_.size());
  if (identifiers_.empty()) return;
  std::string& filter = out.hex_filter.bytes;
  filter = make_bloom(identifiers_.size());
  for (const std::uint64_t hash : identifiers_) bloom_add(filter, hash);
  for (const std::uint64_t hash : more.hexes) bloom_add(filter, hash);
  put_filter(out.hex_filter);
}

void GroupEncoder::encode(std::span<const InputRow> rows, std::uint32_t streams_count,
                          const LineIdentifiers& more, EncodedGroup& out) {
  CHECK(!rows.empty());
  out = EncodedGroup{};
  uuids_.clear();
  identifiers_.clear();
  shred_rows(rows);
  order_rows(rows, streams_count, out);
  out.min_time_ns = out.streams.front().min_time_ns;
  out.max_time_ns = out.streams.front().max_time_ns;
  for (const StreamTotals& stream : out.streams) {
    out.min_time_ns = std::min(out.min_time_ns, stream.min_time_ns);
    out.max_time_ns = std::max(out.max_time_ns, stream.max_time_ns);
    out.line_bytes += stream.line_bytes;
  }
  PageWriter pages(compressor_, out.bytes);
  EncodeContext context{pages, uuids_, identifiers_};
  std::vector<PendingBlock> pending;
  for (std::uint32_t shape = 0; shape < blocks_.size(); ++shape)
    if (!blocks_[shape].rows.empty())
      pending.push_back(encode_block(context, rows, blocks_[shape], &shredder_.shape(shape)));
  if (!text_.rows.empty()) pending.push_back(encode_block(context, rows, text_, nullptr));

  put_identifiers(pages, more, out);
  base::put_varint(out.meta, pending.size());
  for (const PendingBlock& block : pending) {
    out.meta.append(block.head);
    for (const EncodedColumn& column : block.columns) finish_column(context, column, out.meta);
  }
}

}  // namespace skald::store::part
