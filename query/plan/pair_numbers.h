#pragma once
// Numbers for pairs of (group so far, key), given out as they are met: rows are divided by one
// column after the other. A table while that is small, which it nearly always is.

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace skald::query::plan {

class PairNumbers {
 public:
  static constexpr std::uint32_t kUnseen = 0xFFFFFFFF;

  PairNumbers(std::size_t groups, std::size_t keys) : keys_(keys) {
    if (groups <= kTableMax / keys) table_.assign(groups * keys, kUnseen);
  }
  // kUnseen: new, to be set.
  std::uint32_t& at(std::uint32_t group, std::uint32_t key) {
    if (!table_.empty()) return table_[group * keys_ + key];
    return known_.try_emplace((std::uint64_t{group} << 32) | key, kUnseen).first->second;
  }

 private:
  static constexpr std::size_t kTableMax = 1U << 16;
  std::size_t keys_;
  std::vector<std::uint32_t> table_;
  std::unordered_map<std::uint64_t, std::uint32_t> known_;
};

}  // namespace skald::query::plan
