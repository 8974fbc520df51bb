#pragma once
// What stages work on: one line with its extracted values, label changes and structured metadata.
// Internal to agent/parse. Every view borrows from the line, from the arena (reset per line), from
// a LabelSet, or from a held entry that outlives the run.

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/label/label_set.h"
#include "agent/parse/pipeline.h"

namespace skald::agent {

// Bytes that live until the next line.
class Arena {
 public:
  char* allocate(std::size_t size) {
    if (size > room_) grow(size);
    char* at = next_;
    next_ += size;
    room_ -= size;
    return at;
  }
  std::string_view copy(std::string_view text) {
    char* at = allocate(text.size());
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    return {at, text.size()};
  }
  void reset() noexcept {
    if (blocks_.empty()) return;
    // Keeps the first block only: one long line must not pin its memory.
    if (blocks_.size() > 1) blocks_.resize(1);
    next_ = blocks_[0].get();
    room_ = kBlock;
  }

 private:
  static constexpr std::size_t kBlock = 16U << 10;
  void grow(std::size_t size) {
    const std::size_t bytes = size > kBlock ? size : kBlock;
    if (blocks_.empty() && bytes > kBlock) {
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(kBlock));  // for reset()
    }
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(bytes));
    next_ = blocks_.back().get();
    room_ = bytes;
  }
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t room_ = 0;
};

// A value of the extracted map. Numbers stay as the text of the JSON they came from until somebody
// wants them otherwise.
struct Value {
  enum class Kind : std::uint8_t { kAbsent, kNull, kString, kNumberText, kFloat, kBool };
  Kind kind = Kind::kAbsent;
  bool boolean = false;
  std::uint32_t size = 0;
  union {
    const char* data;
    double number;
  };

  Value() : data(nullptr) {}
  static Value null() {
    Value v;
    v.kind = Kind::kNull;
    return v;
  }
  static Value string(std::string_view text) {
    Value v;
    v.kind = Kind::kString;
    v.data = text.data();
    v.size = static_cast<std::uint32_t>(text.size());
    return v;
  }
  static Value number_text(std::string_view text) {
    Value v = string(text);
    v.kind = Kind::kNumberText;
    return v;
  }
  static Value real(double number) {
    Value v;
    v.kind = Kind::kFloat;
    v.number = number;
    return v;
  }
  static Value truth(bool boolean) {
    Value v;
    v.kind = Kind::kBool;
    v.boolean = boolean;
    return v;
  }
  bool absent() const noexcept { return kind == Kind::kAbsent; }
  std::string_view text() const noexcept { return {data, size}; }
  bool is_text() const noexcept { return kind == Kind::kString || kind == Kind::kNumberText; }
};

// Promtail's getString: floats in shortest plain decimal, true/false; null and absent fail.
bool to_text(const Value& value, Arena& arena, std::string_view& out);
// Promtail's getFloat: strings as float or as Go duration in seconds, booleans as 1 and 0.
bool to_number(const Value& value, double& out);

// Numbers for names, so that a stage never looks a name up. Grows with the targets' label names.
class Names {
 public:
  std::uint32_t id(std::string_view name) {
    auto found = ids_.find(name);
    if (found != ids_.end()) return found->second;
    const auto next = static_cast<std::uint32_t>(names_.size());
    names_.emplace_back(name);
    ids_.emplace(names_.back(), next);
    return next;
  }
  std::optional<std::uint32_t> find(std::string_view name) const {
    auto found = ids_.find(name);
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }
  const std::string& name(std::uint32_t id) const { return names_[id]; }
  std::size_t size() const noexcept { return names_.size(); }

 private:
  std::deque<std::string> names_;  // a deque: views into it stay
  std::unordered_map<std::string_view, std::uint32_t> ids_;
};

// A label set or removed since the line's file labels. Null data: removed.
struct LabelChange {
  std::uint32_t name = 0;
  std::string_view value;
  bool removed() const noexcept { return value.data() == nullptr; }
};

struct Metadata {
  std::uint32_t name = 0;
  std::string_view value;
};

struct Entry {
  std::string_view line;
  std::int64_t timestamp_ns = 0;
  std::int64_t read_ns = 0;
  const LabelSet* base = nullptr;
  SourceRange range;
  std::vector<Value> slots;          // by name
  std::vector<LabelChange> changes;  // a name at most once
  std::vector<Metadata> metadata;    // a name at most once

  void set_label(std::uint32_t name, std::string_view value) {
    if (value.data() == nullptr) value = std::string_view("", 0);
    put(name, value);
  }
  void remove_label(std::uint32_t name) { put(name, {}); }
  void set_metadata(std::uint32_t name, std::string_view value) {
    for (Metadata& known : metadata) {
      if (known.name == name) {
        known.value = value;
        return;
      }
    }
    metadata.push_back({name, value});
  }

 private:
  void put(std::uint32_t name, std::string_view value) {
    for (LabelChange& change : changes) {
      if (change.name == name) {
        change.value = value;
        return;
      }
    }
    changes.push_back({name, value});
  }
};

// An entry that waits in a holding stage: owns a copy of all it shows.
class HeldEntry {
 public:
  HeldEntry() = default;
  explicit HeldEntry(const Entry& entry);
  // A copy has its own storage, which its views must point into.
  HeldEntry(const HeldEntry& other) : HeldEntry(other.restored()) {}
  HeldEntry& operator=(const HeldEntry&) = delete;
  HeldEntry(HeldEntry&&) noexcept = default;  // the storage is on the heap and stays in place
  HeldEntry& operator=(HeldEntry&&) noexcept = default;
  void append(std::string_view separator, std::string_view text);  // to the line
  void truncate(std::size_t size) {
    if (line_.size() > size) line_.resize(size);
  }
  const std::string& line() const noexcept { return line_; }
  std::size_t bytes() const noexcept { return line_.size() + storage_.size() + sizeof(*this); }
  // Fills `out`; its views borrow from this object.
  void restore(Entry& out) const;

  std::int64_t timestamp_ns = 0;
  std::int64_t read_ns = 0;
  SourceRange range;

 private:
  std::string_view keep(std::string_view text);
  Entry restored() const {
    Entry entry;
    restore(entry);
    return entry;
  }
  LabelSetRef base_;
  std::string line_;
  std::string storage_;  // reserved in full before the first view into it
  std::vector<Value> slots_;
  std::vector<LabelChange> changes_;
  std::vector<Metadata> metadata_;
};

}  // namespace skald::agent
