#pragma once
// Hashes of the newest entries: two generations of fixed size, of which the older one is thrown
// away when the newer is full. So an equal entry is recognised if it came among the last 256k to
// 512k entries of the store (kRecentEntries), sealed or not. Older duplicates are dropped when
// compaction merges the parts that hold them.
//
// Two different entries with equal 64-bit hashes would be taken for duplicates: at 512k entries
// that is one entry in 3.5e13. The hash is seeded per store, so nobody outside can provoke it.
//
// Grows to 8 MB. Not synchronised.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/model/entry.h"

namespace skald::store::ingest {

std::uint64_t hash_stream(std::uint64_t seed, std::string_view tenant,
                          const model::Labels& labels) noexcept;
std::uint64_t hash_entry(std::uint64_t stream_hash, model::TimestampNs time_ns,
                         std::string_view line, std::uint64_t metadata_hash) noexcept;
// Of an entry's metadata; 0 without any.
std::uint64_t hash_metadata(const model::Labels* metadata) noexcept;

class RecentSet {
 public:
  // Recognises the newest `entries`; save() gives the newest `kept` of them.
  RecentSet(std::size_t entries, std::size_t kept);
  bool insert(std::uint64_t hash);                   // false: it was there
  void prefetch(std::uint64_t hash) const noexcept;  // some inserts ahead: both tables are large
  void erase(std::uint64_t hash);  // one that insert() took, of a commit that failed
  // 8-byte words, and back.
  std::string save() const;
  void load(std::string_view words);

 private:
  struct Table {
    std::vector<std::uint64_t> slots;  // 0: free
    std::size_t used = 0;
    bool has(std::uint64_t hash) const noexcept;
    void put(std::uint64_t hash);
    void grow();
  };
  static std::uint64_t adjust(std::uint64_t hash) noexcept { return hash <= 1 ? hash + 2 : hash; }

  const std::size_t entries_;
  Table new_, old_;
  std::vector<std::uint64_t> ring_;  // the newest, for save(); 0: none
  std::size_t ring_at_ = 0;
};

}  // namespace skald::store::ingest
