#pragma once
// Rows of a block of JSON lines that go through a pipeline without their lines: what a parser would
// find there comes from columns, and rows that would find the same go through it once.
//
// For metric queries in which one parser alone looks at the stored line, and is asked for few
// labels of it; a line_format may make another line of them. Of `| json` the values are columns;
// `| regexp` and `| pattern` run on the part of the line that matters to them (plan::LineWindows).
// A log query shows all labels, but asks for few where it drops rows. The stages are those of the
// row engine, so the answers are its answers; what they might find in the line after all (the text
// of an error, a template that failed) sends the row to the row engine.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "query/exec/scan_support.h"
#include "query/plan/line_windows.h"

namespace skald::query {

class ColumnRows {
 public:
  // The pipeline as the row engine has it (ReadyPipeline::left), its hints, and the labels that the
  // query reads behind it. Null: not a pipeline for it. Errors as compile_stages().
  static base::Result<std::unique_ptr<ColumnRows>> create(const logql::Pipeline& left,
                                                          const Hints& hints,
                                                          const std::vector<std::string>& read);
  // For a log query: with the hints of filter_hints() it tells which rows its stages drop.
  static base::Result<std::unique_ptr<ColumnRows>> create_filter(const logql::Pipeline& left,
                                                                 const Hints& hints);
  static Hints filter_hints(const Stages& stages);
  ~ColumnRows();

  struct Column {
    std::string name;  // the label's, before it clashes
    bool token = false;
    store::TextColumn values;  // by selected row
  };
  // Selected rows, divided so that those of a group have equal labels and go the same way.
  struct Groups {
    std::vector<std::uint32_t> ids;  // by selected row
    struct Member {
      std::uint32_t row = 0, index = 0;  // in the block and among the selected
    };
    std::vector<Member> first;  // of each group
    std::vector<Column> columns;
    std::vector<model::Labels> metadata;             // sets; empty: none that is read
    std::vector<std::uint32_t> metadata_of;          // by group
    std::vector<plan::LineWindows::Window> windows;  // for a parser that runs on them
    std::vector<std::uint32_t> window_of;            // by group
  };
  // Nothing: the block is for the row engine.
  base::Result<std::optional<Groups>> divide(store::Block& block,
                                             const store::Selection& selection) const;

  enum class Outcome {
    kDropped,
    kKept,      // the row's labels are as the whole pipeline leaves them
    kNeedsLine  // not decided: the rows of the group go through the row engine
  };
  // Begins the row of a group and runs the stages.
  Outcome run(const Groups& groups, std::size_t group, std::int64_t timestamp_ns,
              const model::Labels& stream, Row& row) const;
  // Whether the row that was run has no other line than the stored one.
  static bool has_stored_line(const Row& row);

 private:
  ColumnRows() = default;
  struct Step {
    std::unique_ptr<Stage> stage;
    bool makes_line = false;
  };
  struct Division;

  bool reads_metadata(const store::Block& block) const;
  bool add_columns(const store::Shape& shape, std::vector<std::size_t>& fields,
                   std::vector<Column>& columns) const;
  // Divide further, by what the parser is to find. False: the block is for the row engine.
  base::Result<bool> divide_by_columns(store::Block& block, const store::Selection& selection,
                                       Division& division, Groups& out) const;
  base::Result<bool> divide_by_windows(store::Block& block, const store::Selection& selection,
                                       Division& division, std::vector<std::uint32_t>& ids,
                                       Groups& out) const;
  bool fill(const Groups& groups, std::size_t group, Row& row, Outcome& outcome) const;
  bool parse_window(const plan::LineWindows::Window& window, Row& row, Outcome& outcome) const;

  std::vector<std::string> names_;    // labels that may be asked of `| json`
  bool fixed_names_ = false;          // no stage looks at all labels of a row
  std::vector<Step> before_, after_;  // the parser
  std::unique_ptr<Stage> parser_;     // one that runs on windows; null: `| json`
};

}  // namespace skald::query
