#pragma once
// The few Unicode properties that Go's text functions ask for (Unicode 15, as Go 1.21 and later).
// Pure; ASCII takes a short path.

#include "proto/model/go_quote.h"

namespace skald::gotext {

bool is_letter(char32_t rune) noexcept;      // category L
bool is_digit_rune(char32_t rune) noexcept;  // category Nd
bool is_space(char32_t rune) noexcept;       // White_Space
using model::is_print;
char32_t to_upper_rune(char32_t rune) noexcept;
char32_t to_lower_rune(char32_t rune) noexcept;
char32_t to_title_rune(char32_t rune) noexcept;

}  // namespace skald::gotext
