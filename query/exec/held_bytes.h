#pragma once
// What labels take in memory, as charged to the query.

#include <cstdint>

#include "proto/model/labels.h"

namespace skald::query {

// Short texts lie in their pairs, which counts them twice: better too much than too little.
inline std::uint64_t held_bytes(const model::Labels& labels) {
  std::uint64_t bytes = 0;
  for (const auto& [name, value] : labels)
    bytes += sizeof(model::Labels::Pair) + name.size() + value.size();
  return bytes;
}

}  // namespace skald::query
