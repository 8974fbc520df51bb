#pragma once
// A compiled step of a pipeline. Immutable: one instance serves all workers, each with its Row.
//
// compile_pipeline() takes the stages in execution order (logql::execution_order), so that a prefix
// may be left out when columns have already decided it: compile the rest.

#include <memory>
#include <string>
#include <vector>

#include "proto/base/status.h"
#include "query/exec/hints.h"
#include "query/exec/row.h"
#include "query/logql/ast.h"
#include "store/scan.h"

namespace skald::query::plan {
class LineAutomaton;
}

namespace skald::query {

class Stage {
 public:
  virtual ~Stage() = default;
  // False drops the row.
  virtual bool process(Row& row) const = 0;
  // Whether it looks at the line. When no stage does, lines need not be read.
  virtual bool needs_line() const { return true; }
  // Where known, what a line has that means anything to the stage: to it, a line that this filter
  // refuses is as good as an empty one. Lives as long as the stage.
  virtual const store::LineFilter* reads_only() const { return nullptr; }
  // Where known, what finds the part of a line that the stage looks at (plan::find_windows). Lives
  // as long as the stage.
  virtual const plan::LineAutomaton* window() const { return nullptr; }
  // Labels that the stage reads.
  virtual void required_labels(std::vector<std::string>& /*out*/) const {}
  // The label of a filter on one label (not of and/or), for Hints.
  virtual std::string_view filtered_label() const { return {}; }
};
using Stages = std::vector<std::unique_ptr<Stage>>;

// Errors: kInvalidArgument, `parse error : stage '| json a="..."' : ...`.
base::Result<Stages> compile_stages(const logql::Pipeline& execution_order);
base::Result<std::unique_ptr<Stage>> compile_stage(const logql::Stage& stage);
base::Result<std::unique_ptr<Stage>> compile_label_filter(const logql::LabelFilter& filter);
// The same behind unwrap, where Loki does not look whether an ip() is one.
base::Result<std::unique_ptr<Stage>> compile_post_filter(const logql::LabelFilter& filter);

// Whether the line has one of the alternatives; `!=`, `!~`, `!>` are not turned around (the
// store's LineFilter::negated does that).
base::Result<std::shared_ptr<const store::LineMatcher>> compile_line_matcher(
    const logql::LineFilter& filter);

// False: the row is out, or it takes more than the query has (Row::stopped).
inline bool run_stages(const Stages& stages, Row& row) {
  for (const auto& stage : stages)
    if (!stage->process(row) || row.stopped()) return false;
  return true;
}

// Families of stages, one file each.
std::unique_ptr<Stage> make_json_stage();
base::Result<std::unique_ptr<Stage>> make_json_expressions_stage(const logql::JsonExpressions& e);
std::unique_ptr<Stage> make_unpack_stage();
std::unique_ptr<Stage> make_logfmt_stage(const logql::LogfmtParser& e);
base::Result<std::unique_ptr<Stage>> make_logfmt_expressions_stage(
    const logql::LogfmtExpressions& e);
base::Result<std::unique_ptr<Stage>> make_regexp_stage(const logql::RegexpParser& e);
base::Result<std::unique_ptr<Stage>> make_pattern_stage(const logql::PatternParser& e);
base::Result<std::unique_ptr<Stage>> make_line_filter_stage(const logql::LineFilters& e);
base::Result<std::unique_ptr<Stage>> make_line_format_stage(const logql::LineFormat& e);
base::Result<std::unique_ptr<Stage>> make_label_format_stage(const logql::LabelFormat& e);
std::unique_ptr<Stage> make_decolorize_stage();
std::unique_ptr<Stage> make_drop_stage(const logql::DropLabels& e);
std::unique_ptr<Stage> make_keep_stage(const logql::KeepLabels& e);

}  // namespace skald::query
