#pragma once
// The UUIDs of a row group while it is built: one table for all columns, numbered in the end by the
// time of first appearance, so that ids of rows near in time are near.

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "proto/model/entry.h"
#include "store/part/hex.h"

namespace skald::store::part {

class UuidTable {
 public:
  void clear();
  std::uint32_t insert(const Uuid& uuid, model::TimestampNs time_ns);
  std::size_t size() const noexcept { return entries_.size(); }

  // Fixes the final numbers: rank()[id] of insert() is the place in `ordered()`.
  void finish();
  std::span<const std::uint32_t> rank() const noexcept { return rank_; }
  std::span<const Uuid> ordered() const noexcept { return ordered_; }

 private:
  struct Entry {
    Uuid uuid;
    model::TimestampNs first_ns;
  };
  void grow();
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // id + 1, 0: free; a power of two, at most half full
  std::vector<std::uint32_t> rank_;
  std::vector<Uuid> ordered_;
};

}  // namespace skald::store::part
