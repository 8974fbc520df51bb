#include "agent/parse/entry.h"

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"

namespace skald::agent {

namespace {

// Whether JSON number text already is what Go prints for its double with 'f', -1: up to 15 digits
// survive the way through a double, and nothing may be written that Go would leave out.
bool is_shortest_decimal(std::string_view text) noexcept {
  if (text.size() > 16 || text.empty()) return false;
  bool point = false;
  std::size_t digits = 0;
  for (char c : text) {
    if (c >= '0' && c <= '9') {
      ++digits;
    } else if (c == '.') {
      point = true;
    } else if (c != '-' || digits != 0) {
      return false;  // exponent
    }
  }
  if (digits > 15 || (point && text.back() == '0')) return false;
  return text != "-0";
}

}  // namespace

bool to_text(const Value& value, Arena& arena, std::string_view& out) {
  switch (value.kind) {
    case Value::Kind::kAbsent:
    case Value::Kind::kNull: return false;
    case Value::Kind::kString: out = value.text(); return true;
    case Value::Kind::kBool: out = value.boolean ? "true" : "false"; return true;
    case Value::Kind::kNumberText: {
      out = value.text();
      if (is_shortest_decimal(out)) return true;
      double number = 0;
      if (gotext::read_float(out, number) == gotext::NumberError::kSyntax) return false;
      out = arena.copy(gotext::format_float(number, 'f'));
      return true;
    }
    case Value::Kind::kFloat:
      out = arena.copy(gotext::format_float(value.number, 'f'));
      return true;
  }
  return false;
}

bool to_number(const Value& value, double& out) {
  switch (value.kind) {
    case Value::Kind::kAbsent:
    case Value::Kind::kNull: return false;
    case Value::Kind::kBool: out = value.boolean ? 1 : 0; return true;
    case Value::Kind::kFloat: out = value.number; return true;
    case Value::Kind::kNumberText:
    case Value::Kind::kString: {
      if (gotext::read_float(value.text(), out) == gotext::NumberError::kNone) return true;
      auto duration = gotext::parse_duration(value.text());
      if (!duration.ok()) return false;
      out = gotext::duration_seconds(*duration);
      return true;
    }
  }
  return false;
}

HeldEntry::HeldEntry(const Entry& entry)
    : timestamp_ns(entry.timestamp_ns),
      read_ns(entry.read_ns),
      range(entry.range),
      base_(entry.base),
      line_(entry.line),
      slots_(entry.slots),
      changes_(entry.changes),
      metadata_(entry.metadata) {
  std::size_t bytes = 0;
  for (const Value& value : slots_) bytes += value.is_text() ? value.size : 0;
  for (const LabelChange& change : changes_) bytes += change.value.size();
  for (const Metadata& pair : metadata_) bytes += pair.value.size();
  storage_.reserve(bytes + 1);  // + 1: never in the small buffer's moving place alone
  if (storage_.capacity() <= 15) storage_.reserve(32);
  for (Value& value : slots_) {
    if (value.is_text()) value.data = keep(value.text()).data();
  }
  for (LabelChange& change : changes_) {
    if (!change.removed()) change.value = keep(change.value);
  }
  for (Metadata& pair : metadata_) pair.value = keep(pair.value);
}

std::string_view HeldEntry::keep(std::string_view text) {
  const std::size_t at = storage_.size();
  storage_.append(text);
  return {storage_.data() + at, text.size()};
}

void HeldEntry::append(std::string_view separator, std::string_view text) {
  line_.append(separator).append(text);
}

void HeldEntry::restore(Entry& out) const {
  out.line = line_;
  out.timestamp_ns = timestamp_ns;
  out.read_ns = read_ns;
  out.base = base_.get();
  out.range = range;
  out.slots.assign(slots_.begin(), slots_.end());
  out.changes.assign(changes_.begin(), changes_.end());
  out.metadata.assign(metadata_.begin(), metadata_.end());
}

}  // namespace skald::agent
