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

struct Pushdown::Impl {
  struct Step {
    logql::LabelFilterPtr filter;
    bool after_json = false;
  };

  Impl(const logql::Pipeline& pipeline, const LineFilterPlan& filters, const MetricNeeds* wanted,
       std::span<const store::StreamInfo> infos);

  void add_stage(const logql::Pipeline& pipeline, std::size_t i);
  void add_needs();
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
  bool json = false;                                    // `| json` was seen
  bool complete = true;                                 // every stage is understood
  std::unordered_map<std::string, InStreams> presence;  // of every name the plan reads
};

}  // namespace skald::query::plan
