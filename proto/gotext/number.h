#pragma once
// Numbers as Go's strconv reads and writes them. All functions are pure and thread-safe.
//
// Errors carry strconv's own text, because users see it in `__error_details__`:
// `strconv.ParseFloat: parsing "x": invalid syntax`.

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/status.h"

namespace skald::gotext {

// strconv.FormatFloat. `format` is one of b e E f g G x X; precision -1 is the shortest text that
// reads back as the same double. Infinities are +Inf and -Inf, not-a-number is NaN.
std::string format_float(double value, char format, int precision = -1);
void append_float(std::string& out, double value, char format, int precision = -1);

// What parse_* has to say, without building a message. kRange still sets `out` to the nearest
// representable value (infinity, or the limit of the integer type), as strconv does.
enum class NumberError : std::uint8_t { kNone, kSyntax, kRange };

// strconv.ParseFloat(text, 64): decimal and hexadecimal (with p exponent), inf, infinity and nan in
// any case with optional sign ("nan" without); underscores between digits as in Go source; no
// spaces.
NumberError read_float(std::string_view text, double& out) noexcept;
// strconv.ParseInt(text, base, bits): base 2..36, or 0 to take it from the prefix (0x, 0o, 0b, 0),
// which also allows underscores as in Go source.
NumberError read_int(std::string_view text, int base, int bits, std::int64_t& out) noexcept;
NumberError read_uint(std::string_view text, int base, int bits, std::uint64_t& out) noexcept;

// The same with Go's error text; kRange is an error too.
base::Result<double> parse_float(std::string_view text);
base::Result<std::int64_t> parse_int(std::string_view text, int base = 10, int bits = 64);
base::Result<std::uint64_t> parse_uint(std::string_view text, int base = 10, int bits = 64);

// math.Pow, whose last digits are not those of C: whole powers are products of squares.
double power(double base, double exponent) noexcept;

}  // namespace skald::gotext
