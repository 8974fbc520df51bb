#include "store/part/uuid_table.h"

#include <algorithm>
#include <numeric>

namespace skald::store::part {
namespace {

std::uint64_t slot_hash(const Uuid& uuid) noexcept {
  return mix_hash(uuid.high ^ kTableSeed, uuid.low);
}

}  // namespace

void UuidTable::clear() {
  entries_.clear();
  std::fill(slots_.begin(), slots_.end(), 0);
  rank_.clear();
  ordered_.clear();
}

void UuidTable::grow() {
  slots_.assign(std::max<std::size_t>(1024, slots_.size() * 2), 0);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t id = 0; id < entries_.size(); ++id) {
    std::size_t slot = slot_hash(entries_[id].uuid) & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<std::uint32_t>(id + 1);
  }
}

std::uint32_t UuidTable::insert(const Uuid& uuid, model::TimestampNs time_ns) {
  if (entries_.size() * 2 >= slots_.size()) grow();
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = slot_hash(uuid) & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    Entry& entry = entries_[slots_[slot] - 1];
    if (entry.uuid != uuid) continue;
    entry.first_ns = std::min(entry.first_ns, time_ns);
    return slots_[slot] - 1;
  }
  entries_.push_back({uuid, time_ns});
  slots_[slot] = static_cast<std::uint32_t>(entries_.size());
  return slots_[slot] - 1;
}

void UuidTable::finish() {
  std::vector<std::uint32_t> order(entries_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return entries_[a].first_ns < entries_[b].first_ns;
  });
  rank_.resize(entries_.size());
  ordered_.resize(entries_.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    rank_[order[i]] = static_cast<std::uint32_t>(i);
    ordered_[i] = entries_[order[i]].uuid;
  }
}

}  // namespace skald::store::part
