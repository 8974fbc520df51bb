#pragma once
// RE2 with Go's error texts and replacement syntax. Compiled expressions are cached per process
// (kRegexCacheMax), since template functions are given their pattern at every call.
//
// All of them tell their work, and end with the error that it answers. kResourceExhausted: the
// expression is too large for so long a text (kRegexVisitsMax).

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/status.h"
#include "proto/gotext/template.h"

namespace re2 {
class RE2;
}

namespace skald::gotext {

using RegexPtr = std::shared_ptr<const re2::RE2>;

// kInvalidArgument with regexp.Compile's text: "error parsing regexp: missing closing ]: `[a`".
base::Result<RegexPtr> compile_regex(std::string_view pattern, Work& work);

// regexp.MustCompile's panic, as templates show it: "regexp: Compile(`[a`): error parsing ...".
base::Result<RegexPtr> must_compile_regex(std::string_view pattern, Work& work);

// regexp.ReplaceAllString: $1, ${1}, ${name}, $$ in `to`; or ReplaceAllLiteralString.
base::Result<std::string> regex_replace_all(const re2::RE2& regex, std::string_view text,
                                            std::string_view to, bool literal, Work& work);
// regexp.FindAllStringIndex: [start, end) of up to `count` matches (< 0: all), not overlapping;
// an empty match right after another one is left out.
using TextSpans = std::vector<std::pair<std::size_t, std::size_t>>;
base::Result<TextSpans> regex_find_all(const re2::RE2& regex, std::string_view text,
                                       std::int64_t count, Work& work);
// Of all such matches.
base::Result<std::size_t> regex_count(const re2::RE2& regex, std::string_view text, Work& work);
base::Result<bool> regex_contains(const re2::RE2& regex, std::string_view text, Work& work);
std::string regex_quote(std::string_view text);  // regexp.QuoteMeta

}  // namespace skald::gotext
