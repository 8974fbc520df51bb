#include "store/part/column_format.h"

#include <charconv>
#include <cstring>

namespace skald::store::part {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
std::int64_t days_from_civil(std::int64_t y, unsigned m, unsigned d) noexcept {
  y -= m <= 2;
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const auto yoe = static_cast<unsigned>(y - era * 400);
  const unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<std::int64_t>(doe) - 719468;
}

void civil_from_days(std::int64_t z, std::int64_t& y, unsigned& m, unsigned& d) noexcept {
  z += 719468;
  const std::int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const auto doe = static_cast<unsigned>(z - era * 146097);
  const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const unsigned mp = (5 * doy + 2) / 153;
  d = doy - (153 * mp + 2) / 5 + 1;
  m = mp < 10 ? mp + 3 : mp - 9;
  y = static_cast<std::int64_t>(yoe) + era * 400 + (m <= 2);
}

unsigned two(const char* text) noexcept {
  return static_cast<unsigned>((text[0] - '0') * 10 + (text[1] - '0'));
}

void put_two(unsigned value, char* out) noexcept {
  out[0] = static_cast<char>('0' + value / 10);
  out[1] = static_cast<char>('0' + value % 10);
}

unsigned days_in_month(unsigned year, unsigned month) noexcept {
  constexpr unsigned char kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return kDays[month - 1] + (month == 2 && leap ? 1U : 0U);
}

}  // namespace

bool parse_decimal(std::string_view text, Decimal& out) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  const bool negative = at != end && *at == '-';
  at += negative;
  if (end - at > 19 || at == end) return false;
  const char* const digits = at;
  std::uint64_t mantissa = 0;
  const auto take = [&] { mantissa = mantissa * 10 + static_cast<unsigned>(*at++ - '0'); };
  while (at != end && is_digit(*at)) take();
  const std::ptrdiff_t whole = at - digits;
  if (whole == 0 || (whole > 1 && *digits == '0')) return false;
  std::ptrdiff_t decimals = 0;
  if (at != end) {
    if (*at++ != '.') return false;
    const char* const fraction = at;
    while (at != end && is_digit(*at)) take();
    decimals = at - fraction;
    if (at != end || decimals == 0) return false;
  }
  if (whole + decimals > 18 || (negative && mantissa == 0)) return false;
  out.mantissa =
      negative ? -static_cast<std::int64_t>(mantissa) : static_cast<std::int64_t>(mantissa);
  out.decimals = static_cast<unsigned>(decimals);
  return true;
}

char* write_decimal(std::int64_t mantissa, unsigned scale, DecimalRule rule, char* out) noexcept {
  if (mantissa < 0) *out++ = '-';
  std::uint64_t value = mantissa < 0 ? 0 - static_cast<std::uint64_t>(mantissa)
                                     : static_cast<std::uint64_t>(mantissa);
  if (rule != DecimalRule::kFixed) {
    const unsigned keep = rule == DecimalRule::kShortest && scale > 0 ? 1 : 0;
    while (scale > keep && value % 10 == 0) {
      value /= 10;
      --scale;
    }
  }
  char digits[24];
  char* const end = digits + sizeof digits;
  char* at = end;
  unsigned written = 0;
  do {
    if (written == scale && scale > 0) *--at = '.';
    *--at = static_cast<char>('0' + value % 10);
    value /= 10;
    ++written;
  } while (value != 0 || written <= scale);
  std::memcpy(out, at, static_cast<std::size_t>(end - at));
  return out + (end - at);
}

double decimal_to_double(std::int64_t mantissa, unsigned scale) noexcept {
  if (mantissa <= kExactMantissa && mantissa >= -kExactMantissa)
    return static_cast<double>(mantissa) / static_cast<double>(kPowersOfTen[scale]);
  char text[kDecimalTextMax + 2];
  const char* const end = write_decimal(mantissa, scale, DecimalRule::kFixed, text);
  double value = 0;
  std::from_chars(text, end, value);
  return value;
}

std::size_t timestamp_prefix(std::string_view text) noexcept {
  constexpr std::string_view kPattern = "dddd-dd-ddTdd:dd:dd";
  if (text.size() < kPattern.size()) return 0;
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    const char want = kPattern[i];
    const char c = text[i];
    if (want == 'd' ? !is_digit(c) : want == 'T' ? (c != 'T' && c != ' ') : c != want) return 0;
  }
  std::size_t size = kPattern.size();
  if (size + 1 < text.size() && (text[size] == '.' || text[size] == ',') &&
      is_digit(text[size + 1])) {
    ++size;
    const std::size_t stop = size + 9;
    while (size < text.size() && size < stop && is_digit(text[size])) ++size;
  }
  return size;
}

TimestampFormat timestamp_format_of(std::string_view text, std::size_t prefix) {
  TimestampFormat format;
  format.separator = text[10];
  if (prefix > 19) {
    format.point = text[19];
    format.fraction = static_cast<std::uint8_t>(prefix - 20);
  }
  format.suffix = text.substr(prefix);
  return format;
}

bool parse_timestamp(std::string_view text, const TimestampFormat& format,
                     std::int64_t& ns) noexcept {
  if (text.size() != format.size()) return false;
  const std::size_t body = text.size() - format.suffix.size();
  if (std::memcmp(text.data() + body, format.suffix.data(), format.suffix.size()) != 0)
    return false;
  const char* const p = text.data();
  for (const int i : {0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18})
    if (!is_digit(p[i])) return false;
  if (p[4] != '-' || p[7] != '-' || p[10] != format.separator || p[13] != ':' || p[16] != ':')
    return false;
  const unsigned year = two(p) * 100 + two(p + 2);
  const unsigned month = two(p + 5), day = two(p + 8);
  const unsigned hour = two(p + 11), minute = two(p + 14), second = two(p + 17);
  if (year < 1700 || year > 2250 || month < 1 || month > 12 || day < 1 ||
      day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 59)
    return false;
  std::int64_t fraction = 0;
  if (format.fraction > 0) {
    if (p[19] != format.point) return false;
    for (unsigned i = 0; i < format.fraction; ++i) {
      if (!is_digit(p[20 + i])) return false;
      fraction = fraction * 10 + (p[20 + i] - '0');
    }
    fraction *= kPowersOfTen[9 - format.fraction];
  }
  const std::int64_t seconds =
      days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
  ns = seconds * 1'000'000'000 + fraction;
  return true;
}

void write_timestamp(std::int64_t ns, const TimestampFormat& format, char* out) noexcept {
  std::int64_t seconds = ns / 1'000'000'000;
  std::int64_t rest = ns % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  std::int64_t days = seconds / 86400;
  std::int64_t of_day = seconds % 86400;
  if (of_day < 0) {
    of_day += 86400;
    --days;
  }
  // Most rows share their neighbour's date.
  thread_local std::int64_t cached_days = 0;
  thread_local char cached[11] = "1970-01-01";
  if (days != cached_days) {
    std::int64_t year;
    unsigned month, day;
    civil_from_days(days, year, month, day);
    put_two(static_cast<unsigned>(year / 100) % 100, cached);
    put_two(static_cast<unsigned>(year % 100), cached + 2);
    put_two(month, cached + 5);
    put_two(day, cached + 8);
    cached_days = days;
  }
  std::memcpy(out, cached, 10);
  out[10] = format.separator;
  const auto day_second = static_cast<unsigned>(of_day);
  put_two(day_second / 3600, out + 11);
  out[13] = ':';
  put_two(day_second / 60 % 60, out + 14);
  out[16] = ':';
  put_two(day_second % 60, out + 17);
  out += 19;
  if (format.fraction > 0) {
    *out++ = format.point;
    auto digits = static_cast<std::uint64_t>(rest / kPowersOfTen[9 - format.fraction]);
    for (unsigned i = format.fraction; i-- > 0; digits /= 10)
      out[i] = static_cast<char>('0' + digits % 10);
    out += format.fraction;
  }
  std::memcpy(out, format.suffix.data(), format.suffix.size());
}

bool parse_ipv4(std::string_view text, std::uint32_t& out) noexcept {
  if (text.size() < 7 || text.size() > 15) return false;
  std::uint32_t address = 0;
  std::size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at == text.size() || text[at++] != '.')) return false;
    const std::size_t start = at;
    unsigned value = 0;
    while (at < text.size() && is_digit(text[at]) && at - start < 3)
      value = value * 10 + static_cast<unsigned>(text[at++] - '0');
    if (at == start || value > 255 || (at - start > 1 && text[start] == '0')) return false;
    address = address << 8 | value;
  }
  out = address;
  return at == text.size();
}

char* write_ipv4(std::uint32_t address, char* out) noexcept {
  for (int shift = 24; shift >= 0; shift -= 8) {
    const unsigned value = (address >> shift) & 255;
    if (value >= 100) *out++ = static_cast<char>('0' + value / 100);
    if (value >= 10) *out++ = static_cast<char>('0' + value / 10 % 10);
    *out++ = static_cast<char>('0' + value % 10);
    if (shift > 0) *out++ = '.';
  }
  return out;
}

}  // namespace skald::store::part
