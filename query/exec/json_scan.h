#pragma once
// Reads JSON as Loki does, which is not how RFC 8259 does: values are found, not validated. A
// number is whatever begins with a digit or '-', what follows the outer object is ignored, errors
// appear only where the scan gets to. The texts of the errors are visible in __error_details__.

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "query/exec/arena.h"

namespace skald::query::json {

enum class Type : unsigned char {
  kNotExist,
  kString,
  kNumber,
  kObject,
  kArray,
  kBoolean,
  kNull,
  kUnknown
};

// Null: no error. The texts are static; compare the two stop codes by address.
using Error = const char*;
inline constexpr char kStopSatisfied[] = "found all required labels";
inline constexpr char kStopRefused[] = "found a label with a matcher that didn't match";
inline constexpr char kMalformedJson[] = "Malformed JSON error";
inline constexpr char kMalformedEscape[] = "Encountered an invalid escape sequence in a string";

struct Value {
  std::string_view text;  // without the quotes of a string, escapes not undone
  Type type = Type::kNotExist;
  std::size_t end = 0;  // behind the value, from the start of the input
  Error error = nullptr;
};
Value read_value(std::string_view data);

// Calls visit(key, value) for each member until it returns an error. Keys have their escapes
// undone (in the arena).
template <typename Visit>
Error for_each_member(std::string_view data, Arena& arena, Visit&& visit);

// One visit per path that was found: visit(path index, value). Index -1: malformed. A path holds
// keys and "[3]" array indexes.
void find_paths(std::string_view data, std::span<const std::vector<std::string>> paths,
                Arena& arena, const std::function<void(int, const Value&)>& visit);

// Undoes escapes. The view is `text` itself when it has none. nullopt: an invalid escape.
std::optional<std::string_view> unescape(std::string_view text, Arena& arena);
// The same, and Loki's care for label values: invalid UTF-8 and U+FFFD become spaces, an invalid
// escape makes the value empty.
std::string_view unescape_value(std::string_view text, Arena& arena);
std::string_view replace_invalid(std::string_view text, Arena& arena);  // the former of the two

// ---- pieces of for_each_member ----
std::size_t next_token(std::string_view data, std::size_t from);                 // npos: none
std::size_t string_end(std::string_view data, std::size_t from, bool& escaped);  // behind the quote

template <typename Visit>
Error for_each_member(std::string_view data, Arena& arena, Visit&& visit) {
  constexpr auto npos = std::string_view::npos;
  static constexpr char kObject[] = "Value looks like object, but can't find closing '}' symbol";
  static constexpr char kArray[] = "Value is array, but can't find closing ']' symbol";
  std::size_t at = next_token(data, 0);
  if (at == npos || data[at] != '{') return kObject;
  at = next_token(data, at + 1);
  if (at == npos) return kMalformedJson;
  if (data[at] == '}') return nullptr;
  while (at < data.size()) {
    if (data[at] == '}') return nullptr;
    if (data[at] != '"') return kObject;
    bool escaped = false;
    const std::size_t begin = at + 1;
    const std::size_t end = string_end(data, begin, escaped);
    if (end == npos) return kMalformedJson;
    std::string_view key = data.substr(begin, end - begin - 1);
    if (escaped) {
      const auto plain = unescape(key, arena);
      if (!plain) return kMalformedEscape;
      key = *plain;
    }
    at = next_token(data, end);
    if (at == npos || data[at] != ':') return kMalformedJson;
    ++at;
    if (arena.refused()) return kStopRefused;
    const Value value = read_value(data.substr(at));
    if (value.error != nullptr) return value.error;
    if (const Error error = visit(key, value); error != nullptr) return error;
    at = next_token(data, at + value.end);
    if (at == npos) return kArray;
    if (data[at] == '}') return nullptr;
    if (data[at] != ',') return kObject;
    at = next_token(data, at + 1);
    if (at == npos) return kArray;
  }
  return kObject;
}

}  // namespace skald::query::json
