#include "query/exec/stage.h"

#include "query/logql/lexer.h"
#include "query/logql/printer.h"

namespace skald::query {
namespace {

struct Compiler {
  using Out = base::Result<std::unique_ptr<Stage>>;
  Out operator()(const logql::LineFilters& e) const { return make_line_filter_stage(e); }
  Out operator()(const logql::JsonParser&) const { return make_json_stage(); }
  Out operator()(const logql::LogfmtParser& e) const { return make_logfmt_stage(e); }
  Out operator()(const logql::RegexpParser& e) const { return make_regexp_stage(e); }
  Out operator()(const logql::PatternParser& e) const { return make_pattern_stage(e); }
  Out operator()(const logql::UnpackParser&) const { return make_unpack_stage(); }
  Out operator()(const logql::JsonExpressions& e) const { return make_json_expressions_stage(e); }
  Out operator()(const logql::LogfmtExpressions& e) const {
    return make_logfmt_expressions_stage(e);
  }
  Out operator()(const logql::LabelFilterStage& e) const { return compile_label_filter(*e.filter); }
  Out operator()(const logql::LineFormat& e) const { return make_line_format_stage(e); }
  Out operator()(const logql::LabelFormat& e) const { return make_label_format_stage(e); }
  Out operator()(const logql::Decolorize&) const { return make_decolorize_stage(); }
  Out operator()(const logql::DropLabels& e) const { return make_drop_stage(e); }
  Out operator()(const logql::KeepLabels& e) const { return make_keep_stage(e); }
};

}  // namespace

base::Result<std::unique_ptr<Stage>> compile_stage(const logql::Stage& stage) {
  auto out = std::visit(Compiler{}, stage);
  if (out.ok()) return out;
  return logql::parse_error("stage '" + logql::to_string(stage) +
                            "' : " + std::string(out.status().message()));
}

base::Result<Stages> compile_stages(const logql::Pipeline& execution_order) {
  Stages out;
  for (const logql::Stage& stage : execution_order) {
    SKALD_TRY_ASSIGN(auto compiled, compile_stage(stage));
    if (compiled) out.push_back(std::move(compiled));
  }
  return out;
}

}  // namespace skald::query
