#include "store/index/label_index.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

namespace skald::store::index {

void LabelIndex::Posting::add(std::uint32_t number) {
  if (single == kNoStream) {
    single = number;
    return;
  }
  if (single != kSpread) many.add(std::exchange(single, kSpread));
  many.add(number);
}

bool LabelIndex::Posting::intersects(const Bitmap& among) const {
  return single == kSpread ? many.intersects(among) : among.contains(single);
}

void LabelIndex::Posting::unite_into(Bitmap& out) const {
  if (single == kSpread)
    out.unite(many);
  else
    out.add(single);
}

std::size_t LabelIndex::slot_of(model::StreamId id) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = (id.value * 0x9E3779B97F4A7C15ULL >> 20) & mask;
  while (slots_[slot] != kNoStream && streams_[slots_[slot]].id != id) slot = (slot + 1) & mask;
  return slot;
}

void LabelIndex::grow_slots() {
  slots_.assign(std::max<std::size_t>(64, slots_.size() * 2), kNoStream);
  for (std::uint32_t number = 0; number < streams_.size(); ++number)
    slots_[slot_of(streams_[number].id)] = number;
}

std::uint32_t LabelIndex::find(model::StreamId id) const {
  return slots_.empty() ? kNoStream : slots_[slot_of(id)];
}

bool LabelIndex::equal(const Stream& stream, const model::Labels& labels) const {
  if (stream.pairs_count != labels.size()) return false;
  const Pair* pair = pairs_.data() + stream.pairs_at;
  for (const auto& [name, value] : labels) {
    if (names_[pair->name].text != name || values_[pair->value].text != value) return false;
    ++pair;
  }
  return true;
}

std::uint32_t LabelIndex::find(const model::Labels& labels) const {
  for (model::StreamId candidate{labels.hash()};; ++candidate.value) {
    const std::uint32_t number = find(candidate);
    if (number == kNoStream || equal(streams_[number], labels)) return number;
  }
}

std::uint32_t LabelIndex::find_or_add(const model::Labels& labels) {
  for (model::StreamId candidate{labels.hash()};; ++candidate.value) {
    const std::uint32_t number = find(candidate);
    if (number == kNoStream) {
      scratch_.assign(labels.begin(), labels.end());
      return append(candidate, scratch_);
    }
    if (equal(streams_[number], labels)) return number;
  }
}

std::uint32_t LabelIndex::add_known(model::StreamId id, const model::Labels& labels) {
  scratch_.assign(labels.begin(), labels.end());
  return add_known(id, std::span<const PairView>(scratch_));
}

std::uint32_t LabelIndex::add_known(model::StreamId id, std::span<const PairView> labels) {
  const std::uint32_t number = find(id);
  return number != kNoStream ? number : append(id, labels);
}

void LabelIndex::reserve(std::uint32_t streams) {
  streams_.reserve(streams);
  if (slots_.size() < std::size_t{streams} * 2) {
    slots_.resize(std::bit_ceil(std::max<std::size_t>(32, std::size_t{streams})));
    grow_slots();
  }
}

std::uint32_t LabelIndex::append(model::StreamId id, std::span<const PairView> labels) {
  if ((streams_.size() + 1) * 2 > slots_.size()) grow_slots();
  const auto number = static_cast<std::uint32_t>(streams_.size());
  slots_[slot_of(id)] = number;
  streams_.push_back(
      {id, static_cast<std::uint32_t>(pairs_.size()), static_cast<std::uint32_t>(labels.size())});
  all_.add(number);
  for (const auto& [name_text, value_text] : labels) {
    const std::uint32_t name = find_or_add_name(name_text);
    names_[name].streams.add(number);
    const std::uint32_t value = find_or_add_value(names_[name].values, value_text);
    values_[value].streams.add(number);
    pairs_.push_back({name, value});
  }
  return number;
}

std::uint32_t LabelIndex::find_or_add_name(std::string_view text) {
  const auto found = name_numbers_.find(text);
  if (found != name_numbers_.end()) return found->second;
  names_.emplace_back().text = text;
  const auto number = static_cast<std::uint32_t>(names_.size() - 1);
  name_numbers_.emplace(names_.back().text, number);
  return number;
}

namespace {

std::uint64_t tag_of(std::string_view text) noexcept {
  return std::uint64_t{std::hash<std::string_view>()(text)} & ~0xFFFFFFFFULL;
}

std::size_t place_of(std::uint64_t slot, std::size_t size) noexcept {
  return static_cast<std::size_t>(slot >> 32) & (size - 1);
}

}  // namespace

std::uint32_t LabelIndex::find_value(const ValueTable& table, std::string_view text) const {
  const std::vector<std::uint64_t>& slots = table.slots;
  if (slots.empty()) return kNoStream;
  const std::uint64_t tag = tag_of(text);
  for (std::size_t at = place_of(tag, slots.size()); slots[at] != kFreeSlot;
       at = (at + 1) & (slots.size() - 1)) {
    const auto number = static_cast<std::uint32_t>(slots[at]);
    if ((slots[at] & ~0xFFFFFFFFULL) == tag && values_[number].text == text) return number;
  }
  return kNoStream;
}

std::uint32_t LabelIndex::find_or_add_value(ValueTable& table, std::string_view text) {
  if (const std::uint32_t found = find_value(table, text); found != kNoStream) return found;
  const auto put = [](std::vector<std::uint64_t>& slots, std::uint64_t slot) {
    std::size_t at = place_of(slot, slots.size());
    while (slots[at] != kFreeSlot) at = (at + 1) & (slots.size() - 1);
    slots[at] = slot;
  };
  if ((table.used + 1) * 2 > table.slots.size()) {
    std::vector<std::uint64_t> larger(std::max<std::size_t>(4, table.slots.size() * 2), kFreeSlot);
    for (const std::uint64_t slot : table.slots)
      if (slot != kFreeSlot) put(larger, slot);
    table.slots = std::move(larger);
  }
  values_.emplace_back().text = text;
  const auto number = static_cast<std::uint32_t>(values_.size() - 1);
  put(table.slots, tag_of(text) | number);
  ++table.used;
  return number;
}

model::Labels LabelIndex::labels(std::uint32_t number) const {
  const Stream& stream = streams_[number];
  std::vector<model::Labels::Pair> pairs;
  pairs.reserve(stream.pairs_count);
  for (std::uint32_t i = 0; i < stream.pairs_count; ++i) {
    const Pair& pair = pairs_[stream.pairs_at + i];
    pairs.emplace_back(names_[pair.name].text, values_[pair.value].text);
  }
  return model::Labels::from_pairs(std::move(pairs));
}

const LabelIndex::Name* LabelIndex::find_name(std::string_view name) const {
  const auto found = name_numbers_.find(name);
  return found == name_numbers_.end() ? nullptr : &names_[found->second];
}

// The streams whose value is present and for which the matcher says `matches`.
Bitmap LabelIndex::matching(const model::Matcher& matcher, bool matches) const {
  Bitmap out;
  const Name* name = find_name(matcher.name());
  if (name == nullptr) return out;
  const auto unite = [&](std::string_view value) {
    const std::uint32_t found = find_value(name->values, value);
    if (found != kNoStream) values_[found].streams.unite_into(out);
  };
  using Op = model::Matcher::Op;
  const bool positive = matcher.op() == Op::kEqual || matcher.op() == Op::kRegex;
  const bool literal = matcher.op() == Op::kEqual || matcher.op() == Op::kNotEqual;
  if (matches == positive && literal) {
    unite(matcher.value());
  } else if (matches == positive && !matcher.literal_set().empty()) {
    for (const std::string& value : matcher.literal_set()) unite(value);
  } else {
    name->values.for_each([&](std::uint32_t value) {
      if (matcher.matches(values_[value].text) == matches) values_[value].streams.unite_into(out);
    });
  }
  return out;
}

Bitmap LabelIndex::resolve(const model::Matchers& matchers) const {
  Bitmap out;
  bool first = true;
  for (const auto& matcher : matchers) {  // those that need the label: small sets first
    if (matcher.matches_empty()) continue;
    Bitmap set = matching(matcher, true);
    if (first)
      out = std::move(set);
    else
      out.intersect(set);
    first = false;
    if (out.empty()) return out;
  }
  if (first) out = all_;
  for (const auto& matcher : matchers)
    if (matcher.matches_empty()) out.subtract(matching(matcher, false));
  return out;
}

std::vector<std::string> LabelIndex::names(const Bitmap* among) const {
  std::vector<std::string> out;
  for (const Name& name : names_)
    if (among == nullptr || name.streams.intersects(*among)) out.push_back(name.text);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> LabelIndex::values(std::string_view name_text, const Bitmap* among) const {
  std::vector<std::string> out;
  const Name* name = find_name(name_text);
  if (name == nullptr) return out;
  // Asking a stream costs about a fiftieth of asking a value's postings.
  constexpr std::uint64_t kStreamsPerValue = 50;
  if (among != nullptr && among->size() < name->values.used * kStreamsPerValue) {
    std::vector<std::uint32_t> numbers;
    for (const std::uint32_t number : among->values()) {
      const Stream& stream = streams_[number];
      for (std::uint32_t i = 0; i < stream.pairs_count; ++i) {
        const Pair& pair = pairs_[stream.pairs_at + i];
        if (&names_[pair.name] == name) numbers.push_back(pair.value);
      }
    }
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    for (const std::uint32_t number : numbers) out.push_back(values_[number].text);
  } else {
    name->values.for_each([&](std::uint32_t value) {
      if (among == nullptr || values_[value].streams.intersects(*among))
        out.push_back(values_[value].text);
    });
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::size_t LabelIndex::memory_bytes() const {
  std::size_t bytes = streams_.capacity() * sizeof(Stream) + pairs_.capacity() * sizeof(Pair) +
                      slots_.capacity() * 4 + all_.memory_bytes();
  for (const Name& name : names_)
    bytes += sizeof(Name) + name.streams.memory_bytes() + name.values.slots.capacity() * 8;
  for (const Value& value : values_)
    bytes += sizeof(Value) + (value.text.size() > 15 ? value.text.size() + 17 : 0) +
             value.streams.many.memory_bytes();
  return bytes;
}

}  // namespace skald::store::index
