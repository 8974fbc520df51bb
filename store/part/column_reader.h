#pragma once
// Reads and filters the values of one column. A reader decodes its pages when first asked and keeps
// them; it belongs to one Block. Strings are as on disk: JSON escapes are not undone.

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "proto/model/entry.h"
#include "store/part/column_spec.h"
#include "store/scan.h"

namespace skald::store::part {

class ColumnReader;

// What a reader may ask of the block it belongs to.
class ColumnOwner {
 public:
  virtual ~ColumnOwner() = default;
  virtual base::Result<std::span<const model::TimestampNs>> row_times() = 0;
  // For a derived column: per row the number of its UUID, by first appearance; below `distinct`.
  virtual base::Result<std::span<const std::uint32_t>> determinant_ids(std::uint32_t column,
                                                                       std::uint32_t distinct) = 0;
};

struct ReaderContext {
  const GroupShared* shared = nullptr;
  ColumnOwner* owner = nullptr;
  Decoding* decoding = nullptr;
};

using ValueCheck = std::function<bool(std::string_view)>;

class ColumnReader {
 public:
  ColumnReader(const ColumnSpec& spec, const ReaderContext& context)
      : spec_(spec), context_(context) {}
  virtual ~ColumnReader() = default;

  const ColumnSpec& spec() const noexcept { return spec_; }

  // Adds to `hits` the rows of `among` whose value passes.
  base::Status filter(const TextTest& test, const Selection& among, Selection& hits);
  virtual base::Status filter_if(const ValueCheck& check, const Selection& among, Selection& hits);
  // Values of the selected rows. Views live as long as the reader and `out`.
  virtual base::Status read(const Selection& selection, TextColumn& out) = 0;
  virtual base::Status add_sizes(std::span<std::uint32_t> sizes);

  // kDecimal without exceptions, and constants and dictionaries of numbers.
  virtual base::Status filter_interval(const ValuePredicate::Interval& interval,
                                       const Selection& among, Selection& hits);
  virtual base::Status read_numbers(const Selection& selection, std::vector<double>& out);
  // kUuid: ids into the group's table.
  virtual base::Result<std::span<const std::uint32_t>> uuid_ids();

 protected:
  virtual base::Status filter_text(const TextTest& test, const Selection& among, Selection& hits);
  const PageSource& source() const noexcept { return context_.shared->source; }
  base::Status damaged(std::string_view what) const { return source().damaged(what); }

  const ColumnSpec& spec_;
  ReaderContext context_;
};

// The strings of a dictionary or of words, with the page they lie in.
class StoredEntries {
 public:
  base::Status load(const EntriesSpec& spec, const ReaderContext& context);  // once
  std::span<const std::string_view> entries() const noexcept { return entries_; }

 private:
  PageBytes page_;
  std::vector<std::string_view> own_;
  std::span<const std::string_view> entries_;
};

std::unique_ptr<ColumnReader> make_column_reader(const ColumnSpec& spec,
                                                 const ReaderContext& context);
// Of one file each; make_column_reader() picks.
std::unique_ptr<ColumnReader> make_formatted_reader(const ColumnSpec& spec,
                                                    const ReaderContext& context);
std::unique_ptr<ColumnReader> make_template_reader(const ColumnSpec& spec,
                                                   const ReaderContext& context);
std::unique_ptr<ColumnReader> make_words_reader(const ColumnSpec& spec,
                                                const ReaderContext& context);

// Metadata columns: the names are the literals of the row's template.
base::Status read_template_label_sets(ColumnReader& column, std::size_t sets_max,
                                      MetadataSets& out);
base::Status read_template_labels(ColumnReader& column, const Selection& selection,
                                  std::vector<model::Labels>& out);

// Joins pieces and values of `count` rows; appends to `out`. kCorrupt beyond `bytes_max`,
// kResourceExhausted from `decoding`.
base::Status join_pieces(std::span<const std::string_view> literals,
                         std::span<const TextColumn> values, std::size_t count,
                         std::uint64_t bytes_max, const PageSource& source, Decoding& decoding,
                         TextColumn& out);

// Any of the ways of a SpanMatch, by the readers of the values.
struct SpanMatch;
using ReaderAt = std::function<ColumnReader&(std::uint32_t value)>;
base::Status filter_ways(const SpanMatch& match, const ReaderAt& reader_at, const Selection& among,
                         Selection& hits);

// hits |= {row in among : table[ids[row]]}.
void select_ids(std::span<const std::uint32_t> ids, std::span<const std::uint8_t> table,
                const Selection& among, Selection& hits);
void unite(const Selection& from, Selection& hits);

bool parse_number(std::string_view token, double& out) noexcept;  // a JSON number

}  // namespace skald::store::part
