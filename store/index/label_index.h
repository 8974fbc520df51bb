#pragma once
// The streams of one tenant in memory: labels by stream number, and for each label value its
// postings. Numbers are dense, local to the tenant, and never reused.
//
// Label names and values are kept once; a stream is a list of (name, value) numbers. One million
// streams with five labels, one of them unique, cost about 250 MB (see INDEX.md).
//
// Threads: not synchronised; const calls may overlap with each other.

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "proto/model/matcher.h"
#include "store/index/bitmap.h"

namespace skald::store::index {

inline constexpr std::uint32_t kNoStream = 0xFFFFFFFF;

class LabelIndex {
 public:
  // kNoStream if it is not there.
  std::uint32_t find(const model::Labels& labels) const;
  std::uint32_t find(model::StreamId id) const;
  // The stream's number, new or old. The id is the hash of the labels, or the next one that no
  // other stream has.
  std::uint32_t find_or_add(const model::Labels& labels);
  // A stream that parts or the index file name already: the id is as given. Of two streams with
  // one id the first one wins, and its number is returned.
  std::uint32_t add_known(model::StreamId id, const model::Labels& labels);
  using PairView = std::pair<std::string_view, std::string_view>;  // name, value; by name
  std::uint32_t add_known(model::StreamId id, std::span<const PairView> labels);
  void reserve(std::uint32_t streams);  // so many will be added in one go

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(streams_.size()); }
  model::StreamId id(std::uint32_t number) const { return streams_[number].id; }
  model::Labels labels(std::uint32_t number) const;

  // The streams for which all matchers hold.
  Bitmap resolve(const model::Matchers& matchers) const;
  // Sorted names (values of a name) that streams of `among` have; null: all streams.
  std::vector<std::string> names(const Bitmap* among) const;
  std::vector<std::string> values(std::string_view name, const Bitmap* among) const;

  std::size_t memory_bytes() const;  // an estimate, for stats and the benchmark

 private:
  struct Stream {
    model::StreamId id;
    std::uint32_t pairs_at = 0;  // into pairs_
    std::uint32_t pairs_count = 0;
  };
  struct Pair {
    std::uint32_t name, value;  // into names_, values_
  };
  // Most values of a label with many values belong to one stream: no bitmap for those.
  struct Posting {
    std::uint32_t single = kNoStream;  // or kSpread
    Bitmap many;
    void add(std::uint32_t number);
    bool intersects(const Bitmap& among) const;
    void unite_into(Bitmap& out) const;
  };
  static constexpr std::uint32_t kSpread = kNoStream - 1;
  struct Value {
    std::string text;
    Posting streams;
  };
  // Numbers of values by their texts: open addressing, one cache miss where a map takes four. A
  // slot holds 32 bits of the hash and the number.
  struct ValueTable {
    std::vector<std::uint64_t> slots;  // kFreeSlot: free; a power of two
    std::size_t used = 0;
    template <typename F>
    void for_each(F&& visit) const {  // visit(number)
      for (const std::uint64_t slot : slots)
        if (slot != kFreeSlot) visit(static_cast<std::uint32_t>(slot));
    }
  };
  static constexpr std::uint64_t kFreeSlot = ~0ULL;
  struct Name {
    std::string text;
    Bitmap streams;
    ValueTable values;
  };

  std::uint32_t append(model::StreamId id, std::span<const PairView> labels);
  std::uint32_t find_or_add_name(std::string_view text);
  std::uint32_t find_value(const ValueTable& table, std::string_view text) const;  // or kNoStream
  std::uint32_t find_or_add_value(ValueTable& table, std::string_view text);
  const Name* find_name(std::string_view name) const;
  bool equal(const Stream& stream, const model::Labels& labels) const;
  std::size_t slot_of(model::StreamId id) const;  // where it is or would go
  void grow_slots();
  Bitmap matching(const model::Matcher& matcher, bool matches) const;

  std::vector<Stream> streams_;
  std::vector<Pair> pairs_;
  std::deque<Name> names_;
  std::deque<Value> values_;
  std::unordered_map<std::string_view, std::uint32_t> name_numbers_;  // keys borrow from names_
  std::vector<std::uint32_t> slots_;  // open addressing by id; kNoStream: free
  std::vector<PairView> scratch_;
  Bitmap all_;
};

}  // namespace skald::store::index
