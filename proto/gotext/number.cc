#include "proto/gotext/number.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "proto/model/labels.h"

namespace skald::gotext {
namespace {

// The significant digits of a positive double: 0.d1d2d3... * 10^point, no trailing zeros.
struct Decimal {
  std::string digits;
  int point = 0;
};

// Shortest digits (precision < 0), or `precision` digits after the first one.
Decimal scientific(double value, int precision) {
  if (value == 0) return {"", 0};
  std::string buffer(static_cast<std::size_t>(std::max(precision, 0)) + 32, '\0');
  const auto end = precision < 0 ? std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                                 value, std::chars_format::scientific)
                                 : std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                                 value, std::chars_format::scientific, precision);
  buffer.resize(static_cast<std::size_t>(end.ptr - buffer.data()));
  const auto e = buffer.find('e');
  int exponent = 0;
  const char* from = buffer.data() + e + 1 + (buffer[e + 1] == '+' ? 1 : 0);
  std::from_chars(from, buffer.data() + buffer.size(), exponent);
  Decimal decimal;
  decimal.digits = buffer.substr(0, e);
  if (decimal.digits.size() > 1) decimal.digits.erase(1, 1);
  const auto last = decimal.digits.find_last_not_of('0');
  decimal.digits.resize(last == std::string::npos ? 0 : last + 1);
  decimal.point = exponent + 1;
  return decimal;
}

void append_exponent(std::string& out, char letter, int exponent, int width) {
  out += letter;
  out += exponent < 0 ? '-' : '+';
  std::string digits = std::to_string(std::abs(exponent));
  if (digits.size() < static_cast<std::size_t>(width)) out.append(width - digits.size(), '0');
  out += digits;
}

void append_e(std::string& out, const Decimal& d, char letter, int precision) {
  out += d.digits.empty() ? '0' : d.digits[0];
  if (precision > 0) {
    out += '.';
    const auto have = d.digits.empty() ? 0 : d.digits.size() - 1;
    const auto take = std::min(have, static_cast<std::size_t>(precision));
    if (take > 0) out.append(d.digits, 1, take);
    out.append(static_cast<std::size_t>(precision) - take, '0');
  }
  append_exponent(out, letter, d.digits.empty() ? 0 : d.point - 1, 2);
}

void append_f(std::string& out, const Decimal& d, int precision) {
  const int count = static_cast<int>(d.digits.size());
  if (d.point > 0) {
    const int take = std::min(count, d.point);
    out.append(d.digits, 0, static_cast<std::size_t>(take));
    out.append(static_cast<std::size_t>(d.point - take), '0');
  } else {
    out += '0';
  }
  if (precision <= 0) return;
  out += '.';
  for (int i = 0; i < precision; ++i) {
    const int at = d.point + i;
    out += at >= 0 && at < count ? d.digits[static_cast<std::size_t>(at)] : '0';
  }
}

void append_g(std::string& out, double value, char letter, int precision) {
  const bool shortest = precision < 0;
  if (precision == 0) precision = 1;
  const Decimal d = scientific(value, shortest ? -1 : precision - 1);
  const int count = static_cast<int>(d.digits.size());
  if (shortest) precision = count;
  int limit = precision;
  if (limit > count && count >= d.point) limit = count;
  if (shortest) limit = 6;
  const int exponent = d.point - 1;
  if (exponent < -4 || exponent >= limit)
    append_e(out, d, letter, std::min(precision, count) - 1);
  else
    append_f(out, d, std::max(count - d.point, 0));
}

// 0x1.yyyyp±dd
void append_x(std::string& out, double value, char letter, int precision) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  int exponent = static_cast<int>((bits >> 52) & 0x7FF);
  if (exponent == 0)
    exponent = -1022;
  else {
    mantissa |= std::uint64_t{1} << 52;
    exponent -= 1023;
  }
  if (mantissa == 0) {
    exponent = 0;
  } else {
    while ((mantissa & (std::uint64_t{1} << 52)) == 0) mantissa <<= 1, --exponent;
  }
  if (precision >= 0 && precision < 13) {  // round half to even at 4 * precision bits
    const int drop = 52 - 4 * precision;
    const std::uint64_t extra = mantissa & ((std::uint64_t{1} << drop) - 1);
    const std::uint64_t half = std::uint64_t{1} << (drop - 1);
    mantissa >>= drop;
    if (extra > half || (extra == half && (mantissa & 1))) ++mantissa;
    mantissa <<= drop;
    if (mantissa >> 53) mantissa >>= 1, ++exponent;
  }
  const char* digits = letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  out += '0';
  out += letter;
  out += static_cast<char>('0' + (mantissa >> 52));
  std::uint64_t rest = mantissa << 12;
  if (precision < 0 ? rest != 0 : precision > 0) {
    out += '.';
    for (int i = 0; precision < 0 ? rest != 0 : i < precision; ++i, rest <<= 4)
      out += digits[rest >> 60];
  }
  append_exponent(out, letter == 'X' ? 'P' : 'p', exponent, 2);
}

// mantissa "p" exponent, both decimal
void append_b(std::string& out, double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  int exponent = static_cast<int>((bits >> 52) & 0x7FF);
  if (exponent == 0)
    exponent = 1;
  else
    mantissa |= std::uint64_t{1} << 52;
  exponent -= 1023 + 52;
  out += std::to_string(mantissa) + (exponent < 0 ? "p" : "p+") + std::to_string(exponent);
}

bool equals_folded(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
         });
}

bool read_special(std::string_view text, double& out) {
  bool negative = false;
  std::string_view rest = text;
  const bool has_sign = !rest.empty() && (rest[0] == '+' || rest[0] == '-');
  if (has_sign) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (equals_folded(rest, "inf") || equals_folded(rest, "infinity")) {
    out = negative ? -std::numeric_limits<double>::infinity()
                   : std::numeric_limits<double>::infinity();
    return true;
  }
  if (!has_sign && equals_folded(rest, "nan")) {
    out = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  return false;
}

// Go's rule: an underscore stands between digits, or after a base prefix.
bool underscores_ok(std::string_view text) {
  char before = '^';
  std::size_t i = 0;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) i = 1;
  bool hex = false;
  if (text.size() >= i + 2 && text[i] == '0') {
    const char c = static_cast<char>(text[i + 1] | 0x20);
    if (c == 'b' || c == 'o' || c == 'x') {
      before = '0';
      hex = c == 'x';
      i += 2;
    }
  }
  for (; i < text.size(); ++i) {
    const char c = text[i];
    const char lower = static_cast<char>(c | 0x20);
    if ((c >= '0' && c <= '9') || (hex && lower >= 'a' && lower <= 'f')) {
      before = '0';
    } else if (c == '_') {
      if (before != '0') return false;
      before = '_';
    } else {
      if (before == '_') return false;
      before = '!';
    }
  }
  return before != '_';
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) {
  const char lower = static_cast<char>(c | 0x20);
  return is_digit(c) || (lower >= 'a' && lower <= 'f');
}

// What a scan of the syntax found.
struct FloatScan {
  bool ok = false;
  bool negative = false, hex = false, underscores = false, nonzero = false;
  std::int64_t magnitude = 0;  // decimal: exponent of the first nonzero digit, roughly
};

FloatScan scan_float(std::string_view text) {
  FloatScan scan;
  std::size_t i = 0;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) scan.negative = text[i++] == '-';
  if (i + 2 < text.size() && text[i] == '0' && (text[i + 1] | 0x20) == 'x') {
    scan.hex = true;
    i += 2;
  }
  bool digits = false, point = false;
  std::int64_t before_point = 0, zeros_after_point = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '_') {
      scan.underscores = true;
    } else if (c == '.') {
      if (point) return scan;
      point = true;
    } else if (scan.hex ? is_hex(c) : is_digit(c)) {
      digits = true;
      if (c != '0') scan.nonzero = true;
      if (!point && scan.nonzero) ++before_point;
      if (point && !scan.nonzero) ++zeros_after_point;
    } else {
      break;
    }
  }
  if (!digits) return scan;
  std::int64_t exponent = 0;
  if (i < text.size() && (text[i] | 0x20) == (scan.hex ? 'p' : 'e')) {
    ++i;
    bool minus = false;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) minus = text[i++] == '-';
    if (i >= text.size() || !is_digit(text[i])) return scan;
    for (; i < text.size() && (is_digit(text[i]) || text[i] == '_'); ++i) {
      if (text[i] == '_')
        scan.underscores = true;
      else if (exponent < 10'000'000)
        exponent = exponent * 10 + (text[i] - '0');
    }
    if (minus) exponent = -exponent;
  } else if (scan.hex) {
    return scan;
  }
  if (i != text.size()) return scan;
  if (scan.underscores && !underscores_ok(text)) return scan;
  const std::int64_t unit = scan.hex ? 4 : 1;
  scan.magnitude = exponent + unit * (before_point > 0 ? before_point : -zeros_after_point);
  scan.ok = true;
  return scan;
}

base::Status number_error(std::string_view function, std::string_view text,
                          std::string_view reason) {
  std::string message = "strconv.";
  message.append(function).append(": parsing ").append(model::go_quote(text));
  message.append(": ").append(reason);
  return base::invalid_argument(std::move(message));
}

constexpr std::string_view kSyntaxText = "invalid syntax";
constexpr std::string_view kRangeText = "value out of range";

}  // namespace

void append_float(std::string& out, double value, char format, int precision) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value < 0 ? "-Inf" : "+Inf";
    return;
  }
  if (std::signbit(value)) out += '-';
  value = std::fabs(value);
  switch (format) {
    case 'e':
    case 'E': {
      const Decimal d = scientific(value, precision);
      if (precision < 0) precision = std::max(static_cast<int>(d.digits.size()) - 1, 0);
      return append_e(out, d, format, precision);
    }
    case 'f': {
      if (precision >= 0) {
        std::string buffer(static_cast<std::size_t>(precision) + 330, '\0');
        const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                       std::chars_format::fixed, precision);
        out.append(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
        return;
      }
      const Decimal d = scientific(value, -1);
      return append_f(out, d, std::max(static_cast<int>(d.digits.size()) - d.point, 0));
    }
    case 'b': return append_b(out, value);
    case 'x':
    case 'X': return append_x(out, value, format, precision);
    default: return append_g(out, value, format == 'G' ? 'E' : 'e', precision);
  }
}

std::string format_float(double value, char format, int precision) {
  std::string out;
  append_float(out, value, format, precision);
  return out;
}

NumberError read_float(std::string_view text, double& out) noexcept {
  out = 0;
  const FloatScan scan = scan_float(text);
  if (!scan.ok) return read_special(text, out) ? NumberError::kNone : NumberError::kSyntax;
  std::string stripped;
  std::string_view body = text;
  if (scan.underscores) {
    for (const char c : text)
      if (c != '_') stripped += c;
    body = stripped;
  }
  if (body[0] == '+' || body[0] == '-') body.remove_prefix(1);
  if (scan.hex) body.remove_prefix(2);
  double value = 0;
  const auto end = std::from_chars(body.data(), body.data() + body.size(), value,
                                   scan.hex ? std::chars_format::hex : std::chars_format::general);
  NumberError error = NumberError::kNone;
  if (end.ec == std::errc::result_out_of_range) {  // from_chars does not say which way
    const bool overflow = scan.nonzero && scan.magnitude > 0;
    value = overflow ? std::numeric_limits<double>::infinity() : 0;
    if (overflow) error = NumberError::kRange;
  }
  out = scan.negative ? -value : value;
  return error;
}

NumberError read_uint(std::string_view text, int base, int bits, std::uint64_t& out) noexcept {
  out = 0;
  if (text.empty()) return NumberError::kSyntax;
  const std::string_view whole = text;
  const bool prefixed = base == 0;
  if (prefixed) {
    base = 10;
    if (text[0] == '0') {
      const char c = text.size() >= 3 ? static_cast<char>(text[1] | 0x20) : '\0';
      base = c == 'b' ? 2 : c == 'o' ? 8 : c == 'x' ? 16 : 8;
      text.remove_prefix(c == 'b' || c == 'o' || c == 'x' ? 2 : 1);
    }
  }
  const std::uint64_t max =
      bits >= 64 ? std::numeric_limits<std::uint64_t>::max() : (std::uint64_t{1} << bits) - 1;
  bool underscores = false, overflow = false;
  for (const char c : text) {
    unsigned digit;
    const char lower = static_cast<char>(c | 0x20);
    if (c == '_' && prefixed) {
      underscores = true;
      continue;
    }
    if (is_digit(c))
      digit = static_cast<unsigned>(c - '0');
    else if (lower >= 'a' && lower <= 'z')
      digit = static_cast<unsigned>(lower - 'a') + 10;
    else
      return out = 0, NumberError::kSyntax;
    if (digit >= static_cast<unsigned>(base)) return out = 0, NumberError::kSyntax;
    std::uint64_t next;
    if (__builtin_mul_overflow(out, static_cast<std::uint64_t>(base), &next) ||
        __builtin_add_overflow(next, digit, &next) || next > max) {
      overflow = true;
      break;
    }
    out = next;
  }
  if (overflow) return out = max, NumberError::kRange;
  if (underscores && !underscores_ok(whole)) return out = 0, NumberError::kSyntax;
  return NumberError::kNone;
}

NumberError read_int(std::string_view text, int base, int bits, std::int64_t& out) noexcept {
  out = 0;
  if (text.empty()) return NumberError::kSyntax;
  const bool negative = text[0] == '-';
  if (negative || text[0] == '+') text.remove_prefix(1);
  std::uint64_t magnitude = 0;
  // As Go: what is behind the digit that is one too many is not looked at.
  const NumberError error = read_uint(text, base, bits, magnitude);
  if (error == NumberError::kSyntax) return error;
  const std::uint64_t cutoff = std::uint64_t{1} << (bits - 1);
  if (error == NumberError::kRange || magnitude >= cutoff + (negative ? 1 : 0)) {
    out = negative ? -static_cast<std::int64_t>(cutoff - 1) - 1
                   : static_cast<std::int64_t>(cutoff - 1);
    return NumberError::kRange;
  }
  out = negative ? static_cast<std::int64_t>(~magnitude + 1) : static_cast<std::int64_t>(magnitude);
  return NumberError::kNone;
}

base::Result<double> parse_float(std::string_view text) {
  double value = 0;
  switch (read_float(text, value)) {
    case NumberError::kNone: return value;
    case NumberError::kSyntax: return number_error("ParseFloat", text, kSyntaxText);
    default: return number_error("ParseFloat", text, kRangeText);
  }
}

base::Result<std::int64_t> parse_int(std::string_view text, int base, int bits) {
  std::int64_t value = 0;
  switch (read_int(text, base, bits, value)) {
    case NumberError::kNone: return value;
    case NumberError::kSyntax: return number_error("ParseInt", text, kSyntaxText);
    default: return number_error("ParseInt", text, kRangeText);
  }
}

base::Result<std::uint64_t> parse_uint(std::string_view text, int base, int bits) {
  std::uint64_t value = 0;
  switch (read_uint(text, base, bits, value)) {
    case NumberError::kNone: return value;
    case NumberError::kSyntax: return number_error("ParseUint", text, kSyntaxText);
    default: return number_error("ParseUint", text, kRangeText);
  }
}

double power(double base, double exponent) noexcept {
  double whole = 0;
  double part = std::modf(std::abs(exponent), &whole);
  // What C and Go agree on.
  if (!std::isfinite(base) || !std::isfinite(exponent) || base == 0 || exponent == 0 ||
      (part != 0 && base < 0) || whole >= 0x1p63)
    return std::pow(base, exponent);
  if (exponent == 1) return base;
  if (exponent == 0.5) return std::sqrt(base);
  if (exponent == -0.5) return 1 / std::sqrt(base);
  double product = 1;
  if (part != 0) {
    if (part > 0.5) {
      part -= 1;
      whole += 1;
    }
    product = std::exp(part * std::log(base));
  }
  constexpr int kFar = 1 << 12;  // beyond the exponents of doubles
  int scale = 0, square_scale = 0;
  double square = std::frexp(base, &square_scale);
  for (auto bits = static_cast<std::uint64_t>(whole); bits != 0; bits >>= 1) {
    if (std::abs(square_scale) > kFar) {
      scale += square_scale;
      break;
    }
    if ((bits & 1) != 0) {
      product *= square;
      scale += square_scale;
    }
    square *= square;
    square_scale *= 2;
    if (square < 0.5) {
      square += square;
      --square_scale;
    }
  }
  return exponent < 0 ? std::ldexp(1 / product, -scale) : std::ldexp(product, scale);
}

}  // namespace skald::gotext
