#pragma once
// The json stage's fast path: one forward pass over a line that checks it is a JSON object
// (RFC 8259, nesting up to kJsonDepthMax) and picks out plain paths (a, a.b, a.b.c) on the way. No
// padding is needed behind the line; nothing is allocated but unescaped strings (in the arena).
// Like Go's decoder into a map it takes the last of duplicate keys, and like jsoniter it does not
// look at UTF-8.
//
// Internal to agent/parse. Immutable once built.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/parse/entry.h"

namespace skald::agent {

// A value as the scan saw it.
struct JsonField {
  enum class Type : std::uint8_t { kNull, kString, kNumber, kTrue, kFalse, kObject, kArray };
  Type type = Type::kNull;
  bool escaped = false;   // a string with backslashes: text is raw
  std::string_view text;  // string: between the quotes; number, object, array: the JSON text
};

class JsonPaths {
 public:
  // Returns the number of the path's result.
  std::size_t add(const std::vector<std::string>& path);
  std::size_t size() const noexcept { return results_; }

  // False: not one JSON object (or the bare word null). `results` (size() of them) is then
  // undefined; on success what is absent is kNull.
  bool scan(std::string_view text, Arena& arena, JsonField* results) const;

 private:
  friend class JsonScanner;
  struct Branch {
    std::string key;
    std::vector<std::size_t> results;  // that want this very value
    std::vector<std::size_t> below;    // results of all branches below
    std::vector<Branch> branches;
    std::uint64_t lengths = 0;  // of the keys of `branches`, one bit each
  };
  Branch root_;
  std::size_t results_ = 0;
};

// Checks any JSON value; used where no path is wanted.
bool is_json_value(std::string_view text) noexcept;
// Appends the string's characters; `raw` is valid JSON string content. Lone surrogates are U+FFFD.
void append_unescaped(std::string_view raw, std::string& out);
std::string_view unescape(std::string_view raw, Arena& arena);

}  // namespace skald::agent
