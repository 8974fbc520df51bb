#pragma once
// Writing JSON answers: appends to a string.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/text_code.h"
#include "proto/model/labels_json.h"

namespace skald::query::api {

using base::append_json_string;
using model::append_json_labels;
void append_json_strings(std::string& out, const std::vector<std::string>& texts);
void append_integer(std::string& out, std::int64_t value);
void append_unsigned(std::string& out, std::uint64_t value);
// As Prometheus writes sample values: the shortest decimal without exponent; NaN, +Inf, -Inf.
void append_sample_value(std::string& out, double value);
// Milliseconds as seconds with up to three decimals: 1700000000.123
void append_seconds(std::string& out, std::int64_t time_ms);

}  // namespace skald::query::api
