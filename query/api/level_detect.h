#pragma once
// The `detected_level` of a line, by Loki's rules: a level-like key of a JSON line (two levels
// deep) or of logfmt, else the first level word that stands alone, else "unknown".

#include <string>
#include <string_view>
#include <vector>

namespace skald::query::api {

// "WARNING" -> "warn". Words that are no known level come back as they are.
std::string_view normalize_level(std::string_view level) noexcept;

// OTLP severity number as text.
std::string_view level_of_severity(std::string_view number) noexcept;

// Views are of static texts.
std::string_view detect_level(std::string_view line, const std::vector<std::string>& fields);

}  // namespace skald::query::api
