#include "query/exec/metered_block.h"

#include <utility>

#include "query/exec/held_bytes.h"
#include "query/exec/limits.h"

namespace skald::query {
namespace {

std::uint64_t bytes_of(const std::vector<model::Labels>& sets) {
  std::uint64_t bytes = sets.size() * sizeof(model::Labels);
  for (const model::Labels& set : sets) bytes += held_bytes(set);
  return bytes;
}

}  // namespace

std::uint64_t bytes_of(const store::TextColumn& column) {
  std::uint64_t bytes =
      column.entries.size() * sizeof(std::string_view) + column.ids.size() * sizeof(std::uint32_t);
  for (const std::string_view entry : column.entries) bytes += entry.size();
  return bytes;
}

template <typename Outcome>
Outcome MeteredBlock::told(Outcome outcome) const {
  if (!outcome.ok()) SKALD_TRY(context_.check_memory());
  return outcome;
}

base::Status MeteredBlock::keep(std::uint64_t bytes) {
  context_.charge(bytes);
  kept_ += bytes;
  return context_.check_memory();
}

template <typename T>
base::Result<std::span<const T>> MeteredBlock::keep_once(base::Result<std::span<const T>> column,
                                                         bool& kept) {
  if (!column.ok() || kept) return column;
  kept = true;
  SKALD_TRY(keep(column->size_bytes()));
  return column;
}

base::Result<store::Selection> MeteredBlock::select() {
  auto selection = told(block_.select());
  if (selection.ok()) SKALD_TRY(keep(0));
  return selection;
}

base::Result<std::span<const model::TimestampNs>> MeteredBlock::timestamps() {
  return keep_once(told(block_.timestamps()), times_kept_);
}
base::Result<std::span<const std::uint32_t>> MeteredBlock::streams() {
  return keep_once(told(block_.streams()), streams_kept_);
}
base::Result<std::span<const std::uint32_t>> MeteredBlock::ranks() {
  return keep_once(told(block_.ranks()), ranks_kept_);
}
base::Result<std::span<const std::uint32_t>> MeteredBlock::line_sizes() {
  return keep_once(told(block_.line_sizes()), sizes_kept_);
}

base::Status MeteredBlock::filter_lines(const store::LineFilter& filter,
                                        store::Selection& selection) {
  SKALD_TRY(told(block_.filter_lines(filter, selection)));
  return keep(0);
}

base::Status MeteredBlock::read_lines(const store::Selection& selection, store::TextColumn& out) {
  context_.release(std::exchange(lines_, 0));
  SKALD_TRY(told(block_.read_lines(selection, out)));
  lines_ = bytes_of(out);
  context_.charge(lines_);
  return keep(0);
}

base::Status MeteredBlock::filter_field(std::size_t field, const store::ValuePredicate& predicate,
                                        store::Selection& selection) {
  SKALD_TRY(told(block_.filter_field(field, predicate, selection)));
  return keep(0);
}

base::Status MeteredBlock::read_text(std::size_t field, const store::Selection& selection,
                                     store::TextColumn& out) {
  SKALD_TRY(told(block_.read_text(field, selection, out)));
  return keep(bytes_of(out));
}

base::Status MeteredBlock::read_written(std::size_t field, const store::Selection& selection,
                                        store::TextColumn& out) {
  context_.release(std::exchange(written_, 0));
  SKALD_TRY(told(block_.read_written(field, selection, out)));
  written_ = bytes_of(out);
  context_.charge(written_);
  return keep(0);
}

base::Status MeteredBlock::read_numbers(std::size_t field, const store::Selection& selection,
                                        std::vector<double>& out) {
  SKALD_TRY(told(block_.read_numbers(field, selection, out)));
  return keep(out.size() * sizeof(double));
}

base::Status MeteredBlock::read_metadata(const store::Selection& selection,
                                         std::vector<model::Labels>& out) {
  context_.release(std::exchange(metadata_, 0));
  SKALD_TRY(told(block_.read_metadata(selection, out)));
  metadata_ = bytes_of(out);
  context_.charge(metadata_);
  return keep(0);
}

base::Status MeteredBlock::read_metadata_sets(std::size_t sets_max, store::MetadataSets& out) {
  SKALD_TRY(told(block_.read_metadata_sets(sets_max, out)));
  return keep(bytes_of(out.sets) + out.ids.size() * sizeof(std::uint32_t));
}

base::Status RowMetadata::read(const store::Selection& batch) {
  if (form_ == Form::kUnknown) {
    const base::Status status = block_.read_metadata_sets(kMetadataSetsMax, shared_);
    form_ = Form::kShared;
    if (status.code() == base::Code::kResourceExhausted)
      form_ = Form::kOwn;  // or no memory, which the next read finds, too
    else
      SKALD_TRY(status);
  }
  if (form_ == Form::kOwn) return block_.read_metadata(batch, own_);
  return {};
}

const model::Labels* RowMetadata::of(std::uint32_t row, std::size_t index) const {
  switch (form_) {
    case Form::kShared: return &shared_.sets[shared_.ids.empty() ? 0 : shared_.ids[row]];
    case Form::kOwn: return &own_[index];
    case Form::kUnknown:
    case Form::kNone: break;
  }
  return nullptr;
}

}  // namespace skald::query
