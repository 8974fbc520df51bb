#include "proto/wire/line_time.h"

#include <chrono>
#include <cstring>

#include "proto/base/clock.h"

namespace skald::wire {
namespace {

constexpr std::size_t kShortest = 19;  // YYYY-MM-DDTHH:MM:SS

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Two digits, or more than 99 (as a byte, which std::chrono keeps, still out of range).
unsigned two(const char* at) noexcept {
  if (!is_digit(at[0]) || !is_digit(at[1])) return 1000;
  return static_cast<unsigned>((at[0] - '0') * 10 + (at[1] - '0'));
}

// The separators of YYYY-MM-DDTHH:MM:SS.
bool shaped(const char* at) noexcept {
  return at[4] == '-' && at[7] == '-' && at[13] == ':' && at[16] == ':' &&
         (at[10] == 'T' || at[10] == ' ' || at[10] == 't');
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
  const unsigned year = two(at) * 100 + two(at + 2);
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(two(at + 5)),
                                         std::chrono::day(two(at + 8))};
  const unsigned hour = two(at + 11), minute = two(at + 14), second = two(at + 17);
  if (!shaped(at) || year < 1970 || year > 2261 || !date.ok() || hour > 23 || minute > 59 ||
      second > 59)
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
  const std::int64_t seconds =
      std::chrono::sys_seconds(std::chrono::sys_days(date)).time_since_epoch().count() +
      static_cast<std::int64_t>(hour * 3600 + minute * 60 + second) - offset_s;
  if (seconds < 0) return std::nullopt;
  return seconds * base::kNsPerSecond + nanos;
}

TimeForm time_form(std::string_view text) noexcept {
  if (text.size() < kShortest) return {};
  const char* const at = text.data();
  if (!shaped(at)) return {};
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
    const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
    const int year = static_cast<int>(date.year());
    if (year > 2261) return false;
    put_two(date_, year / 100);
    put_two(date_ + 2, year % 100);
    date_[4] = date_[7] = '-';
    put_two(date_ + 5, static_cast<unsigned>(date.month()));
    put_two(date_ + 8, static_cast<unsigned>(date.day()));
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
