#pragma once
// strconv's and time's quoting, exact: strings, single runes, and the character constants of
// templates.

#include <string>
#include <string_view>

#include "proto/base/status.h"
#include "proto/model/go_quote.h"

namespace skald::gotext {

using model::QuoteStyle;
inline std::string quote(std::string_view text, QuoteStyle style = {}) {  // strconv.Quote
  return model::go_quote(text, style);
}
std::string quote_rune(char32_t rune, bool ascii_only = false);  // strconv.QuoteRune
std::string time_quote(std::string_view text);  // package time's: not ASCII or control as \x
bool can_backquote(std::string_view text);      // strconv.CanBackquote
// 'x', with the quotes. Error text as the template parser shows it.
base::Result<char32_t> parse_char_constant(std::string_view text);

}  // namespace skald::gotext
