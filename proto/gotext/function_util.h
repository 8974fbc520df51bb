#pragma once
// Shared by the function tables. Internal to the room.

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/gotext/strings.h"
#include "proto/gotext/template.h"

namespace skald::gotext {

// cast.ToInt64 and cast.ToFloat64 of sprig: what cannot be read is zero.
std::int64_t to_int64(const Value& value);
double to_float64(const Value& value);
bool is_empty(const Value& value);        // sprig's empty
std::string to_text(const Value& value);  // sprig's strval

// Exact decimal arithmetic of sprig's addf, subf, mulf and divf (16 places for quotients).
enum class DecimalOp : std::uint8_t { kAdd, kSubtract, kMultiply, kDivide };
base::Result<double> decimal_fold(DecimalOp op, std::span<const Value> values, bool from_zero);

std::int64_t wrapped_unix_ns(const Time& time);  // Time.UnixNano: overflows as in Go

// Builders of table entries by argument types.
template <typename F>
Function string_function(F body) {  // (string) -> string
  return {{ParamType::kString}, false, [body](const Call& c) -> base::Result<Value> {
            return Value(std::string(body(c.args[0].as_string())));
          }};
}
template <typename F>
Function string2_function(F body) {  // (string, string) -> anything a Value is made of
  return {{ParamType::kString, ParamType::kString},
          false,
          [body](const Call& c) -> base::Result<Value> {
            return Value(body(c.args[0].as_string(), c.args[1].as_string()));
          }};
}

// Sprig's functions that LogQL allows, added to `table`.
void add_logql_sprig(FunctionTable& table);
// ToLower, Replace, TrimLeft, ... and regexReplaceAll(Literal), which LogQL and Promtail share.
void add_deprecated_strings(FunctionTable& table);
// date, toDate, now, unixEpoch and their like.
void add_sprig_dates(FunctionTable& table);

}  // namespace skald::gotext
