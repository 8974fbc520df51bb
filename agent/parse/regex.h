#pragma once
// RE2 with this room's options. Internal to agent/parse.

#include <re2/re2.h>

#include <memory>
#include <string_view>

#include "agent/parse/config_reader.h"

namespace skald::agent {

// Null and an error at `key` if it does not compile.
std::unique_ptr<re2::RE2> compile_regex(std::string_view expression, MapReader& body,
                                        std::string_view key);

inline bool regex_found(const re2::RE2& regex, std::string_view text) {
  return regex.Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                     re2::RE2::UNANCHORED, nullptr, 0);
}

}  // namespace skald::agent
