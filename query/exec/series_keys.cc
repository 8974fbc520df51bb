#include "query/exec/series_keys.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace skald::query {
namespace {

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const LabelView* find(const std::vector<LabelView>& views, std::string_view name) {
  for (const LabelView& label : views)
    if (label.name == name) return &label;
  return nullptr;
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
  return intern(std::string_view(key_));
}

std::uint32_t SeriesKeys::intern(std::string_view key) {
  const std::uint32_t known = ids_.find(key);
  if (known != NameIndex::kNone) return known;
  ids_.add(arena_.copy(key));
  count_memory();
  return size() - 1;
}

void SeriesKeys::count_memory() {
  const std::uint64_t bytes = ids_.bytes() + by_stream_.capacity() * sizeof(std::uint32_t);
  if (bytes > held_) context_.charge(bytes - std::exchange(held_, bytes));
}

model::Labels SeriesKeys::labels_of(std::uint32_t id) const {
  std::string_view key = ids_.name(id);
  const auto next = [&key] {
    std::uint32_t size = 0;
    std::memcpy(&size, key.data(), sizeof(size));
    const std::string_view text = key.substr(sizeof(size), size);
    key.remove_prefix(sizeof(size) + size);
    return text;
  };
  std::vector<model::Labels::Pair> pairs;
  while (!key.empty()) {
    const std::string_view name = next();
    pairs.emplace_back(name, next());
  }
  pairs.shrink_to_fit();
  return model::Labels::from_result(std::move(pairs));
}

std::uint32_t SeriesKeys::of_other(const SeriesKeys& other, std::uint32_t id) {
  return intern(other.ids_.name(id));
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
    if (stream >= by_stream_.size()) {
      by_stream_.resize(stream + 64);
      count_memory();
    }
    if (by_stream_[stream] != 0) return by_stream_[stream] - 1;
  }
  group(row, views_);
  const std::uint32_t known = size();
  const std::uint32_t id = intern(views_);
  // A field of the line may have this name, too. To Loki that is the same.
  if (size() != known) {
    const LabelView* error = find(views_, kErrorLabel);
    const LabelView* preserve = find(views_, kPreserveErrorLabel);
    if (error != nullptr && (preserve == nullptr || preserve->value != "true"))
      return error_of(std::string(error->value));
  }
  if (!changed) by_stream_[stream] = id + 1;
  if (context_.options.series_max != 0 && size() > context_.options.series_max)
    return base::invalid_argument(
        "maximum number of series (" + std::to_string(context_.options.series_max) +
        ") reached for a single query; consider reducing query cardinality by adding more "
        "specific stream selectors, reducing the time range, or aggregating results with "
        "functions like sum(), count() or topk()");
  return id;
}

}  // namespace skald::query
