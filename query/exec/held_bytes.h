#pragma once
// What labels and maps take in memory, as charged to the query.

#include <cstdint>

#include "proto/model/labels.h"

namespace skald::query {

// A node of a map and its bucket, beside what it holds.
constexpr std::uint64_t kMapNodeBytes = 64;

// What the allocator adds to a small allocation.
constexpr std::uint64_t kAllocationBytes = 16;

// Short texts lie in their pairs, which counts them twice: better too much than too little.
inline std::uint64_t held_bytes(const model::Labels& labels) {
  std::uint64_t bytes = 0;
  for (const auto& [name, value] : labels)
    bytes += sizeof(model::Labels::Pair) + name.size() + value.size();
  return bytes;
}

}  // namespace skald::query
