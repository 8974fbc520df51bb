#pragma once
// Query strings and forms as they come in requests.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skald::net {

// %XX undone; '+' becomes a space if `plus_is_space` (queries and forms, not paths). A broken
// escape stays as it is.
std::string percent_decode(std::string_view text, bool plus_is_space = false);

using FormFields = std::vector<std::pair<std::string, std::string>>;

// name=value&name=value, decoded; in order, repeated names kept. Appends to `out`; at most
// kFormFieldsMax in all, the rest is dropped.
void parse_form(std::string_view text, FormFields& out);

constexpr std::size_t kFormFieldsMax = 1000;

}  // namespace skald::net
