#pragma once
// An entry's labels as one set: structured metadata and parsed labels folded into those of its
// stream. Of equal names the later category's stays; empty values stay, as in a pipeline's result.

#include <cstdint>
#include <vector>

#include "proto/model/labels.h"
#include "query/exec/row.h"

namespace skald::query {

// By category; views as of Row::collect().
struct EntryLabels {
  std::vector<LabelView> stream, metadata, parsed;
};

std::vector<LabelView> views_of(const model::Labels& labels);
model::Labels to_labels(const std::vector<LabelView>& views);

// Sorted.
void fold(const EntryLabels& labels, std::vector<LabelView>& out);
model::Labels folded(const model::Labels& stream, const model::Labels& metadata,
                     const model::Labels& parsed);

// Of what fold() gave. Never zero.
std::uint64_t hash_of(const std::vector<LabelView>& folded, std::uint64_t seed);

}  // namespace skald::query
