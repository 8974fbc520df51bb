#include "query/exec/fold.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <tuple>

namespace skald::query {
namespace {

bool names(const std::vector<LabelView>& labels, std::string_view name) {
  return std::any_of(labels.begin(), labels.end(),
                     [name](const LabelView& label) { return label.name == name; });
}

}  // namespace

std::vector<LabelView> views_of(const model::Labels& labels) {
  std::vector<LabelView> out;
  out.reserve(labels.size());
  for (const auto& [name, value] : labels) out.push_back({name, value});
  return out;
}

model::Labels to_labels(const std::vector<LabelView>& views) {
  std::vector<model::Labels::Pair> pairs;
  pairs.reserve(views.size());
  for (const LabelView& label : views) pairs.emplace_back(label.name, label.value);
  return model::Labels::from_result(std::move(pairs));
}

void fold(const EntryLabels& labels, std::vector<LabelView>& out) {
  out.clear();
  for (const LabelView& label : labels.stream)
    if (!names(labels.metadata, label.name) && !names(labels.parsed, label.name))
      out.push_back(label);
  for (const LabelView& label : labels.metadata)
    if (!names(labels.parsed, label.name)) out.push_back(label);
  out.insert(out.end(), labels.parsed.begin(), labels.parsed.end());
  std::sort(out.begin(), out.end(), [](const LabelView& a, const LabelView& b) {
    return std::tie(a.name, a.value) < std::tie(b.name, b.value);
  });
}

model::Labels folded(const model::Labels& stream, const model::Labels& metadata,
                     const model::Labels& parsed) {
  if (metadata.empty() && parsed.empty()) return stream;
  std::vector<LabelView> out;
  fold({views_of(stream), views_of(metadata), views_of(parsed)}, out);
  return to_labels(out);
}

std::uint64_t hash_of(const std::vector<LabelView>& folded, std::uint64_t seed) {
  std::uint64_t hash = seed;
  for (const auto& [name, value] : folded) {
    hash = XXH3_64bits_withSeed(name.data(), name.size(), hash);
    hash = XXH3_64bits_withSeed(value.data(), value.size(), hash);
  }
  return hash == 0 ? 1 : hash;
}

}  // namespace skald::query
