#pragma once
// From the fields of a JSON shape to the label names that Loki's `| json` gives them.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "store/scan.h"

namespace skald::query::plan {

// Nested keys joined by '_', every byte outside [a-zA-Z0-9_] replaced by '_', a leading digit
// prefixed by '_'. Nullopt: the name depends on escapes or white space in a key; do not guess.
// Fields inside arrays have no name: the empty string.
std::optional<std::string> json_label_name(const store::Field& field);

// Where a label name is found in a shape.
struct FieldLookup {
  enum class Kind {
    kField,    // shape.fields[index], the only one of that name
    kAbsent,   // no row of the shape has the label from `| json`
    kUnknown,  // several fields share the name, or a key is odd: ask the row engine
  };
  Kind kind = Kind::kUnknown;
  std::size_t index = 0;
};
FieldLookup find_json_field(const store::Shape& shape, std::string_view label);

// Where the path of `| json a="b.c"` leads (logql::parse_json_path). Only plain shapes; kUnknown
// also for objects, arrays and what is in them.
FieldLookup find_json_path(const store::Shape& shape, std::span<const std::string> path);

}  // namespace skald::query::plan
