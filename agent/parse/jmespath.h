#pragma once
// JMESPath (jmespath.org, the grammar of 2015 that Promtail's library implements): identifiers,
// quoted identifiers, indices, slices, wildcards, flattening, filters, multiselects, pipes,
// literals, comparisons, && || !, @, & and the builtin functions.
//
// A search that fails (a function given the wrong type) is kInvalidArgument; the json stage then
// leaves the value alone. Compiled expressions are immutable. Internal to agent/parse.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/status.h"

namespace skald::agent {

struct JsonMember;

// A JSON value as a tree. Keys of objects are unique, in the order they came.
struct JsonValue {
  enum class Type : unsigned char { kNull, kBool, kNumber, kString, kArray, kObject };
  Type type = Type::kNull;
  bool boolean = false;
  double number = 0;
  std::string string;
  std::vector<JsonValue> items;
  std::vector<JsonMember> fields;

  const JsonValue* find(std::string_view key) const noexcept;
  friend bool operator==(const JsonValue& a, const JsonValue& b);
};

// A key and its value. Not a pair: that would need JsonValue to be complete.
struct JsonMember {
  JsonMember() = default;
  JsonMember(std::string key, JsonValue value) : first(std::move(key)), second(std::move(value)) {}
  std::string first;
  JsonValue second;
};

// Of duplicate keys the last wins. kInvalidArgument: no JSON, or nested beyond kJsonTreeDepthMax.
base::Result<JsonValue> parse_json_tree(std::string_view text);
// Compact, strings escaped as Go's encoding/json does (<, >, & and U+2028/9 too), numbers as Go
// prints doubles.
void append_json(const JsonValue& value, std::string& out);
void append_json_string(std::string_view text, std::string& out);

class JmesPath {
 public:
  // kInvalidArgument with the column of the mistake.
  static base::Result<JmesPath> compile(std::string_view expression);
  base::Result<JsonValue> search(const JsonValue& data) const;
  // a, a.b, "x-y".b: the keys, when the expression is nothing else.
  const std::optional<std::vector<std::string>>& plain_path() const noexcept { return plain_; }

  struct Expr;

 private:
  std::shared_ptr<const Expr> root_;
  std::optional<std::vector<std::string>> plain_;
};

}  // namespace skald::agent
