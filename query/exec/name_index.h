#pragma once
// Numbers texts in the order of their coming: the names of a row's labels, the keys of series. A
// list that is searched while it is short, and a hash table from then on, so that a line of a
// hundred thousand fields costs no more per field than others. Texts are borrowed.

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace skald::query {

class NameIndex {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  std::uint32_t find(std::string_view name) const {
    if (table_.empty()) {
      for (std::uint32_t i = 0; i < names_.size(); ++i)
        if (names_[i] == name) return i;
      return kNone;
    }
    return table_[slot_of(name)];
  }
  // Of a name that it does not have.
  void add(std::string_view name) {
    names_.push_back(name);
    if (names_.size() <= kListMax) return;
    if (3 * table_.size() < 4 * names_.size()) return rebuild();
    table_[slot_of(name)] = static_cast<std::uint32_t>(names_.size() - 1);
  }
  std::string_view name(std::uint32_t number) const { return names_[number]; }
  std::size_t size() const noexcept { return names_.size(); }
  void clear() {
    names_.clear();
    table_.clear();
  }
  std::uint64_t bytes() const noexcept {
    return names_.capacity() * sizeof(std::string_view) + table_.capacity() * sizeof(std::uint32_t);
  }

 private:
  static constexpr std::size_t kListMax = 32;

  // Where the name is, or would be.
  std::size_t slot_of(std::string_view name) const {
    const std::size_t mask = table_.size() - 1;
    std::size_t at = std::hash<std::string_view>()(name) & mask;
    while (table_[at] != kNone && names_[table_[at]] != name) at = (at + 1) & mask;
    return at;
  }
  void rebuild() {
    std::size_t size = 2 * kListMax;
    while (size < 2 * names_.size()) size *= 2;
    table_.assign(size, kNone);
    for (std::uint32_t i = 0; i < names_.size(); ++i) table_[slot_of(names_[i])] = i;
  }

  std::vector<std::string_view> names_;
  std::vector<std::uint32_t> table_;  // of a power of two; empty: not used
};

}  // namespace skald::query
