#include "store/part/group_spec.h"

#include <algorithm>

#include "proto/base/crc32c.h"
#include "store/part/bloom.h"
#include "store/part/column_reader.h"
#include "store/part/limits.h"
#include "store/part/shredder.h"
#include "store/part/span_match.h"

namespace skald::store::part {
namespace {

// Whether a bracket closes as soon as it has opened. A key with such text counts, too: whoever asks
// is only told less than there is to know.
bool has_empty_value(std::string_view literal) {
  char before = 0;
  for (const char c : literal) {
    if ((before == '{' && c == '}') || (before == '[' && c == ']')) return true;
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') before = c;
  }
  return false;
}

base::Status parse_shape(base::ByteReader& reader, const PageSource& source, BlockSpec& block) {
  const auto kind = reader.read_le<std::uint8_t>();
  if (kind == static_cast<std::uint8_t>(Shape::Kind::kText)) {
    block.literals = {std::string_view(), std::string_view()};
    return {};
  }
  if (kind != static_cast<std::uint8_t>(Shape::Kind::kJson)) return source.damaged("block kind");
  const std::uint64_t values = reader.read_varint();
  if (values > kShapeFieldsMax) return source.damaged("fields of a shape");
  std::vector<Field::Syntax> syntaxes;
  for (std::uint64_t i = 0; i < values; ++i) {
    const auto syntax = reader.read_le<std::uint8_t>();
    if (syntax > 1) return source.damaged("syntax of a field");
    syntaxes.push_back(static_cast<Field::Syntax>(syntax));
  }
  Pieces pieces;
  for (std::uint64_t i = 0; i <= values; ++i) {
    block.literals.push_back(reader.read_bytes());
    pieces.literals.emplace_back(block.literals.back());
  }
  if (reader.failed()) return source.damaged("literals of a shape");
  std::optional<JsonShape> shape = shape_of_literals(std::move(pieces), syntaxes);
  if (!shape) return source.damaged("literals that are no JSON object");
  block.shape = std::move(shape->shape);
  block.shape.plain = block.literals[0].starts_with('{') &&
                      std::none_of(block.literals.begin(), block.literals.end(), has_empty_value);
  return {};
}

base::Status parse_rows(base::ByteReader& reader, const GroupShared& shared,
                        std::size_t streams_count, BlockSpec& block) {
  const PageSource& source = shared.source;
  const std::uint64_t streams = reader.read_varint();
  if (streams == 0 || streams > block.rows) return source.damaged("streams of a block");
  std::uint64_t rows = 0;
  for (std::uint64_t i = 0; i < streams && !reader.failed(); ++i) {
    StreamTotals totals;
    const std::uint64_t stream = reader.read_varint();
    totals.entries = reader.read_varint();
    totals.line_bytes = reader.read_varint();
    if (stream >= streams_count || totals.entries > block.rows)
      return source.damaged("streams of a block");
    totals.stream = static_cast<std::uint32_t>(stream);
    if (!block.streams.empty() && block.streams.back().stream >= totals.stream)
      return source.damaged("streams of a block");
    rows += totals.entries;
    block.streams.push_back(totals);
  }
  const auto order = reader.read_le<std::uint8_t>();
  if (reader.failed() || rows != block.rows || order > 1)
    return source.damaged("streams of a block");
  block.order = static_cast<StreamOrder>(order);
  if (block.order == StreamOrder::kIds) {
    SKALD_TRY_ASSIGN(block.stream_ids, Ints::parse(reader, block.rows, source));
  }
  block.min_time_ns = reader.read_le<std::int64_t>();
  const std::uint64_t span = reader.read_varint();
  block.max_time_ns =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(block.min_time_ns) + span);
  if (block.max_time_ns < block.min_time_ns) return source.damaged("times of a block");
  SKALD_TRY_ASSIGN(block.times, Ints::parse(reader, block.rows, source));
  block.has_ranks = reader.read_le<std::uint8_t>() != 0;
  if (block.has_ranks) {
    SKALD_TRY_ASSIGN(block.ranks, Ints::parse(reader, block.rows, source));
  }
  block.has_metadata = reader.read_le<std::uint8_t>() != 0;
  if (!block.has_metadata) return {};
  SKALD_TRY(parse_column(reader, block.rows, shared, 0, block.metadata));
  return block.metadata.encoding == Encoding::kTemplate ? base::Status()
                                                        : source.damaged("metadata column");
}

FieldStats stats_of(const ColumnSpec& column) {
  FieldStats stats;
  const auto add = [&](double number, bool first) {
    stats.min = first ? number : std::min(stats.min, number);
    stats.max = first ? number : std::max(stats.max, number);
  };
  double number = 0;
  switch (column.encoding) {
    case Encoding::kConstant:
      stats.distinct = 1;
      stats.all_numbers = parse_number(column.text, number);
      add(number, true);
      break;
    case Encoding::kDictionary:
      stats.distinct = column.entries.count;
      stats.all_numbers = column.entries.inlined;
      for (std::size_t i = 0; i < column.entries.entries.size() && stats.all_numbers; ++i) {
        stats.all_numbers = parse_number(column.entries.entries[i], number);
        add(number, i == 0);
      }
      break;
    case Encoding::kDecimal:
      stats.all_numbers = column.exceptions == 0;
      stats.min = decimal_to_double(column.min, column.scale);
      stats.max = decimal_to_double(column.max, column.scale);
      break;
    case Encoding::kDerived: stats = stats_of(column.children[0]); break;
    default: break;
  }
  if (!stats.all_numbers) stats.min = stats.max = 0;
  return stats;
}

base::Status parse_block(base::ByteReader& reader, const GroupShared& shared,
                         std::size_t streams_count, BlockSpec& block) {
  const PageSource& source = shared.source;
  const std::uint64_t rows = reader.read_varint();
  if (rows == 0 || rows > kRowGroupRowsMax) return source.damaged("rows of a block");
  block.rows = static_cast<std::uint32_t>(rows);
  SKALD_TRY(parse_shape(reader, source, block));
  SKALD_TRY(parse_rows(reader, shared, streams_count, block));
  const std::size_t columns = block.literals.size() - 1;
  block.columns.reserve(columns);
  for (std::size_t i = 0; i < columns; ++i) {
    block.columns.emplace_back();
    SKALD_TRY(parse_column(reader, block.rows, shared, 0, block.columns.back()));
    const ColumnSpec& column = block.columns.back();
    if (column.encoding == Encoding::kDerived &&
        (column.determinant >= i || block.columns[column.determinant].encoding != Encoding::kUuid))
      return source.damaged("a derived column's determinant");
    FieldStats stats = stats_of(column);
    if (block.shape.kind == Shape::Kind::kJson &&
        block.shape.fields[i].syntax != Field::Syntax::kToken)
      stats.all_numbers = false;
    block.stats.push_back(stats);
  }
  return {};
}

base::Status parse_blocks(GroupSpec& group, const RowGroupInfo& info, std::size_t streams_count) {
  base::ByteReader reader(group.meta);
  GroupShared& shared = group.shared;
  const std::uint64_t uuids = reader.read_varint();
  bool ok = uuids <= (1U << 28);
  shared.uuids_count = static_cast<std::uint32_t>(uuids);
  if (uuids > 0) {
    shared.uuid_filter = PageRef::parse(reader, ok);
    shared.uuid_table = PageRef::parse(reader, ok);
  }
  shared.hex_count = reader.read_varint();
  if (shared.hex_count > 0) shared.hex_filter = PageRef::parse(reader, ok);
  const std::uint64_t blocks = reader.read_varint();
  if (!ok || reader.failed() || blocks == 0 || blocks > kShapesMax + 1)
    return shared.source.damaged("row group header");
  group.blocks.reserve(blocks);
  std::uint64_t rows = 0;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    group.blocks.emplace_back();
    SKALD_TRY(parse_block(reader, shared, streams_count, group.blocks.back()));
    rows += group.blocks.back().rows;
  }
  return reader.done() && rows == info.rows ? base::Status()
                                            : shared.source.damaged("rows of the group");
}

}  // namespace

base::Result<std::shared_ptr<const GroupSpec>> parse_group(
    std::string_view file, const GroupPlace& place, const RowGroupInfo& info,
    std::size_t streams_count, std::string place_name, std::uint32_t index) {
  auto group = std::make_shared<GroupSpec>(
      PageSource(file.substr(place.offset, place.pages_bytes), std::move(place_name)),
      info.line_bytes);
  const PageSource& source = group->shared.source;
  const std::string_view stored = file.substr(place.offset + place.pages_bytes, place.meta_stored);
  if (base::crc32c(stored) != place.meta_crc) return source.damaged("checksum of the metadata");
  SKALD_TRY(unpack(stored, place.meta_bytes, source, group->meta));
  group->rank_base = index << kRankBits;
  SKALD_TRY(parse_blocks(*group, info, streams_count));
  return std::shared_ptr<const GroupSpec>(std::move(group));
}

bool may_match(const BlockSpec& block, const LineFilter& filter, const GroupShared& shared) {
  if (filter.negated) return true;
  const auto may = [&](std::uint32_t value, const TextTest& test) {
    return may_pass(block.columns[value], test, shared);
  };
  return std::all_of(filter.clauses.begin(), filter.clauses.end(), [&](const auto& clause) {
    return std::any_of(clause.begin(), clause.end(), [&](const std::string& needle) {
      const SpanMatch match =
          find_spans(std::span<const std::string_view>(block.literals),
                     TextTest{TextTest::Op::kContains, filter.fold_case, needle}, may);
      return match.always || match.overflow || !match.ways.empty();
    });
  });
}

BlockNumbers GroupSpec::blocks_that_may_match(std::span<const LineFilter> filters) const {
  BlockNumbers out;
  for (std::uint32_t i = 0; i < blocks.size(); ++i)
    if (std::all_of(filters.begin(), filters.end(), [&](const LineFilter& filter) {
          return part::may_match(blocks[i], filter, shared);
        }))
      out.push_back(i);
  return out;
}

}  // namespace skald::store::part
