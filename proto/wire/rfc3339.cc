#include "proto/wire/rfc3339.h"

#include <cstdio>
#include <ctime>

#include "proto/base/clock.h"

namespace skald::wire {
namespace {

// Reads `digits` decimal digits at `at` and moves it; -1 if they are not there.
int take_number(std::string_view text, std::size_t& at, int digits) noexcept {
  int value = 0;
  for (int i = 0; i < digits; ++i, ++at) {
    if (at >= text.size() || text[at] < '0' || text[at] > '9') return -1;
    value = value * 10 + (text[at] - '0');
  }
  return value;
}

bool take(std::string_view text, std::size_t& at, char c) noexcept {
  if (at >= text.size() || text[at] != c) return false;
  ++at;
  return true;
}

int days_in_month(int year, int month) noexcept {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

bool take_fraction(std::string_view text, std::size_t& at, std::int64_t& nanos) noexcept {
  if (!take(text, at, '.') && !take(text, at, ',')) return true;
  std::int64_t unit = base::kNsPerSecond / 10;
  const std::size_t start = at;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10)
    nanos += (text[at] - '0') * unit;
  return at > start;
}

bool take_zone(std::string_view text, std::size_t& at, std::int64_t& offset_seconds) noexcept {
  if (take(text, at, 'Z') || take(text, at, 'z')) return true;
  const bool minus = at < text.size() && text[at] == '-';
  if (!minus && (at >= text.size() || text[at] != '+')) return false;
  ++at;
  const int hours = take_number(text, at, 2);
  if (hours < 0 || hours > 24 || !take(text, at, ':')) return false;
  const int minutes = take_number(text, at, 2);
  if (minutes < 0 || minutes > 60) return false;
  offset_seconds = (minus ? -1 : 1) * (hours * 3600 + minutes * 60);
  return true;
}

}  // namespace

// Howard Hinnant's days_from_civil.
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept {
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month + (month > 2 ? -3U : 9U)) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) noexcept {
  std::size_t at = 0;
  const int year = take_number(text, at, 4);
  if (year < 0 || !take(text, at, '-')) return {};
  const int month = take_number(text, at, 2);
  if (month < 1 || month > 12 || !take(text, at, '-')) return {};
  const int day = take_number(text, at, 2);
  if (day < 1 || day > days_in_month(year, month)) return {};
  if (!take(text, at, 'T') && !take(text, at, 't')) return {};
  const int hour = take_number(text, at, 2);
  if (hour < 0 || hour > 23 || !take(text, at, ':')) return {};
  const int minute = take_number(text, at, 2);
  if (minute < 0 || minute > 59 || !take(text, at, ':')) return {};
  const int second = take_number(text, at, 2);
  if (second < 0 || second > 59) return {};
  std::int64_t nanos = 0;
  std::int64_t offset = 0;
  if (!take_fraction(text, at, nanos) || !take_zone(text, at, offset) || at != text.size())
    return {};
  const std::int64_t seconds =
      days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day)) * 86'400 +
      hour * 3600 + minute * 60 + second - offset;
  std::int64_t out = 0;
  if (__builtin_mul_overflow(seconds, base::kNsPerSecond, &out) ||
      __builtin_add_overflow(out, nanos, &out))
    return {};
  return out;
}

std::string format_rfc3339(std::int64_t time_ns) {
  std::int64_t seconds = time_ns / base::kNsPerSecond;
  std::int64_t nanos = time_ns % base::kNsPerSecond;
  if (nanos < 0) {
    nanos += base::kNsPerSecond;
    --seconds;
  }
  const std::time_t time = seconds;
  std::tm utc{};
  gmtime_r(&time, &utc);
  char out[48];
  std::size_t size = std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%S", &utc);
  if (nanos != 0) {
    size += static_cast<std::size_t>(
        std::snprintf(out + size, sizeof out - size, ".%09lld", static_cast<long long>(nanos)));
    while (out[size - 1] == '0') --size;
  }
  return std::string(out, size) + "Z";
}

}  // namespace skald::wire
