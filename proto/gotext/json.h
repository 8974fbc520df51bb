#pragma once
// JSON to and from template values, as encoding/json does with interface{}.

#include <string>
#include <string_view>

#include "proto/base/status.h"
#include "proto/gotext/value.h"

namespace skald::gotext {

// Objects become maps (the last of equal keys wins), numbers float64, null nil. Any syntax error
// fails the whole text. Strings lose invalid UTF-8 (U+FFFD).
base::Result<Value> parse_json(std::string_view text);

struct JsonStyle {
  bool escape_html = true;  // < > & as \u003c ...
  std::string_view indent;  // empty: compact
};
std::string to_json(const Value& value, JsonStyle style = {});

}  // namespace skald::gotext
