#pragma once
// Writing JSON answers: appends to a string. Text is escaped as JSON wants and any invalid UTF-8
// becomes U+FFFD, because one bad byte would make a client refuse the whole answer.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/model/labels.h"

namespace skald::query::api {

void append_json_string(std::string& out, std::string_view text);  // with the quotes
void append_json_labels(std::string& out, const model::Labels& labels);
void append_json_strings(std::string& out, const std::vector<std::string>& texts);
void append_integer(std::string& out, std::int64_t value);
void append_unsigned(std::string& out, std::uint64_t value);
// As Prometheus writes sample values: the shortest decimal without exponent; NaN, +Inf, -Inf.
void append_sample_value(std::string& out, double value);
// Milliseconds as seconds with up to three decimals: 1700000000.123
void append_seconds(std::string& out, std::int64_t time_ms);

}  // namespace skald::query::api
