#include "store/index/label_index.h"

#include <algorithm>
#include <utility>

namespace skald::store::index {

void LabelIndex::Posting::add(std::uint32_t number) {
  if (single == kNoStream && many.empty()) {
    single = number;
    return;
  }
  if (single != kNoStream) many.add(std::exchange(single, kNoStream));
  many.add(number);
}

bool LabelIndex::Posting::intersects(const Bitmap& among) const {
  return single != kNoStream ? among.contains(single) : many.intersects(among);
}

void LabelIndex::Posting::unite_into(Bitmap& out) const {
  if (single != kNoStream)
    out.add(single);
  else
    out.unite(many);
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
    if (number == kNoStream) return append(candidate, labels);
    if (equal(streams_[number], labels)) return number;
  }
}

std::uint32_t LabelIndex::add_known(model::StreamId id, const model::Labels& labels) {
  const std::uint32_t number = find(id);
  return number != kNoStream ? number : append(id, labels);
}

std::uint32_t LabelIndex::append(model::StreamId id, const model::Labels& labels) {
  if ((streams_.size() + 1) * 2 > slots_.size()) grow_slots();
  const auto number = static_cast<std::uint32_t>(streams_.size());
  slots_[slot_of(id)] = number;
  streams_.push_back(
      {id, static_cast<std::uint32_t>(pairs_.size()), static_cast<std::uint32_t>(labels.size())});
  all_.add(number);
  for (const auto& [name_text, value_text] : labels) {
    auto found = name_numbers_.find(name_text);
    if (found == name_numbers_.end()) {
      names_.emplace_back().text = name_text;
      found =
          name_numbers_.emplace(names_.back().text, static_cast<std::uint32_t>(names_.size() - 1))
              .first;
    }
    Name& name = names_[found->second];
    name.streams.add(number);
    auto value = name.values.find(value_text);
    if (value == name.values.end()) {
      values_.emplace_back().text = value_text;
      value =
          name.values.emplace(values_.back().text, static_cast<std::uint32_t>(values_.size() - 1))
              .first;
    }
    values_[value->second].streams.add(number);
    pairs_.push_back({found->second, value->second});
  }
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
    const auto found = name->values.find(value);
    if (found != name->values.end()) values_[found->second].streams.unite_into(out);
  };
  using Op = model::Matcher::Op;
  const bool positive = matcher.op() == Op::kEqual || matcher.op() == Op::kRegex;
  const bool literal = matcher.op() == Op::kEqual || matcher.op() == Op::kNotEqual;
  if (matches == positive && literal) {
    unite(matcher.value());
  } else if (matches == positive && !matcher.literal_set().empty()) {
    for (const std::string& value : matcher.literal_set()) unite(value);
  } else {
    for (const auto& [text, value] : name->values)
      if (matcher.matches(text) == matches) values_[value].streams.unite_into(out);
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
  if (among != nullptr && among->size() < name->values.size() * kStreamsPerValue) {
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
    for (const auto& [text, value] : name->values)
      if (among == nullptr || values_[value].streams.intersects(*among)) out.emplace_back(text);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::size_t LabelIndex::memory_bytes() const {
  constexpr std::size_t kNodeBytes = 48;  // of an unordered_map, with its bucket
  std::size_t bytes = streams_.capacity() * sizeof(Stream) + pairs_.capacity() * sizeof(Pair) +
                      slots_.capacity() * 4 + all_.memory_bytes();
  for (const Name& name : names_)
    bytes += sizeof(Name) + name.streams.memory_bytes() + name.values.size() * kNodeBytes;
  for (const Value& value : values_)
    bytes += sizeof(Value) + (value.text.size() > 15 ? value.text.size() + 17 : 0) +
             value.streams.many.memory_bytes();
  return bytes;
}

}  // namespace skald::store::index
