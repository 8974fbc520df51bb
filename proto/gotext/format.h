#pragma once
// fmt.Sprint, Sprintln and Sprintf over Values: verbs v d s q x X f F e E g G t T c U b o O %,
// flags
// + - # space 0, width and precision (also *), argument indexes. Mistakes are written into the
// text as Go does: %!d(string=x), %!s(MISSING), %!(EXTRA int=1).

#include <span>
#include <string>
#include <string_view>

#include "proto/gotext/value.h"

namespace skald::gotext {

void append_value(std::string& out, const Value& value);  // %v
std::string sprint(std::span<const Value> values);        // spaces between non-strings
std::string sprintln(std::span<const Value> values);
std::string time_go_syntax(const Time& time);  // %#v of a time
bool is_named_integer(const Value& value);     // time.Month or time.Weekday
std::string sprintf(std::string_view format, std::span<const Value> values);

}  // namespace skald::gotext
