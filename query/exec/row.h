#pragma once
// One log row on its way through a pipeline: the line, and the labels in Loki's three categories.
// Semantics follow Loki's LabelsBuilder, down to which category hides which.
//
// Everything here is views: into the stored line, the stream's labels, or the row's arena. They
// live until the next start(). A Row belongs to one worker and is reused.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/model/labels.h"
#include "query/exec/arena.h"
#include "query/exec/name_index.h"
#include "query/exec/row_pace.h"

namespace skald::query {

class Hints;
class QueryContext;

inline constexpr std::string_view kErrorLabel = "__error__";
inline constexpr std::string_view kErrorDetailsLabel = "__error_details__";
inline constexpr std::string_view kPreserveErrorLabel = "__preserve_error__";
inline constexpr std::string_view kDuplicateSuffix = "_extracted";

// Values of __error__.
inline constexpr std::string_view kJsonError = "JSONParserErr";
inline constexpr std::string_view kLogfmtError = "LogfmtParserErr";
inline constexpr std::string_view kSampleError = "SampleExtractionErr";
inline constexpr std::string_view kFilterError = "LabelFilterErr";
inline constexpr std::string_view kTemplateError = "TemplateFormatErr";

enum class Category : std::uint8_t { kStream, kMetadata, kParsed };

struct LabelView {
  std::string_view name, value;
};

class Row {
 public:
  // `query`: whose memory and time it takes, and outlives it; null: nobody's.
  explicit Row(const Hints& hints, QueryContext* query = nullptr);
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;

  // Begins a row. `stream` and `metadata` (may be null) outlive it.
  void start(std::int64_t timestamp_ns, std::string_view line, const model::Labels& stream,
             const model::Labels* metadata);

  std::int64_t timestamp_ns = 0;
  std::string_view line;
  Arena arena;

  const Hints& hints() const noexcept { return *hints_; }
  QueryContext* query() const noexcept { return query_; }
  RowPace* pace() noexcept { return pace_ ? &*pace_ : nullptr; }  // null: nobody's query
  // The query cannot go on with this row: its memory or its time is up, which it then says itself.
  void stop() noexcept { stopped_ = true; }
  bool stopped() const noexcept { return stopped_ || arena.refused(); }

  // ---- labels ----
  struct Found {
    std::string_view value;
    bool ok = false;
  };
  Found get(std::string_view name) const;
  bool base_has(std::string_view name) const { return base_->has(name); }
  bool in_category(std::string_view name, Category category) const;
  void set(Category category, std::string_view name, std::string_view value);
  void erase(std::string_view name);
  void erase_all(std::vector<std::string_view> names);

  bool has_error() const noexcept { return !error_.empty(); }
  std::string_view error() const noexcept { return error_; }
  std::string_view error_details() const noexcept { return details_; }
  void set_error(std::string_view error) { error_ = error; }
  void set_error_details(std::string_view details) { details_ = arena.copy(details); }
  void reset_error() { error_ = {}; }
  void reset_error_details() { details_ = {}; }
  // The error of a parser: remembered apart when the query asks for errors.
  void add_parser_error(std::string_view error, std::string_view details);

  // By a stream label or metadata: a parsed name then gets "_extracted".
  bool is_taken(std::string_view name) const {
    return base_has(name) || in_category(name, Category::kMetadata);
  }
  std::string_view parsed_name(std::string_view name) {
    if (!is_taken(name)) return name;
    return arena.concat(name, kDuplicateSuffix);
  }

  // ---- what parsers may skip ----
  bool extracted(std::string_view name) const;
  bool all_required_extracted() const;
  bool no_labels() const;
  bool should_continue(std::string_view name);

  // ---- results ----
  // False: the labels are those of the stream, untouched.
  bool changed() const noexcept {
    return !deleted_.empty() || !added_[0].empty() || !added_[1].empty() || !added_[2].empty();
  }
  // The final labels of one category, unsorted. Errors are parsed labels. `out` is cleared.
  void collect(Category category, std::vector<LabelView>& out) const;
  // All of them.
  void collect_all(std::vector<LabelView>& out) const;
  const model::Labels& base() const noexcept { return *base_; }
  const std::vector<LabelView>& added(Category category) const {
    return added_[static_cast<std::size_t>(category)];
  }
  bool is_deleted(std::string_view name) const;

  // Scratch of the stages, so that they can be immutable and shared by workers.
  std::vector<std::string_view> views;
  std::string text;

 private:
  std::vector<LabelView>& list(Category category) {
    return added_[static_cast<std::size_t>(category)];
  }
  void erase_from(Category category, std::string_view name);
  void set_parsed(std::string_view name, std::string_view value);
  void append_errors(std::vector<LabelView>& parsed) const;
  // Of a label beside the row's error of the same name one stays.
  void drop_doubled_errors(std::vector<LabelView>& parsed) const;

  // Appends, and counts what the vector grows by.
  template <typename T>
  void append(std::vector<T>& list, T item);

  const Hints* hints_;
  QueryContext* const query_;
  std::optional<RowPace> pace_;
  bool stopped_ = false;
  const model::Labels* base_ = nullptr;
  std::array<std::vector<LabelView>, 3> added_;
  std::vector<std::string_view> deleted_;
  NameIndex extracted_;  // parsed names that were ever set in this row
  // By their numbers, where in added_ they were put. What was erased may have moved them.
  std::vector<std::uint32_t> parsed_at_;
  std::uint64_t index_bytes_ = 0;  // of both, as counted
  std::string_view error_, details_;
};

}  // namespace skald::query
