#include "store/ingest/recent_set.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <utility>

#include "proto/base/bytes.h"

namespace skald::store::ingest {
namespace {

constexpr std::uint64_t kFree = 0;
constexpr std::uint64_t kErased = 1;
constexpr std::size_t kSlotsMin = 64;

}  // namespace

std::uint64_t hash_stream(std::uint64_t seed, std::string_view tenant,
                          const model::Labels& labels) noexcept {
  const std::uint64_t words[3] = {seed, XXH3_64bits(tenant.data(), tenant.size()), labels.hash()};
  return XXH3_64bits(words, sizeof(words));
}

std::uint64_t hash_entry(std::uint64_t stream_hash, model::TimestampNs time_ns,
                         std::string_view line, std::uint64_t metadata_hash) noexcept {
  const std::uint64_t words[4] = {stream_hash, static_cast<std::uint64_t>(time_ns),
                                  XXH3_64bits(line.data(), line.size()), metadata_hash};
  return XXH3_64bits(words, sizeof(words));
}

std::uint64_t hash_metadata(const model::Labels* metadata) noexcept {
  return metadata == nullptr || metadata->empty() ? 0 : metadata->hash();
}

RecentSet::RecentSet(std::size_t entries, std::size_t kept)
    : entries_(entries), ring_(kept, kFree) {
  new_.slots.assign(kSlotsMin, kFree);
  old_.slots.assign(kSlotsMin, kFree);
}

bool RecentSet::Table::has(std::uint64_t hash) const noexcept {
  const std::size_t mask = slots.size() - 1;
  for (std::size_t at = hash & mask; slots[at] != kFree; at = (at + 1) & mask)
    if (slots[at] == hash) return true;
  return false;
}

void RecentSet::Table::grow() {
  std::vector<std::uint64_t> before(slots.size() * 2, kFree);
  before.swap(slots);
  const std::size_t mask = slots.size() - 1;
  for (const std::uint64_t hash : before) {
    if (hash <= kErased) continue;
    std::size_t at = hash & mask;
    while (slots[at] != kFree) at = (at + 1) & mask;
    slots[at] = hash;
  }
}

void RecentSet::Table::put(std::uint64_t hash) {
  if ((used + 1) * 2 > slots.size()) grow();
  const std::size_t mask = slots.size() - 1;
  std::size_t at = hash & mask;
  while (slots[at] != kFree) at = (at + 1) & mask;
  slots[at] = hash;
  ++used;
}

void RecentSet::prefetch(std::uint64_t hash) const noexcept {
  hash = adjust(hash);
  __builtin_prefetch(&new_.slots[hash & (new_.slots.size() - 1)], 1);
  __builtin_prefetch(&old_.slots[hash & (old_.slots.size() - 1)]);
}

bool RecentSet::insert(std::uint64_t hash) {
  hash = adjust(hash);
  if (new_.has(hash) || old_.has(hash)) return false;
  if (new_.used >= entries_) {
    std::swap(new_, old_);
    new_.slots.assign(new_.slots.size(), kFree);
    new_.used = 0;
  }
  new_.put(hash);
  ring_[ring_at_] = hash;
  ring_at_ = (ring_at_ + 1) % ring_.size();
  return true;
}

void RecentSet::erase(std::uint64_t hash) {
  hash = adjust(hash);
  for (Table* table : {&new_, &old_}) {
    const std::size_t mask = table->slots.size() - 1;
    for (std::size_t at = hash & mask; table->slots[at] != kFree; at = (at + 1) & mask)
      if (table->slots[at] == hash) table->slots[at] = kErased;
  }
  for (std::uint64_t& kept : ring_)
    if (kept == hash) kept = kFree;
}

std::string RecentSet::save() const {
  std::string out;
  for (std::size_t i = 0; i < ring_.size(); ++i) {
    const std::uint64_t hash = ring_[(ring_at_ + i) % ring_.size()];
    if (hash != kFree) base::put_le(out, hash);
  }
  return out;
}

void RecentSet::load(std::string_view words) {
  for (; words.size() >= 8; words.remove_prefix(8))
    insert(base::load_le<std::uint64_t>(words.data()));
}

}  // namespace skald::store::ingest
