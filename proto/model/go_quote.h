#pragma once
// Go's quoting with its choices; go_quote() and go_unquote() of labels.h are the usual case.

#include <string>
#include <string_view>

namespace skald::model {

struct QuoteStyle {
  char quote = '"';
  bool ascii_only = false;
};
std::string go_quote(std::string_view text, QuoteStyle style);  // strconv.Quote
// One character as it stands between the quotes.
void append_go_escaped(std::string& out, char32_t rune, QuoteStyle style);

// strconv.IsPrint: L, M, N, P, S and the ASCII space (Unicode 15, as Go 1.21 and later).
bool is_print(char32_t rune) noexcept;

}  // namespace skald::model
