#pragma once
// Go's package strings, encoding/base64 and net/url, as far as template functions use them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/gotext/functions.h"  // to_upper, to_lower, trim_space, query_escape, query_unescape

namespace skald::gotext {

std::string title(std::string_view text);        // strings.Title: the deprecated simple one
std::string title_words(std::string_view text);  // cases.Title(AmericanEnglish, NoLower)
std::string_view trim(std::string_view text, std::string_view cutset);
std::string_view trim_left(std::string_view text, std::string_view cutset);
std::string_view trim_right(std::string_view text, std::string_view cutset);
// strings.Replace; count < 0: all. kResourceExhausted beyond kFunctionOutputMax.
base::Result<std::string> replace(std::string_view text, std::string_view from, std::string_view to,
                                  std::int64_t count);
base::Result<std::string> repeat(std::string_view text, std::int64_t count);
// strings.Index in linear time; npos: none.
std::size_t find(std::string_view text, std::string_view part, std::size_t from = 0) noexcept;
std::vector<std::string_view> split(std::string_view text, std::string_view separator,
                                    std::int64_t count = -1);  // strings.SplitN
std::vector<char32_t> runes(std::string_view text);
std::string from_runes(const std::vector<char32_t>& runes, std::size_t from, std::size_t to);

// Error text: `illegal base64 data at input byte 4`.
base::Result<std::string> base64_decode(std::string_view text);

}  // namespace skald::gotext
