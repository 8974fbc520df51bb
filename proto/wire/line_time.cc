#include "proto/wire/line_time.h"

#include <cstring>

#include "proto/base/clock.h"

namespace skald::wire {
namespace {

constexpr std::size_t kShortest = 19;  // YYYY-MM-DDTHH:MM:SS

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Two digits, or more than 99.
unsigned two(const char* at) noexcept {
  if (!is_digit(at[0]) || !is_digit(at[1])) return 1000;
  return static_cast<unsigned>((at[0] - '0') * 10 + (at[1] - '0'));
}

// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept {
  year -= month <= 2;
  const std::int64_t era = year / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

unsigned days_in_month(unsigned year, unsigned month) noexcept {
  constexpr unsigned char kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return kDays[month - 1] + (month == 2 && leap ? 1U : 0U);
}

// The zone's offset in seconds; false: not a zone.
bool read_zone(std::string_view text, std::int64_t& offset_s) noexcept {
  offset_s = 0;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return true;
  if (text.size() < 6 || text[3] != ':') return false;
  const unsigned hours = two(text.data() + 1), minutes = two(text.data() + 4);
  if (hours > 23 || minutes > 59) return false;
  offset_s = std::int64_t{hours} * 3600 + std::int64_t{minutes} * 60;
  if (text[0] == '-') offset_s = -offset_s;
  return true;
}

}  // namespace

std::optional<std::int64_t> read_line_time(std::string_view text) noexcept {
  if (text.size() < kShortest) return std::nullopt;
  const char* const at = text.data();
  const unsigned year = two(at) * 100 + two(at + 2), month = two(at + 5), day = two(at + 8);
  const unsigned hour = two(at + 11), minute = two(at + 14), second = two(at + 17);
  const bool shaped = at[4] == '-' && at[7] == '-' && at[13] == ':' && at[16] == ':' &&
                      (at[10] == 'T' || at[10] == ' ' || at[10] == 't');
  if (!shaped || year < 1970 || year > 2261 || month < 1 || month > 12 || hour > 23 ||
      minute > 59 || second > 59 || day < 1 || day > days_in_month(year, month))
    return std::nullopt;
  std::size_t end = kShortest;
  std::int64_t nanos = 0;
  if (end + 1 < text.size() && (at[end] == '.' || at[end] == ',') && is_digit(at[end + 1])) {
    std::int64_t unit = base::kNsPerSecond;
    for (++end; end < text.size() && is_digit(at[end]); ++end) {
      unit /= 10;
      if (unit == 0) return std::nullopt;  // more than nine digits
      nanos += unit * (at[end] - '0');
    }
  }
  std::int64_t offset_s = 0;
  if (!read_zone(text.substr(end), offset_s)) return std::nullopt;
  const std::int64_t seconds = days_from_civil(year, month, day) * 86400 +
                               static_cast<std::int64_t>(hour * 3600 + minute * 60 + second) -
                               offset_s;
  if (seconds < 0) return std::nullopt;
  return seconds * base::kNsPerSecond + nanos;
}

TimeForm time_form(std::string_view text) noexcept {
  if (text.size() < kShortest) return {};
  const char* const at = text.data();
  if (at[4] != '-' || at[7] != '-' || at[13] != ':' || at[16] != ':' ||
      (at[10] != 'T' && at[10] != ' ' && at[10] != 't'))
    return {};
  TimeForm form{kShortest, base::kNsPerSecond, 0};
  if (kShortest + 1 < text.size() && (at[kShortest] == '.' || at[kShortest] == ',') &&
      is_digit(at[kShortest + 1])) {
    std::size_t end = kShortest + 1;
    for (; end < text.size() && is_digit(at[end]); ++end) form.unit_ns /= 10;
    if (form.unit_ns == 0) return {};
    form.digits_size = end;
  }
  if (!read_zone(text.substr(form.digits_size), form.zone_s)) return {};
  return form;
}

void blank_time(char* text, std::size_t digits_size) noexcept {
  for (std::size_t i = 0; i < digits_size; ++i)
    if (is_digit(text[i])) text[i] = '0';
}

namespace {

void put_two(char* at, std::int64_t value) noexcept {
  at[0] = static_cast<char>('0' + value / 10);
  at[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

bool TimeWriter::write(char* text, const TimeForm& form, std::int64_t time_ns) noexcept {
  if (time_ns < 0) return false;
  const std::int64_t seconds = time_ns / base::kNsPerSecond + form.zone_s;
  if (seconds < 0) return false;
  const std::int64_t day = seconds / 86400;
  if (day != day_) {
    // Inverse of days_from_civil, same source.
    const std::int64_t shifted = day + 719468;
    const std::int64_t era = shifted / 146097;
    const std::int64_t of_era = shifted - era * 146097;
    const std::int64_t year_of_era =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const std::int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t march = (5 * of_year + 2) / 153;
    const std::int64_t month = march < 10 ? march + 3 : march - 9;
    const std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    if (year > 2261) return false;
    put_two(date_, year / 100);
    put_two(date_ + 2, year % 100);
    date_[4] = date_[7] = '-';
    put_two(date_ + 5, month);
    put_two(date_ + 8, of_year - (153 * march + 2) / 5 + 1);
    day_ = day;
  }
  std::memcpy(text, date_, sizeof date_);
  const std::int64_t of_day = seconds - day * 86400;
  put_two(text + 11, of_day / 3600);
  put_two(text + 14, of_day / 60 % 60);
  put_two(text + 17, of_day % 60);
  std::int64_t fraction = time_ns % base::kNsPerSecond / form.unit_ns;
  for (std::size_t i = form.digits_size; i > kShortest + 1; fraction /= 10)
    text[--i] = static_cast<char>('0' + fraction % 10);
  return true;
}

std::size_t find_line_time(std::string_view line, std::int64_t time_ns, std::size_t hint) noexcept {
  if (hint >= kShortest && hint <= line.size() &&
      read_line_time(line.substr(line.size() - hint)) == time_ns)
    return hint;
  // Any time has two colons three bytes apart behind a digit; look for the candidates' dashes.
  std::size_t tries = 0;
  for (std::size_t from = 0; from + kShortest <= line.size() && tries < 16; ++tries) {
    const auto* dash =
        static_cast<const char*>(std::memchr(line.data() + from + 4, '-', line.size() - from - 4));
    if (dash == nullptr) return 0;
    const auto start = static_cast<std::size_t>(dash - line.data()) - 4;
    if (read_line_time(line.substr(start)) == time_ns) return line.size() - start;
    from = start + 1;
  }
  return 0;
}

}  // namespace skald::wire
