#pragma once
// Interned label sets. The same labels are the same pointer, so the batcher groups entries by
// pointer (or by the small dense id()) and never hashes a string twice.
//
// Thread rule: a table, its sets and its refs belong to one thread.
// Lifetime: a set lives while a LabelSetRef pins it. Unpinned sets stay until collect() has seen
// them unused twice in a row. The table outlives its refs.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proto/model/labels.h"

namespace skald::agent {

class LabelSet {
 public:
  // What is shipped: without __tenant_id__.
  const model::Labels& labels() const noexcept { return labels_; }
  // The value of __tenant_id__; empty: the client's own tenant.
  const std::string& tenant() const noexcept { return tenant_; }
  // Everything, as stages see it.
  const model::Labels& all() const noexcept { return all_; }
  std::uint32_t id() const noexcept { return id_; }  // dense; reused after collect()

 private:
  friend class LabelSetTable;
  friend class LabelSetRef;
  model::Labels all_;
  model::Labels labels_;
  std::string tenant_;
  std::uint64_t hash_ = 0;
  std::uint32_t id_ = 0;
  mutable std::uint32_t pins_ = 0;
  mutable std::uint8_t idle_rounds_ = 0;
};

// Keeps a set alive. Copyable; a null ref pins nothing.
class LabelSetRef {
 public:
  LabelSetRef() = default;
  explicit LabelSetRef(const LabelSet* set) noexcept : set_(set) { pin(); }
  LabelSetRef(const LabelSetRef& other) noexcept : set_(other.set_) { pin(); }
  LabelSetRef(LabelSetRef&& other) noexcept : set_(std::exchange(other.set_, nullptr)) {}
  LabelSetRef& operator=(LabelSetRef other) noexcept {
    std::swap(set_, other.set_);
    return *this;
  }
  ~LabelSetRef() {
    if (set_ != nullptr) --set_->pins_;
  }
  const LabelSet* get() const noexcept { return set_; }
  const LabelSet* operator->() const noexcept { return set_; }
  const LabelSet& operator*() const noexcept { return *set_; }
  explicit operator bool() const noexcept { return set_ != nullptr; }

 private:
  void pin() noexcept {
    if (set_ != nullptr) ++set_->pins_;
  }
  const LabelSet* set_ = nullptr;
};

constexpr std::string_view kTenantLabel = "__tenant_id__";

class LabelSetTable {
 public:
  LabelSetTable() = default;
  LabelSetTable(const LabelSetTable&) = delete;
  LabelSetTable& operator=(const LabelSetTable&) = delete;

  const LabelSet* intern(const model::Labels& labels);
  std::size_t size() const noexcept { return sets_.size() - free_ids_.size(); }
  // Frees unpinned sets that were not interned or touched since the collect() before the last.
  // Call it every few minutes, between lines. Returns how many were freed.
  std::size_t collect();
  // Changes with every collect(): caches of bare pointers must be emptied then.
  std::uint64_t generation() const noexcept { return generation_; }
  static void touch(const LabelSet* set) noexcept { set->idle_rounds_ = 0; }

 private:
  std::unordered_multimap<std::uint64_t, LabelSet*> by_hash_;
  std::vector<std::unique_ptr<LabelSet>> sets_;  // by id
  std::vector<std::uint32_t> free_ids_;
  std::uint64_t generation_ = 0;
};

}  // namespace skald::agent
