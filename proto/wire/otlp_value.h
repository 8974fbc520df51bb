#pragma once
// OTLP's AnyValue. Private to the room.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/wire/otlp_builder.h"

namespace skald::wire {

struct OtlpItem;

struct OtlpValue {
  enum class Kind : unsigned char { kEmpty, kString, kToken, kArray, kMap };
  Kind kind = Kind::kEmpty;
  std::string text;             // kString, kToken
  std::vector<OtlpItem> items;  // kMap, kArray (no keys)

  std::string as_text() const;  // scalars as they are, maps and arrays as JSON
  // Appends `name` = text; maps as name_key = text, however deep.
  base::Status flatten(std::string name, OtlpPairs& out) const;

 private:
  void append_json(std::string& out) const;
};

// A key and its value. Not a pair: that would need OtlpValue to be complete.
struct OtlpItem {
  OtlpItem() = default;
  OtlpItem(std::string key, OtlpValue value) : first(std::move(key)), second(std::move(value)) {}
  std::string first;
  OtlpValue second;
};

std::string otlp_double(double value);  // as Go's strconv writes 'f' with the shortest digits
std::string otlp_hex(std::string_view bytes);

}  // namespace skald::wire
