#include <algorithm>

#include "query/logql/json_path.h"
#include "query/plan/pushdown_impl.h"

namespace skald::query::plan {
namespace {

bool is_plain_drop(const logql::DropLabels& drop, const std::vector<std::string>& used_later) {
  return std::all_of(drop.labels.begin(), drop.labels.end(), [&](const logql::NamedMatcher& item) {
    const std::string& name = item.matcher ? item.matcher->name() : item.name;
    return is_error_label(name) ||
           std::find(used_later.begin(), used_later.end(), name) == used_later.end();
  });
}

bool is_plain_keep(const logql::KeepLabels& keep, const std::vector<std::string>& used_later) {
  return std::all_of(used_later.begin(), used_later.end(), [&](const std::string& name) {
    return std::any_of(keep.labels.begin(), keep.labels.end(),
                       [&](const logql::NamedMatcher& item) {
                         return item.matcher == nullptr && item.name == name;
                       });
  });
}

template <typename Test>
bool any_leaf(const logql::LabelFilter& filter, const Test& test) {
  if (filter.left) return any_leaf(*filter.left, test) || any_leaf(*filter.right, test);
  return test(filter.kind);
}

bool may_convert(const logql::LabelFilter& filter) {
  using Kind = logql::LabelFilter::Kind;
  return any_leaf(filter, [](Kind kind) { return kind != Kind::kString && kind != Kind::kIp; });
}

void collect_names(const logql::LabelFilter& filter, std::vector<std::string>& names) {
  if (filter.left) collect_names(*filter.left, names);
  if (filter.right) collect_names(*filter.right, names);
  if (!filter.left && !filter.right) names.push_back(filter.label);
}

}  // namespace

bool is_error_label(std::string_view name) {
  return name == "__error__" || name == "__error_details__";
}

Pushdown::Impl::Impl(const logql::Pipeline& pipeline, const LineFilterPlan& filters,
                     const MetricNeeds* wanted, std::span<const store::StreamInfo> infos)
    : line_filters(filters), needs(wanted), streams(infos) {
  // Of all stages, also those behind one that is not understood.
  for (const logql::Stage& stage : pipeline)
    if (const auto* filter = std::get_if<logql::LabelFilterStage>(&stage))
      converts = converts || may_convert(*filter->filter);
  if (needs != nullptr && needs->unwrap != nullptr)
    for (const auto& filter : needs->unwrap->post_filters) {
      // The unwrapping itself may set an error, which ip() lets pass.
      using Kind = logql::LabelFilter::Kind;
      converts = converts || any_leaf(*filter, [](Kind kind) { return kind != Kind::kString; });
    }
  for (std::size_t i = 0; i < pipeline.size() && complete; ++i) add_stage(pipeline, i);
  if (needs == nullptr)
    complete = false;  // a log query shows all labels: lines are needed
  else
    add_needs();
  add_needles(pipeline);
}

void Pushdown::Impl::add_stage(const logql::Pipeline& pipeline, std::size_t i) {
  const logql::Stage& stage = pipeline[i];
  if (std::holds_alternative<logql::LineFilters>(stage)) {
    // `unpack` ends the filters that the plan was given.
    complete = !unpacks;
    return;
  }
  if (std::holds_alternative<logql::UnpackParser>(stage)) {
    unpacks = true;
    return;
  }
  if (std::holds_alternative<logql::JsonParser>(stage)) {
    // Names that the first parser has found are not for the second.
    if (parsed == Parsed::kPaths) complete = false;
    parsed = Parsed::kJson;
  } else if (const auto* expressions = std::get_if<logql::JsonExpressions>(&stage)) {
    add_paths(*expressions);
  } else if (const auto* filter = std::get_if<logql::LabelFilterStage>(&stage)) {
    steps.push_back({filter->filter, parsed, unpacks});
    note_leaves(*filter->filter);
  } else if (const auto* drop = std::get_if<logql::DropLabels>(&stage)) {
    // Which labels are left matters to a log query and to ungrouped series.
    complete = needs != nullptr && needs->grouped && is_plain_drop(*drop, names_after(pipeline, i));
  } else if (const auto* keep = std::get_if<logql::KeepLabels>(&stage)) {
    complete = needs != nullptr && needs->grouped && is_plain_keep(*keep, names_after(pipeline, i));
  } else {
    complete = false;
  }
}

void Pushdown::Impl::add_paths(const logql::JsonExpressions& stage) {
  if (parsed != Parsed::kNothing) complete = false;
  for (const logql::Extraction& item : stage.extractions) {
    auto path = logql::parse_json_path(item.expression);
    // What a name means that is given twice, or looks like a duplicate's, is not for columns.
    if (!path.ok() || item.identifier.ends_with(kExtracted) ||
        !paths.try_emplace(item.identifier, std::move(*path)).second) {
      complete = false;
      return;
    }
    note_name(item.identifier);
  }
  parsed = Parsed::kPaths;
}

std::vector<std::string> Pushdown::Impl::names_after(const logql::Pipeline& pipeline,
                                                     std::size_t i) const {
  std::vector<std::string> names;
  for (++i; i < pipeline.size(); ++i)
    if (const auto* filter = std::get_if<logql::LabelFilterStage>(&pipeline[i]))
      collect_names(*filter->filter, names);
  if (needs == nullptr) return names;
  names.insert(names.end(), needs->by.begin(), needs->by.end());
  if (needs->unwrap != nullptr) {
    names.push_back(needs->unwrap->label);
    for (const auto& filter : needs->unwrap->post_filters) collect_names(*filter, names);
  }
  return names;
}

void Pushdown::Impl::add_needs() {
  for (const std::string& name : needs->by) note_name(name);
  if (needs->unwrap != nullptr) {
    note_name(needs->unwrap->label);
    // Behind a stage that is not understood, labels may come from anywhere.
    for (const auto& filter : needs->unwrap->post_filters) {
      if (complete) steps.push_back({filter, parsed, unpacks});
      note_leaves(*filter);
    }
    if (std::find(needs->by.begin(), needs->by.end(), needs->unwrap->label) != needs->by.end())
      complete = false;
  }
  // Without grouping the parsed labels are part of the series' identity.
  if (!needs->grouped && (parsed != Parsed::kNothing || needs->unwrap != nullptr)) complete = false;
}

void Pushdown::Impl::note_leaves(const logql::LabelFilter& filter) {
  if (filter.left) note_leaves(*filter.left);
  if (filter.right) note_leaves(*filter.right);
  if (filter.left || filter.right) return;
  note_name(filter.label);
  leaves.try_emplace(&filter, filter);
}

void Pushdown::Impl::note_name(const std::string& name) {
  presence.try_emplace(name, in_streams(name));
  if (!name.ends_with(kExtracted)) return;
  const std::string base = name.substr(0, name.size() - kExtracted.size());
  presence.try_emplace(base, in_streams(base));
}

InStreams Pushdown::Impl::in_streams(std::string_view name) const {
  std::size_t have = 0;
  for (const store::StreamInfo& stream : streams) have += stream.labels.has(name) ? 1 : 0;
  if (have == 0) return InStreams::kNone;
  return have == streams.size() ? InStreams::kAll : InStreams::kSome;
}

Pushdown::Pushdown(const logql::Pipeline& execution_order, const LineFilterPlan& filters,
                   const MetricNeeds* needs, std::span<const store::StreamInfo> streams)
    : impl_(std::make_unique<Impl>(execution_order, filters, needs, streams)) {}
Pushdown::~Pushdown() = default;
Pushdown::Pushdown(Pushdown&&) noexcept = default;

bool Pushdown::may_count_by_stream() const {
  if (!impl_->complete || !impl_->line_filters.filters.empty() || !impl_->steps.empty() ||
      impl_->needs->unwrap != nullptr)
    return false;
  // After a parser a name that not all streams have may also be a field.
  return impl_->parsed == Parsed::kNothing ||
         std::all_of(
             impl_->needs->by.begin(), impl_->needs->by.end(),
             [&](const std::string& name) { return impl_->presence.at(name) == InStreams::kAll; });
}

model::Labels Pushdown::stream_group(std::uint32_t stream) const {
  const model::Labels& labels = impl_->streams[stream].labels;
  if (!impl_->needs->grouped) return labels;
  model::Labels group;
  for (const std::string& name : impl_->needs->by) group.set(name, labels.get(name));
  return group;
}

}  // namespace skald::query::plan
