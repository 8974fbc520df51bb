#include "store/part/column_block.h"

#include <algorithm>

#include "proto/base/check.h"
#include "store/part/column_reader.h"
#include "store/part/limits.h"
#include "store/part/shredder.h"
#include "store/part/span_match.h"

namespace skald::store::part {
namespace {

class ColumnBlock final : public Block, private ColumnOwner {
 public:
  ColumnBlock(std::shared_ptr<const void> owner, std::shared_ptr<const GroupSpec> group,
              std::size_t block, std::shared_ptr<const BlockContext> context)
      : owner_(std::move(owner)),
        group_(std::move(group)),
        spec_(group_->blocks[block]),
        context_(std::move(context)),
        decoding_(context_->stats, context_->memory),
        readers_(spec_.columns.size()) {
    reader_context_ = {&group_->shared, this, &decoding_};
  }

  std::uint32_t rows() const noexcept override { return spec_.rows; }
  model::TimestampNs min_time_ns() const noexcept override { return spec_.min_time_ns; }
  model::TimestampNs max_time_ns() const noexcept override { return spec_.max_time_ns; }
  std::uint64_t sequence() const noexcept override { return context_->sequence; }
  const Shape& shape() const noexcept override { return spec_.shape; }

  base::Result<Selection> select() override;
  std::optional<std::vector<StreamCount>> whole_counts() override;
  std::optional<std::vector<StreamRun>> whole_runs() override;
  base::Result<std::span<const model::TimestampNs>> timestamps() override { return row_times(); }
  base::Result<std::span<const std::uint32_t>> streams() override;
  base::Result<std::span<const std::uint32_t>> ranks() override;
  base::Result<std::span<const std::uint32_t>> line_sizes() override;
  base::Status filter_lines(const LineFilter& filter, Selection& selection) override;
  base::Status read_lines(const Selection& selection, TextColumn& out) override;
  FieldStats field_stats(std::size_t field) const override { return spec_.stats[field]; }
  base::Status filter_field(std::size_t field, const ValuePredicate& predicate,
                            Selection& selection) override;
  base::Status read_text(std::size_t field, const Selection& selection, TextColumn& out) override;
  base::Status read_written(std::size_t field, const Selection& selection,
                            TextColumn& out) override;
  std::span<const std::string_view> line_literals() const noexcept override {
    if (spec_.shape.kind != Shape::Kind::kJson) return {};
    return spec_.literals;
  }
  std::array<std::uint64_t, 4> field_bytes(std::size_t field) const noexcept override {
    ByteSet bytes = spec_.columns[field].bytes;
    bytes.add(static_cast<unsigned char>(' '));  // of columns of words they are the words' alone
    return bytes.words();
  }
  base::Status read_numbers(std::size_t field, const Selection& selection,
                            std::vector<double>& out) override;
  bool has_metadata() const noexcept override { return spec_.has_metadata; }
  base::Status read_metadata(const Selection& selection, std::vector<model::Labels>& out) override;
  base::Status read_metadata_sets(std::size_t sets_max, MetadataSets& out) override;
  bool may_have_metadata(std::string_view name) const override;

 private:
  base::Result<std::span<const model::TimestampNs>> row_times() override;
  base::Result<std::span<const std::uint32_t>> determinant_ids(std::uint32_t column,
                                                               std::uint32_t distinct) override;
  const PageSource& source() const { return group_->shared.source; }
  ColumnReader& reader(std::size_t column) {
    if (readers_[column] == nullptr)
      readers_[column] = make_column_reader(spec_.columns[column], reader_context_);
    return *readers_[column];
  }
  std::uint32_t scan_stream(std::uint32_t local) const {
    return local < context_->streams.size() ? context_->streams[local] : kNotSelected;
  }
  bool all_times_wanted() const {
    return context_->range.contains(spec_.min_time_ns) &&
           context_->range.contains(spec_.max_time_ns);
  }
  // Local stream per row.
  base::Status load_local_streams();
  base::Status keep_streams(Selection& selection);
  base::Status keep_range(const model::TimeRange& range, Selection& selection);
  base::Status drop_deleted(const Tombstone& tombstone, Selection& selection);
  base::Status find_needle(const std::string& needle, bool fold, const Selection& among,
                           Selection& hits);
  base::Status match_lines(const LineMatcher& matcher, Selection& rows);

  std::shared_ptr<const void> owner_;
  std::shared_ptr<const GroupSpec> group_;
  const BlockSpec& spec_;
  std::shared_ptr<const BlockContext> context_;
  Decoding decoding_;
  ReaderContext reader_context_;
  std::vector<std::unique_ptr<ColumnReader>> readers_;
  std::vector<std::uint64_t> times_;  // two's complement of the times
  std::vector<std::uint32_t> local_streams_, streams_, ranks_, sizes_, determinant_ids_;
  std::uint32_t determinant_distinct_ = 0, determinant_column_ = kNotSelected;
};

base::Result<std::span<const model::TimestampNs>> ColumnBlock::row_times() {
  const auto first = static_cast<std::uint64_t>(spec_.min_time_ns);
  if (times_.empty()) {
    const std::uint64_t span = static_cast<std::uint64_t>(spec_.max_time_ns) - first;
    SKALD_TRY(spec_.times.decode(source(), &decoding_, times_, span));
    for (std::uint64_t& time : times_) time += first;
  }
  // The same bits: signed and unsigned integers may alias.
  return std::span(reinterpret_cast<const model::TimestampNs*>(times_.data()), times_.size());
}

base::Status ColumnBlock::load_local_streams() {
  if (!local_streams_.empty()) return {};
  std::vector<std::uint32_t> locals;
  if (spec_.order == StreamOrder::kRuns) {
    locals.reserve(spec_.rows);
    for (const StreamTotals& stream : spec_.streams)
      locals.insert(locals.end(), stream.entries, stream.stream);
  } else {
    SKALD_TRY(spec_.stream_ids.decode(source(), &decoding_, locals, spec_.streams.size() - 1));
    for (std::uint32_t& id : locals) id = spec_.streams[id].stream;
  }
  local_streams_ = std::move(locals);
  return {};
}

base::Result<std::span<const std::uint32_t>> ColumnBlock::streams() {
  if (streams_.empty()) {
    SKALD_TRY(load_local_streams());
    streams_.reserve(local_streams_.size());
    for (const std::uint32_t local : local_streams_) streams_.push_back(scan_stream(local));
  }
  return std::span<const std::uint32_t>(streams_);
}

base::Result<std::span<const std::uint32_t>> ColumnBlock::ranks() {
  if (!spec_.has_ranks && group_->rank_base == 0) return std::span<const std::uint32_t>();
  if (ranks_.empty()) {
    if (spec_.has_ranks)
      SKALD_TRY(spec_.ranks.decode(source(), &decoding_, ranks_, kRowGroupRowsMax - 1));
    else
      ranks_.assign(spec_.rows, 0);
    for (std::uint32_t& rank : ranks_) rank += group_->rank_base;
  }
  return std::span<const std::uint32_t>(ranks_);
}

base::Result<std::span<const std::uint32_t>> ColumnBlock::line_sizes() {
  if (sizes_.empty()) {
    std::uint32_t fixed = 0;
    for (const std::string_view literal : spec_.literals)
      fixed += static_cast<std::uint32_t>(literal.size());
    std::vector<std::uint32_t> sizes(spec_.rows, fixed);
    for (std::size_t i = 0; i < readers_.size(); ++i) SKALD_TRY(reader(i).add_sizes(sizes));
    sizes_ = std::move(sizes);
  }
  return std::span<const std::uint32_t>(sizes_);
}

base::Status ColumnBlock::keep_streams(Selection& selection) {
  const auto wanted = [&](const StreamTotals& stream) {
    return scan_stream(stream.stream) != kNotSelected;
  };
  if (std::all_of(spec_.streams.begin(), spec_.streams.end(), wanted)) return {};
  if (spec_.order == StreamOrder::kRuns) {
    std::uint32_t row = 0;
    for (const StreamTotals& stream : spec_.streams) {
      const auto end = row + static_cast<std::uint32_t>(stream.entries);
      if (wanted(stream)) row = end;
      for (; row < end; ++row) selection.reset(row);
    }
    return {};
  }
  SKALD_TRY_ASSIGN(const auto ids, streams());
  for (std::uint32_t row = 0; row < ids.size(); ++row)
    if (ids[row] == kNotSelected) selection.reset(row);
  return {};
}

base::Status ColumnBlock::keep_range(const model::TimeRange& range, Selection& selection) {
  if (range.contains(spec_.min_time_ns) && range.contains(spec_.max_time_ns)) return {};
  SKALD_TRY_ASSIGN(const auto times, row_times());
  for (std::uint32_t row = 0; row < times.size(); ++row)
    if (!range.contains(times[row])) selection.reset(row);
  return {};
}

base::Status ColumnBlock::drop_deleted(const Tombstone& tombstone, Selection& selection) {
  if (!tombstone.range.overlaps(spec_.min_time_ns, spec_.max_time_ns)) return {};
  const auto names = [&](std::uint32_t local) {
    return local < tombstone.streams.size() && tombstone.streams[local];
  };
  if (std::none_of(spec_.streams.begin(), spec_.streams.end(),
                   [&](const StreamTotals& stream) { return names(stream.stream); }))
    return {};
  SKALD_TRY(load_local_streams());
  Selection gone = selection;
  for (std::uint32_t row = 0; row < spec_.rows; ++row)
    if (!names(local_streams_[row])) gone.reset(row);
  SKALD_TRY(keep_range(tombstone.range, gone));
  for (const LineFilter& filter : tombstone.filters) {
    if (gone.none()) return {};
    SKALD_TRY(filter_lines(filter, gone));
  }
  selection.subtract(gone);
  return {};
}

base::Result<Selection> ColumnBlock::select() {
  Selection selection(spec_.rows, true);
  SKALD_TRY(keep_streams(selection));
  SKALD_TRY(keep_range(context_->range, selection));
  for (const auto& tombstone : context_->tombstones) SKALD_TRY(drop_deleted(*tombstone, selection));
  return selection;
}

std::optional<std::vector<StreamCount>> ColumnBlock::whole_counts() {
  if (!all_times_wanted() || !context_->tombstones.empty()) return std::nullopt;
  std::vector<StreamCount> counts;
  for (const StreamTotals& stream : spec_.streams) {
    const std::uint32_t index = scan_stream(stream.stream);
    if (index == kNotSelected) return std::nullopt;
    counts.push_back({index, stream.entries, stream.line_bytes});
  }
  return counts;
}

std::optional<std::vector<StreamRun>> ColumnBlock::whole_runs() {
  if (spec_.order != StreamOrder::kRuns) return std::nullopt;
  const auto counts = whole_counts();
  if (!counts) return std::nullopt;
  std::vector<StreamRun> runs;
  std::uint32_t row = 0;
  for (const StreamCount& count : *counts) {
    const auto end = row + static_cast<std::uint32_t>(count.entries);
    runs.push_back({count.stream, row, end});
    row = end;
  }
  return runs;
}

base::Status ColumnBlock::find_needle(const std::string& needle, bool fold, const Selection& among,
                                      Selection& hits) {
  if (needle.empty()) return unite(among, hits), base::Status();
  const TextTest test{TextTest::Op::kContains, fold, needle};
  const SpanMatch match = find_spans(std::span<const std::string_view>(spec_.literals), test,
                                     [&](std::uint32_t value, const TextTest& part) {
                                       return may_pass(spec_.columns[value], part, group_->shared);
                                     });
  if (!match.overflow)
    return filter_ways(
        match, [&](std::uint32_t value) -> ColumnReader& { return reader(value); }, among, hits);
  TextColumn lines;
  SKALD_TRY(read_lines(among, lines));
  std::size_t at = 0;
  among.for_each([&](std::uint32_t row) {
    if (test.matches(lines.at(at++))) hits.set(row);
  });
  return {};
}

// Keeps the rows whose line the matcher takes, a batch of lines at a time.
base::Status ColumnBlock::match_lines(const LineMatcher& matcher, Selection& rows) {
  constexpr std::uint32_t kBatchRows = 4096;
  for (std::uint32_t start = 0; start < spec_.rows; start += kBatchRows) {
    Selection batch(spec_.rows);
    const std::size_t last_word =
        std::min<std::size_t>((start + kBatchRows) / 64, rows.words().size());
    bool any = false;
    for (std::size_t w = start / 64; w < last_word; ++w) {
      batch.words()[w] = rows.words()[w];
      any |= rows.words()[w] != 0;
    }
    if (!any) continue;
    TextColumn lines;
    SKALD_TRY(read_lines(batch, lines));
    std::size_t at = 0;
    batch.for_each([&](std::uint32_t row) {
      if (!matcher.matches(lines.at(at++))) rows.reset(row);
    });
  }
  return {};
}

base::Status ColumnBlock::filter_lines(const LineFilter& filter, Selection& selection) {
  Selection matched = selection;
  for (const auto& clause : filter.clauses) {
    Selection hits(spec_.rows);
    for (const std::string& needle : clause)
      SKALD_TRY(find_needle(needle, filter.fold_case, matched, hits));
    matched = std::move(hits);
    if (matched.none()) break;
  }
  if (filter.matcher != nullptr && !matched.none())
    SKALD_TRY(match_lines(*filter.matcher, matched));
  if (filter.negated)
    selection.subtract(matched);
  else
    selection = std::move(matched);
  return {};
}

base::Status ColumnBlock::read_lines(const Selection& selection, TextColumn& out) {
  out = TextColumn{};
  if (spec_.shape.kind == Shape::Kind::kText) return reader(0).read(selection, out);
  std::vector<TextColumn> values(readers_.size());
  for (std::size_t i = 0; i < values.size(); ++i) SKALD_TRY(reader(i).read(selection, values[i]));
  return join_pieces(spec_.literals, values, selection.count(), 2 * kRowGroupBytesMax, source(),
                     decoding_, out);
}

base::Status ColumnBlock::filter_field(std::size_t field, const ValuePredicate& predicate,
                                       Selection& selection) {
  CHECK_LT(field, spec_.columns.size());
  Selection hits(spec_.rows);
  const bool token = spec_.shape.fields[field].syntax == Field::Syntax::kToken;
  const auto interval = predicate.interval();
  const auto equals = predicate.equals();
  if (token && interval && spec_.stats[field].all_numbers) {
    SKALD_TRY(reader(field).filter_interval(*interval, selection, hits));
  } else if (equals && (token || equals->find_first_of("\\\"") == std::string_view::npos) &&
             !may_pass(spec_.columns[field], {TextTest::Op::kContains, false, "\\"},
                       group_->shared)) {
    SKALD_TRY(reader(field).filter({TextTest::Op::kEquals, false, *equals}, selection, hits));
  } else {
    std::string unescaped;
    SKALD_TRY(reader(field).filter_if(
        [&](std::string_view raw) {
          if (token || raw.find('\\') == std::string_view::npos) return predicate.test(raw);
          unescape_json(raw, unescaped);
          return predicate.test(unescaped);
        },
        selection, hits));
  }
  selection = std::move(hits);
  return {};
}

base::Status ColumnBlock::read_written(std::size_t field, const Selection& selection,
                                       TextColumn& out) {
  CHECK_LT(field, spec_.columns.size());
  out = TextColumn{};
  return reader(field).read(selection, out);
}

base::Status ColumnBlock::read_text(std::size_t field, const Selection& selection,
                                    TextColumn& out) {
  SKALD_TRY(read_written(field, selection, out));
  if (spec_.shape.fields[field].syntax == Field::Syntax::kToken) return {};
  std::string unescaped;
  for (std::string_view& entry : out.entries) {
    if (entry.find('\\') == std::string_view::npos) continue;
    unescape_json(entry, unescaped);
    auto bytes = std::make_unique_for_overwrite<char[]>(unescaped.size() + 1);
    std::copy(unescaped.begin(), unescaped.end(), bytes.get());
    entry = std::string_view(bytes.get(), unescaped.size());
    out.storage.push_back(std::move(bytes));
  }
  return {};
}

base::Status ColumnBlock::read_numbers(std::size_t field, const Selection& selection,
                                       std::vector<double>& out) {
  CHECK_LT(field, spec_.columns.size());
  CHECK(spec_.stats[field].all_numbers);
  return reader(field).read_numbers(selection, out);
}

base::Status ColumnBlock::read_metadata(const Selection& selection,
                                        std::vector<model::Labels>& out) {
  if (!spec_.has_metadata) {
    out.assign(selection.count(), model::Labels());
    return {};
  }
  const std::unique_ptr<ColumnReader> column = make_column_reader(spec_.metadata, reader_context_);
  return read_template_labels(*column, selection, out);
}

bool ColumnBlock::may_have_metadata(std::string_view name) const {
  if (!spec_.has_metadata) return false;
  return std::any_of(spec_.metadata.templates.begin(), spec_.metadata.templates.end(),
                     [&](const TemplateSpec& one) {
                       if (one.rows == 0) return false;
                       // The last literal closes the list and is no name.
                       const auto end = one.literals.end() - 1;
                       return one.literals[0] == kPackedMetadata ||
                              std::find(one.literals.begin(), end, name) != end;
                     });
}

base::Status ColumnBlock::read_metadata_sets(std::size_t sets_max, MetadataSets& out) {
  if (!spec_.has_metadata) return Block::read_metadata_sets(sets_max, out);
  const std::unique_ptr<ColumnReader> column = make_column_reader(spec_.metadata, reader_context_);
  return read_template_label_sets(*column, sets_max, out);
}

base::Result<std::span<const std::uint32_t>> ColumnBlock::determinant_ids(std::uint32_t column,
                                                                          std::uint32_t distinct) {
  if (determinant_column_ != column) {
    SKALD_TRY_ASSIGN(const auto ids, reader(column).uuid_ids());
    std::vector<std::uint32_t> number(group_->shared.uuids_count, 0);
    std::uint32_t seen = 0;
    determinant_ids_.resize(ids.size());
    for (std::size_t row = 0; row < ids.size(); ++row) {
      std::uint32_t& known = number[ids[row]];
      if (known == 0) known = ++seen;
      determinant_ids_[row] = known - 1;
    }
    determinant_distinct_ = seen;
    determinant_column_ = column;
  }
  if (determinant_distinct_ != distinct) return source().damaged("rows of a derived column");
  return std::span<const std::uint32_t>(determinant_ids_);
}

}  // namespace

std::unique_ptr<Block> make_column_block(std::shared_ptr<const void> owner,
                                         std::shared_ptr<const GroupSpec> group, std::size_t block,
                                         std::shared_ptr<const BlockContext> context) {
  auto out =
      std::make_unique<ColumnBlock>(std::move(owner), std::move(group), block, std::move(context));
  out->set_id({.block = static_cast<std::uint32_t>(block)});
  return out;
}

}  // namespace skald::store::part
