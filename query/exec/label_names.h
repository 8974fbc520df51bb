#pragma once
// Label names that parsers make of keys: [a-zA-Z0-9_], other characters become '_', a leading digit
// gets a '_' in front, surrounding white space goes.

#include <string_view>

#include "query/exec/arena.h"

namespace skald::query {

// The name, or empty. A clean key comes back as it is, without a copy.
std::string_view clean_label_name(std::string_view key, Arena& arena);
// Appends a key of a nested JSON object to the name made of those above it.
void append_label_name(std::string& out, std::string_view key);
std::string_view trim_unicode_space(std::string_view text);

}  // namespace skald::query
