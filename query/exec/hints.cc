#include "query/exec/hints.h"

#include <algorithm>

#include "query/exec/row.h"
#include "query/exec/stage.h"

namespace skald::query {
namespace {

// A parser looks for "level" before it knows that the label will be "level_extracted".
void append(std::vector<std::string>& out, const std::string& name) {
  const auto add = [&](std::string_view text) {
    if (!text.empty() && std::find(out.begin(), out.end(), text) == out.end())
      out.emplace_back(text);
  };
  add(name);
  const std::string_view view(name);
  if (view.ends_with(kDuplicateSuffix)) add(view.substr(0, view.size() - kDuplicateSuffix.size()));
}

}  // namespace

void Hints::add_filters(const std::vector<std::unique_ptr<Stage>>& stages) {
  for (const auto& stage : stages)
    if (const std::string_view label = stage->filtered_label(); !label.empty())
      filters_.push_back({std::string(label), stage.get()});
}

Hints Hints::for_log(const std::vector<std::unique_ptr<Stage>>& stages) {
  Hints out;
  out.add_filters(stages);
  return out;
}

Hints Hints::for_metric(const MetricNeeds& needs,
                        const std::vector<std::unique_ptr<Stage>>& stages) {
  std::vector<std::string> names;
  for (const std::string& name : needs.required) append(names, name);
  for (const std::string& name : needs.groups) append(names, name);
  append(names, needs.unwrap);
  Hints out;
  const auto require = [&] {
    out.preserve_error_ = std::find(names.begin(), names.end(), kErrorLabel) != names.end();
    out.required_ = std::move(names);
  };
  const auto add_all_filters = [&] {
    out.add_filters(stages);
    if (needs.post_filter != nullptr && !needs.post_filter->filtered_label().empty())
      out.filters_.push_back({std::string(needs.post_filter->filtered_label()), needs.post_filter});
  };
  if (needs.none) {
    if (names.empty()) {
      out.no_labels_ = true;
      return out;
    }
    add_all_filters();
    require();
    return out;
  }
  if (needs.without || needs.groups.empty()) {
    add_all_filters();
    return out;
  }
  require();
  return out;
}

bool Hints::should_extract(std::string_view name) const {
  return required_.empty() ||
         std::find(required_.begin(), required_.end(), name) != required_.end();
}

bool Hints::should_extract_prefix(std::string_view prefix) const {
  return required_.empty() ||
         std::any_of(required_.begin(), required_.end(),
                     [&](const auto& name) { return std::string_view(name).starts_with(prefix); });
}

bool Hints::should_continue(std::string_view name, Row& row) const {
  for (const Filter& filter : filters_)
    if (filter.label == name) return filter.stage->process(row);
  return true;
}

}  // namespace skald::query
