#pragma once
// Chooses what to merge: runs of parts of one day that are neighbours in sequence, so that the
// merged part's name covers exactly its inputs.

#include <functional>
#include <vector>

#include "store/catalog/part_handle.h"

namespace skald::store::compact {

struct MergeRun {
  catalog::PartList inputs;  // ascending sequence
};

// `parts` of one tenant, sorted by name. Damaged parts are left where they are. `must` says that a
// part has to be rewritten (rows of it are deleted); `parts_min` is how many make a run worth it
// otherwise (1: every part that was not compacted before).
std::vector<MergeRun> plan_merges(const catalog::PartList& parts, std::size_t parts_min,
                                  const std::function<bool(const catalog::PartHandle&)>& must);

}  // namespace skald::store::compact
