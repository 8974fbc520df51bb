#include "agent/label/label_set.h"

namespace skald::agent {

const LabelSet* LabelSetTable::intern(const model::Labels& labels) {
  const std::uint64_t hash = labels.hash();
  auto [first, last] = by_hash_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (it->second->all_ == labels) {
      touch(it->second);
      return it->second;
    }
  }
  auto set = std::make_unique<LabelSet>();
  set->all_ = labels;
  set->labels_ = labels;
  set->labels_.erase(kTenantLabel);
  set->tenant_ = labels.get(kTenantLabel);
  set->hash_ = hash;
  LabelSet* raw = set.get();
  if (free_ids_.empty()) {
    raw->id_ = static_cast<std::uint32_t>(sets_.size());
    sets_.push_back(std::move(set));
  } else {
    raw->id_ = free_ids_.back();
    free_ids_.pop_back();
    sets_[raw->id_] = std::move(set);
  }
  by_hash_.emplace(hash, raw);
  return raw;
}

std::size_t LabelSetTable::collect() {
  std::size_t freed = 0;
  for (auto it = by_hash_.begin(); it != by_hash_.end();) {
    LabelSet* set = it->second;
    if (set->pins_ != 0) {
      set->idle_rounds_ = 0;
    } else if (++set->idle_rounds_ >= 2) {
      const std::uint32_t id = set->id_;
      it = by_hash_.erase(it);
      sets_[id].reset();
      free_ids_.push_back(id);
      ++freed;
      continue;
    }
    ++it;
  }
  // Every round, not only when something was freed: a cached pointer would otherwise let a set in
  // use age without anybody touching it.
  ++generation_;
  return freed;
}

}  // namespace skald::agent
