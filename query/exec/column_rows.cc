#include "query/exec/column_rows.h"

#include <algorithm>

#include "proto/gotext/functions.h"
#include "proto/gotext/template.h"
#include "query/exec/limits.h"
#include "query/exec/row.h"
#include "query/plan/field_names.h"
#include "query/plan/leaf_predicate.h"
#include "query/plan/pair_numbers.h"

namespace skald::query {
namespace {

// Stands for the stored line, which nobody reads.
constexpr std::string_view kStoredLine = "a stored line";

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Whether what the template makes depends on the labels alone.
bool reads_labels_only(const std::string& text) {
  const auto parsed =
      gotext::Template::parse("", text, gotext::logql_functions(), gotext::MissingKey::kZero);
  return parsed.ok() && !parsed->calls("__line__") && !parsed->calls("__timestamp__") &&
         !parsed->calls("now");
}

bool is_parser(const logql::Stage& stage) {
  return std::holds_alternative<logql::JsonParser>(stage) ||
         std::holds_alternative<logql::RegexpParser>(stage) ||
         std::holds_alternative<logql::PatternParser>(stage);
}

// What a stage is to columns. `stored_line`: the line is still the one that was stored.
enum class Kind { kLabels, kTemplates, kMakesLine, kNotForColumns };

Kind kind_of(const logql::Stage& stage, bool stored_line) {
  if (std::holds_alternative<logql::LabelFilterStage>(stage) ||
      std::holds_alternative<logql::DropLabels>(stage) ||
      std::holds_alternative<logql::KeepLabels>(stage))
    return Kind::kLabels;
  if (const auto* format = std::get_if<logql::LineFormat>(&stage))
    return reads_labels_only(format->text) ? Kind::kMakesLine : Kind::kNotForColumns;
  if (const auto* format = std::get_if<logql::LabelFormat>(&stage)) {
    const bool pure = std::all_of(format->items.begin(), format->items.end(), [](const auto& item) {
      return item.rename || reads_labels_only(item.value);
    });
    return pure ? Kind::kTemplates : Kind::kNotForColumns;
  }
  return stored_line ? Kind::kNotForColumns : Kind::kLabels;
}

// Whether the template may look at the labels as a whole, not only at those it names: behind a dot
// that is alone, or by a variable. Says so of some that do not.
bool sees_all_labels(std::string_view text) {
  for (std::size_t at = text.find("{{"); at != std::string_view::npos; at = text.find("{{", at)) {
    const std::size_t end = std::min(text.find("}}", at), text.size());
    for (; at < end; ++at) {
      const char next = at + 1 < end ? text[at + 1] : ' ';
      const bool name = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || next == '_';
      if (text[at] == '$' || (text[at] == '.' && !name)) return true;
    }
  }
  return false;
}

bool sees_all_labels(const logql::Stage& stage) {
  if (const auto* format = std::get_if<logql::LineFormat>(&stage))
    return sees_all_labels(format->text);
  const auto* format = std::get_if<logql::LabelFormat>(&stage);
  return format != nullptr &&
         std::any_of(format->items.begin(), format->items.end(),
                     [](const auto& item) { return !item.rename && sees_all_labels(item.value); });
}

// A `| keep` of names behind the parser, when nothing looks at other labels before it and no other
// parser behind it, to which it matters what the first one has seen. Null: none.
const logql::KeepLabels* keep_of(const logql::Pipeline& left) {
  const logql::KeepLabels* found = nullptr;
  bool parsed = false;
  for (const logql::Stage& stage : left) {
    if (std::holds_alternative<logql::LineFormat>(stage)) return nullptr;
    if (std::holds_alternative<logql::LabelFormat>(stage) && found == nullptr) return nullptr;
    parsed = parsed || is_parser(stage);
    const auto* keep = std::get_if<logql::KeepLabels>(&stage);
    if (parsed && found == nullptr && keep != nullptr &&
        std::all_of(keep->labels.begin(), keep->labels.end(),
                    [](const auto& item) { return item.matcher == nullptr; }))
      found = keep;
  }
  return found;
}

}  // namespace

ColumnRows::~ColumnRows() = default;

base::Result<std::unique_ptr<ColumnRows>> ColumnRows::create(const logql::Pipeline& left,
                                                             const Hints& hints,
                                                             const std::vector<std::string>& read) {
  std::unique_ptr<ColumnRows> out(new ColumnRows());
  out->names_ = hints.required();
  if (out->names_.empty() && !hints.no_labels()) {
    // All labels are asked of the line, but most of them are not kept.
    const logql::KeepLabels* keep = keep_of(left);
    if (keep == nullptr) return std::unique_ptr<ColumnRows>();
    std::vector<std::string> kept = read;
    for (const auto& item : keep->labels) kept.push_back(item.name);
    for (const std::string& name : kept) {
      out->names_.push_back(name);
      // What it was called before it clashed.
      if (name.ends_with(kDuplicateSuffix))
        out->names_.push_back(name.substr(0, name.size() - kDuplicateSuffix.size()));
    }
  }
  bool parsed = false, stored_line = true;
  out->fixed_names_ = true;
  for (const logql::Stage& stage : left) {
    if (!parsed && is_parser(stage)) {
      parsed = true;
      if (std::holds_alternative<logql::JsonParser>(stage)) continue;
      SKALD_TRY_ASSIGN(out->parser_, compile_stage(stage));
      if (out->parser_->window() == nullptr) return std::unique_ptr<ColumnRows>();
      continue;
    }
    const Kind kind = kind_of(stage, stored_line);
    if (kind == Kind::kNotForColumns || (!parsed && kind != Kind::kLabels))
      return std::unique_ptr<ColumnRows>();
    if (kind != Kind::kLabels) out->fixed_names_ = false;
    if (kind == Kind::kMakesLine) stored_line = false;
    SKALD_TRY_ASSIGN(auto compiled, compile_stage(stage));
    if (compiled)
      (parsed ? out->after_ : out->before_)
          .push_back({std::move(compiled), kind == Kind::kMakesLine});
  }
  if (!parsed) return std::unique_ptr<ColumnRows>();
  return out;
}

base::Result<std::unique_ptr<ColumnRows>> ColumnRows::create_filter(const logql::Pipeline& left,
                                                                    const Hints& hints) {
  if (std::any_of(left.begin(), left.end(),
                  [](const logql::Stage& stage) { return sees_all_labels(stage); }))
    return std::unique_ptr<ColumnRows>();
  return create(left, hints, {});
}

Hints ColumnRows::filter_hints(const Stages& stages) {
  Hints::MetricNeeds needs;
  for (const auto& stage : stages) stage->required_labels(needs.required);
  needs.none = true;  // no labels are shown
  return Hints::for_metric(needs, stages);
}

// Rows while they are divided.
struct ColumnRows::Division {
  std::vector<std::uint32_t> ids;  // by selected row; empty: all one group
  std::size_t count = 1;
  bool each = false;  // every row is a group

  // Divides further: rows stay together whose keys are equal.
  template <typename KeyOf>
  void by(std::size_t rows, std::size_t keys, const KeyOf& key_of) {
    if (each || keys <= 1) return;
    plan::PairNumbers numbers(count, keys);
    std::uint32_t next = 0;
    if (ids.empty()) ids.assign(rows, 0);
    for (std::size_t i = 0; i < rows; ++i) {
      std::uint32_t& number = numbers.at(ids[i], key_of(i));
      if (number == plan::PairNumbers::kUnseen) number = next++;
      ids[i] = number;
    }
    count = next;
    each = count > rows / 2;
  }
};

bool ColumnRows::reads_metadata(const store::Block& block) const {
  if (!block.has_metadata()) return false;
  if (!fixed_names_) return true;
  const auto may_have = [&](std::string_view name) { return block.may_have_metadata(name); };
  return may_have(kErrorLabel) || may_have(kErrorDetailsLabel) || may_have(kPreserveErrorLabel) ||
         std::any_of(names_.begin(), names_.end(), may_have);
}

bool ColumnRows::add_columns(const store::Shape& shape, std::vector<std::size_t>& fields,
                             std::vector<Column>& columns) const {
  for (std::size_t i = 0; i < shape.fields.size(); ++i) {
    const std::vector<store::PathSegment>& path = shape.fields[i].path;
    if (std::any_of(path.begin(), path.end(), [](const auto& part) { return part.index >= 0; }))
      continue;  // what is in arrays makes no labels
    std::optional<std::string> name = plan::json_label_name(shape.fields[i]);
    if (!name || name->empty() || name->starts_with("__")) return false;
    if (!contains(names_, *name) && !contains(names_, *name + std::string(kDuplicateSuffix)))
      continue;
    fields.push_back(i);
    columns.push_back({std::move(*name), shape.fields[i].syntax == store::Field::Syntax::kToken});
  }
  return true;
}

base::Result<bool> ColumnRows::divide_by_columns(store::Block& block,
                                                 const store::Selection& selection,
                                                 Division& division, Groups& out) const {
  std::vector<std::size_t> fields;
  if (!add_columns(block.shape(), fields, out.columns)) return false;
  const std::size_t rows = selection.count();
  for (std::size_t f = 0; f < fields.size(); ++f) {
    store::TextColumn& values = out.columns[f].values;
    SKALD_TRY(block.read_text(fields[f], selection, values));
    if (!values.ids.empty())
      division.by(rows, values.entries.size(), [&](std::size_t i) { return values.ids[i]; });
    else if (values.entries.size() > 1)
      division.each = true;
  }
  return true;
}

base::Result<bool> ColumnRows::divide_by_windows(store::Block& block,
                                                 const store::Selection& selection,
                                                 Division& division,
                                                 std::vector<std::uint32_t>& ids,
                                                 Groups& out) const {
  SKALD_TRY_ASSIGN(auto found, plan::find_windows(block, *parser_->window(), selection));
  if (!found) return false;
  ids = std::move(found->ids);
  if (!ids.empty())
    division.by(ids.size(), found->windows.size(), [&](std::size_t i) { return ids[i]; });
  out.windows = std::move(found->windows);
  return true;
}

base::Result<std::optional<ColumnRows::Groups>> ColumnRows::divide(
    store::Block& block, const store::Selection& selection) const {
  std::optional<Groups> none;
  if (block.shape().kind != store::Shape::Kind::kJson) return none;
  Groups out;
  std::vector<std::uint32_t> rows;
  selection.for_each([&](std::uint32_t row) { rows.push_back(row); });

  Division groups;
  SKALD_TRY_ASSIGN(const auto streams, block.streams());
  std::uint32_t last = 0;  // of the selected rows: others may be of streams that are not selected
  for (const std::uint32_t row : rows) last = std::max(last, streams[row]);
  groups.by(rows.size(), std::size_t{last} + 1, [&](std::size_t i) { return streams[rows[i]]; });
  store::MetadataSets sets;
  if (reads_metadata(block)) {
    const base::Status status = block.read_metadata_sets(kMetadataSetsMax, sets);
    if (status.code() == base::Code::kResourceExhausted) return none;
    SKALD_TRY(status);
    if (!sets.ids.empty())
      groups.by(rows.size(), sets.sets.size(), [&](std::size_t i) { return sets.ids[rows[i]]; });
  }
  std::vector<std::uint32_t> windows;
  SKALD_TRY_ASSIGN(const bool divided,
                   parser_ ? divide_by_windows(block, selection, groups, windows, out)
                           : divide_by_columns(block, selection, groups, out));
  if (!divided) return none;

  out.ids = std::move(groups.ids);
  if (out.ids.empty() || groups.each) {
    out.ids.resize(rows.size());
    for (std::uint32_t i = 0; i < rows.size(); ++i) out.ids[i] = groups.each ? i : 0;
    groups.count = groups.each ? rows.size() : 1;
  }
  for (std::uint32_t i = 0; i < rows.size(); ++i)
    if (out.ids[i] == out.first.size()) out.first.push_back({rows[i], i});
  for (const Groups::Member& member : out.first) {
    if (!sets.ids.empty()) out.metadata_of.push_back(sets.ids[member.row]);
    if (parser_) out.window_of.push_back(windows.empty() ? 0 : windows[member.index]);
  }
  out.metadata = std::move(sets.sets);
  return std::optional<Groups>(std::move(out));
}

// What the parser does with the values. False: `outcome` is known.
bool ColumnRows::fill(const Groups& groups, std::size_t group, Row& row, Outcome& outcome) const {
  const std::size_t index = groups.first[group].index;
  for (const Column& column : groups.columns) {
    const store::TextColumn& values = column.values;
    const std::string_view value =
        values.ids.empty() && values.entries.size() == 1 ? values.entries[0] : values.at(index);
    if (column.token && value == "null") continue;
    if (!column.token && plan::is_changed_by_parser(value)) {
      outcome = Outcome::kNeedsLine;
      return false;
    }
    const std::string_view name = row.parsed_name(column.name);
    if (!row.hints().should_extract(name) || row.extracted(name)) continue;
    row.set(Category::kParsed, name, value);
    if (!row.should_continue(name)) {
      outcome = Outcome::kDropped;
      return false;
    }
    if (row.all_required_extracted()) return true;
  }
  return true;
}

// The same where the parser itself runs. Stages behind it look at no stored line.
bool ColumnRows::parse_window(const plan::LineWindows::Window& window, Row& row,
                              Outcome& outcome) const {
  if (window.unknown) {
    outcome = Outcome::kNeedsLine;
    return false;
  }
  row.line = window.text;
  const bool kept = parser_->process(row) && !row.stopped();
  row.line = kStoredLine;
  if (!kept) outcome = Outcome::kDropped;
  return kept;
}

ColumnRows::Outcome ColumnRows::run(const Groups& groups, std::size_t group,
                                    std::int64_t timestamp_ns, const model::Labels& stream,
                                    Row& row) const {
  const model::Labels* metadata = nullptr;
  if (!groups.metadata.empty())
    metadata = &groups.metadata[groups.metadata_of.empty() ? 0 : groups.metadata_of[group]];
  row.start(timestamp_ns, kStoredLine, stream, metadata);
  for (const Step& step : before_)
    if (!step.stage->process(row) || row.stopped()) return Outcome::kDropped;
  Outcome outcome = Outcome::kKept;
  if (parser_) {
    if (!parse_window(groups.windows[groups.window_of[group]], row, outcome)) return outcome;
  } else if (!row.no_labels() && !fill(groups, group, row, outcome)) {
    return outcome;
  }
  for (const Step& step : after_) {
    if (!step.stage->process(row) || row.stopped()) return Outcome::kDropped;
    if (step.makes_line && has_stored_line(row)) return Outcome::kNeedsLine;
  }
  return outcome;
}

bool ColumnRows::has_stored_line(const Row& row) { return row.line.data() == kStoredLine.data(); }

}  // namespace skald::query
