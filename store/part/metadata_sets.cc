#include <unordered_map>

#include "store/scan.h"

namespace skald::store {

base::Status Block::read_metadata_sets(std::size_t sets_max, MetadataSets& out) {
  std::vector<model::Labels> rows_metadata;
  SKALD_TRY(read_metadata(Selection(rows(), true), rows_metadata));
  std::unordered_map<model::Labels, std::uint32_t, model::LabelsHash> known;
  out.sets.clear();
  out.ids.clear();
  out.ids.reserve(rows_metadata.size());
  for (model::Labels& labels : rows_metadata) {
    const auto [it, is_new] = known.try_emplace(labels, static_cast<std::uint32_t>(known.size()));
    if (is_new) {
      if (known.size() > sets_max)
        return base::resource_exhausted("more than " + std::to_string(sets_max) +
                                        " distinct sets of structured metadata");
      out.sets.push_back(std::move(labels));
    }
    out.ids.push_back(it->second);
  }
  return {};
}

}  // namespace skald::store
