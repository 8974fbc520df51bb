#pragma once
// Private to query/plan: what Pushdown and BlockPass share.

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "query/plan/leaf_predicate.h"
#include "query/plan/pushdown.h"

namespace skald::query::plan {

inline constexpr std::string_view kExtracted = "_extracted";

// Whether a name is a label of no, all or some streams of the scan.
enum class InStreams { kNone, kAll, kSome };

bool is_error_label(std::string_view name);

// What has been parsed when a label is looked at: nothing, `| json`, or `| json a="b.c"`.
enum class Parsed { kNothing, kJson, kPaths };

struct Pushdown::Impl {
  struct Step {
    logql::LabelFilterPtr filter;
    Parsed parsed = Parsed::kNothing;
    bool unpacked = false;  // behind `| unpack`
  };
  // A row whose line this refuses is dropped by a condition on the label, unless the label is
  // metadata.
  struct Needle {
    std::string label;
    store::LineFilter lines;
  };

  Impl(const logql::Pipeline& pipeline, const LineFilterPlan& filters, const MetricNeeds* wanted,
       std::span<const store::StreamInfo> infos);

  void add_stage(const logql::Pipeline& pipeline, std::size_t i);
  void add_paths(const logql::JsonExpressions& stage);
  void add_needs();
  void add_needles(const logql::Pipeline& pipeline);
  void add_needles(const logql::LabelFilter& filter, bool decoded);
  // Labels read behind stage `i`.
  std::vector<std::string> names_after(const logql::Pipeline& pipeline, std::size_t i) const;
  void note_leaves(const logql::LabelFilter& filter);
  void note_name(const std::string& name);
  InStreams in_streams(std::string_view name) const;

  const LineFilterPlan& line_filters;
  const MetricNeeds* needs;
  std::span<const store::StreamInfo> streams;
  std::vector<Step> steps;  // label filters, in order
  std::unordered_map<const logql::LabelFilter*, Leaf> leaves;
  Parsed parsed = Parsed::kNothing;  // so far; at the end: by the pipeline
  std::unordered_map<std::string, std::vector<std::string>> paths;  // of kPaths, by label
  bool unpacks = false;  // so far there was `| unpack`, which most lines are not for
  std::vector<Needle> needles;
  bool converts = false;  // a condition may set an error, by a value that is no number
  bool complete = true;   // every stage is understood
  std::unordered_map<std::string, InStreams> presence;  // of every name the plan reads
};

}  // namespace skald::query::plan
