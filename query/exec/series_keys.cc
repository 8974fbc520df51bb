#include "query/exec/series_keys.h"

#include <algorithm>

namespace skald::query {
namespace {

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

base::Status SeriesKeys::error_of(const std::string& error) {
  std::vector<model::Labels::Pair> pairs;
  for (const LabelView& label : views_) pairs.emplace_back(label.name, label.value);
  return base::invalid_argument(
      "pipeline error: '" + error + "' for series: '" +
      model::Labels::from_result(std::move(pairs)).to_string() +
      "'.\nUse a label filter to intentionally skip this error. (e.g | __error__!=\"" + error +
      "\").\nTo skip all potential errors you can match empty errors.(e.g __error__=\"\")\nThe "
      "label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" "
      ")\n");
}

void SeriesKeys::group(const Row& row, std::vector<LabelView>& out) const {
  out.clear();
  if (spec_.none) return;
  if (spec_.labels.empty()) {
    row.collect_all(out);
    return;
  }
  if (!spec_.without) {
    for (const std::string& name : spec_.labels) {
      if (row.is_deleted(name)) continue;
      const Row::Found found = row.get(name);
      if (found.ok) out.push_back({name, found.value});
    }
    return;
  }
  for (const auto& [name, value] : row.base()) {
    if (row.is_deleted(name) || contains(spec_.labels, name)) continue;
    if (row.in_category(name, Category::kStream) || row.in_category(name, Category::kMetadata) ||
        row.in_category(name, Category::kParsed))
      continue;
    out.push_back({name, value});
  }
  for (const Category category : {Category::kStream, Category::kMetadata, Category::kParsed})
    for (const LabelView& label : row.added(category))
      if (!contains(spec_.labels, label.name)) out.push_back(label);
}

std::uint32_t SeriesKeys::intern(std::vector<LabelView>& views) {
  std::sort(views.begin(), views.end(),
            [](const LabelView& a, const LabelView& b) { return a.name < b.name; });
  key_.clear();
  const auto put = [&](std::string_view text) {
    const auto size = static_cast<std::uint32_t>(text.size());
    key_.append(reinterpret_cast<const char*>(&size), sizeof(size));
    key_.append(text);
  };
  for (const LabelView& label : views) {
    put(label.name);
    put(label.value);
  }
  if (const auto found = ids_.find(std::string_view(key_)); found != ids_.end())
    return found->second;
  const auto id = static_cast<std::uint32_t>(labels_.size());
  std::vector<model::Labels::Pair> pairs;
  pairs.reserve(views.size());
  for (const LabelView& label : views) pairs.emplace_back(label.name, label.value);
  context_.charge(key_.size() * 3 + views.size() * 64 + 128);
  labels_.push_back(model::Labels::from_result(std::move(pairs)));
  ids_.emplace(key_, id);
  return id;
}

std::uint32_t SeriesKeys::of_labels(const model::Labels& labels) {
  views_.clear();
  for (const auto& [name, value] : labels) views_.push_back({name, value});
  return intern(views_);
}

base::Result<std::uint32_t> SeriesKeys::of_row(const Row& row, std::uint32_t stream) {
  if (row.has_error()) {
    // Series with an error are whole, whatever the grouping.
    row.collect_all(views_);
    if (row.get(kPreserveErrorLabel).value != "true") return error_of(std::string(row.error()));
    return intern(views_);
  }
  const bool changed = row.changed();
  if (!changed) {
    if (stream >= by_stream_.size()) by_stream_.resize(stream + 64);
    if (by_stream_[stream] != 0) return by_stream_[stream] - 1;
  }
  group(row, views_);
  const std::size_t known = labels_.size();
  const std::uint32_t id = intern(views_);
  // A field of the line may have this name, too. To Loki that is the same.
  if (labels_.size() != known && labels_.back().has(kErrorLabel) &&
      labels_.back().get(kPreserveErrorLabel) != "true")
    return error_of(std::string(labels_.back().get(kErrorLabel)));
  if (!changed) by_stream_[stream] = id + 1;
  if (context_.options.series_max != 0 && labels_.size() > context_.options.series_max)
    return base::invalid_argument(
        "maximum number of series (" + std::to_string(context_.options.series_max) +
        ") reached for a single query; consider reducing query cardinality by adding more "
        "specific stream selectors, reducing the time range, or aggregating results with "
        "functions like sum(), count() or topk()");
  return id;
}

}  // namespace skald::query
