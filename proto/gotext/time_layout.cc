#include "proto/gotext/time_layout.h"

#include <algorithm>
#include <array>
#include <limits>

#include "proto/gotext/quote.h"

namespace skald::gotext {
namespace {

constexpr std::int64_t kDay = 86400;

enum Element : std::uint8_t {
  kNone,
  kLongMonth,
  kMonth,
  kNumMonth,
  kZeroMonth,
  kLongWeekday,
  kWeekday,
  kDayOfMonth,
  kUnderDay,
  kZeroDay,
  kUnderYearDay,
  kZeroYearDay,
  kHour,
  kHour12,
  kZeroHour12,
  kMinute,
  kZeroMinute,
  kSecond,
  kZeroSecond,
  kLongYear,
  kYear,
  kUpperPm,
  kLowerPm,
  kZoneName,
  kIso,
  kIsoSeconds,
  kIsoShort,
  kIsoColon,
  kIsoColonSeconds,
  kNum,
  kNumSeconds,
  kNumShort,
  kNumColon,
  kNumColonSeconds,
  kFraction0,
  kFraction9,
};

constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};

bool is_digit(std::string_view text, std::size_t i) {
  return i < text.size() && text[i] >= '0' && text[i] <= '9';
}

bool lower_follows(std::string_view text, std::size_t i) {
  return i < text.size() && text[i] >= 'a' && text[i] <= 'z';
}

struct Found {
  Element element = kNone;
  std::size_t size = 0;
  std::size_t literal = 0;  // bytes of the match that are literal text ("_" of "_2006")
};

struct Spelling {
  std::string_view text;
  Element element;
};
// Longest first among those with a common start.
constexpr Spelling kZoneSpellings[] = {
    {"-070000", kNumSeconds},
    {"-07:00:00", kNumColonSeconds},
    {"-0700", kNum},
    {"-07:00", kNumColon},
    {"-07", kNumShort},
    {"Z070000", kIsoSeconds},
    {"Z07:00:00", kIsoColonSeconds},
    {"Z0700", kIso},
    {"Z07:00", kIsoColon},
    {"Z07", kIsoShort},
};

// The element that starts right here, if any.
Found element_at(std::string_view text, std::size_t i) {
  const std::string_view rest = text.substr(i);
  switch (rest[0]) {
    case 'J':
      if (rest.starts_with("January")) return {kLongMonth, 7};
      if (rest.starts_with("Jan") && !lower_follows(rest, 3)) return {kMonth, 3};
      return {};
    case 'M':
      if (rest.starts_with("Monday")) return {kLongWeekday, 6};
      if (rest.starts_with("Mon") && !lower_follows(rest, 3)) return {kWeekday, 3};
      if (rest.starts_with("MST")) return {kZoneName, 3};
      return {};
    case '0': {
      static constexpr Element kZeros[] = {kZeroMonth,  kZeroDay,    kZeroHour12,
                                           kZeroMinute, kZeroSecond, kYear};
      if (rest.size() >= 2 && rest[1] >= '1' && rest[1] <= '6') return {kZeros[rest[1] - '1'], 2};
      if (rest.starts_with("002")) return {kZeroYearDay, 3};
      return {};
    }
    case '1': return rest.starts_with("15") ? Found{kHour, 2} : Found{kNumMonth, 1};
    case '2': return rest.starts_with("2006") ? Found{kLongYear, 4} : Found{kDayOfMonth, 1};
    case '_':
      if (rest.starts_with("_2006")) return {kLongYear, 5, 1};
      if (rest.starts_with("_2")) return {kUnderDay, 2};
      if (rest.starts_with("__2")) return {kUnderYearDay, 3};
      return {};
    case '3': return {kHour12, 1};
    case '4': return {kMinute, 1};
    case '5': return {kSecond, 1};
    case 'P': return rest.starts_with("PM") ? Found{kUpperPm, 2} : Found{};
    case 'p': return rest.starts_with("pm") ? Found{kLowerPm, 2} : Found{};
    case '-':
    case 'Z':
      for (const auto& spelling : kZoneSpellings)
        if (rest.starts_with(spelling.text)) return {spelling.element, spelling.text.size()};
      return {};
    case '.':
    case ',': {
      if (rest.size() < 2 || (rest[1] != '0' && rest[1] != '9')) return {};
      std::size_t end = 1;
      while (end < rest.size() && rest[end] == rest[1]) ++end;
      if (is_digit(rest, end)) return {};
      return {rest[1] == '0' ? kFraction0 : kFraction9, end};
    }
    default: return {};
  }
}

void append_padded(std::string& out, std::int64_t value, int width) {
  if (value < 0) {
    out += '-';
    value = -value;
  }
  char digits[20];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  for (int i = count; i < width; ++i) out += '0';
  while (count > 0) out += digits[--count];
}

bool in_range(Element e, Element first, Element last) { return e >= first && e <= last; }
bool with_colon(Element e) {
  return e == kIsoColon || e == kIsoColonSeconds || e == kNumColon || e == kNumColonSeconds;
}
bool with_seconds(Element e) {
  return e == kIsoSeconds || e == kIsoColonSeconds || e == kNumSeconds || e == kNumColonSeconds;
}

void append_offset(std::string& out, Element e, std::int32_t offset) {
  if (offset == 0 && in_range(e, kIso, kIsoColonSeconds)) {
    out += 'Z';
    return;
  }
  std::int32_t minutes = offset / 60;
  std::int32_t absolute = offset;
  if (minutes < 0) {
    out += '-';
    minutes = -minutes;
    absolute = -absolute;
  } else {
    out += '+';
  }
  append_padded(out, minutes / 60, 2);
  if (with_colon(e)) out += ':';
  if (e != kNumShort && e != kIsoShort) append_padded(out, minutes % 60, 2);
  if (with_seconds(e)) {
    if (with_colon(e)) out += ':';
    append_padded(out, absolute % 60, 2);
  }
}

void append_fraction(std::string& out, std::int32_t ns, int digits, bool trim, char separator) {
  std::string text;
  append_padded(text, ns, 9);
  text.resize(static_cast<std::size_t>(std::min(digits, 9)));  // however many are asked for
  if (trim) {
    const auto last = text.find_last_not_of('0');
    if (last == std::string::npos) return;
    text.resize(last + 1);
  }
  out += separator;
  out += text;
}

bool is_leap(std::int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_in(int month, std::int64_t year) {
  static constexpr int kDaysIn[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDaysIn[month - 1];
}

}  // namespace

CivilTime civil_from_seconds(std::int64_t seconds) noexcept {
  std::int64_t days = seconds / kDay;
  std::int64_t rest = seconds % kDay;
  if (rest < 0) rest += kDay, --days;
  CivilTime out;
  out.hour = static_cast<int>(rest / 3600);
  out.minute = static_cast<int>(rest / 60 % 60);
  out.second = static_cast<int>(rest % 60);
  out.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  // Howard Hinnant's days algorithm: eras of 400 years that start on 1 March.
  const std::int64_t z = days + 719468;
  const std::int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const std::int64_t day_of_era = z - era * 146097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  out.day = static_cast<int>(day_of_year - (153 * shifted + 2) / 5 + 1);
  out.month = static_cast<int>(shifted < 10 ? shifted + 3 : shifted - 9);
  out.year = year_of_era + era * 400 + (out.month <= 2 ? 1 : 0);
  out.year_day = static_cast<int>(days - seconds_from_civil(out.year, 1, 1, 0, 0, 0) / kDay) + 1;
  return out;
}

std::int64_t seconds_from_civil(std::int64_t year, int month, int day, int hour, int minute,
                                int second) noexcept {
  const std::int64_t y = month <= 2 ? year - 1 : year;
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const std::int64_t year_of_era = y - era * 400;
  const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  const std::int64_t days = era * 146097 + day_of_era - 719468;
  return days * kDay + hour * 3600 + minute * 60 + second;
}

Time Time::from_unix_ns(std::int64_t unix_ns, ZonePtr zone) {
  std::int64_t seconds = unix_ns / 1'000'000'000;
  std::int64_t rest = unix_ns % 1'000'000'000;
  if (rest < 0) rest += 1'000'000'000, --seconds;
  return {seconds, static_cast<std::int32_t>(rest), std::move(zone)};
}

std::int64_t Time::unix_ns() const noexcept {
  std::int64_t out;
  if (__builtin_mul_overflow(unix_seconds, std::int64_t{1'000'000'000}, &out) ||
      __builtin_add_overflow(out, std::int64_t{nanosecond}, &out))
    return unix_seconds < 0 ? std::numeric_limits<std::int64_t>::min()
                            : std::numeric_limits<std::int64_t>::max();
  return out;
}

std::string Time::to_string() const {
  static const TimeLayout layout("2006-01-02 15:04:05.999999999 -0700 MST");
  return layout.format(*this);
}

TimeLayout::TimeLayout(std::string_view layout) : text_(layout) {
  std::size_t start = 0;
  for (std::size_t i = 0; i < layout.size();) {
    const Found found = element_at(layout, i);
    if (found.element == kNone) {
      ++i;
      continue;
    }
    Chunk chunk;
    chunk.literal = layout.substr(start, i + found.literal - start);
    chunk.element = found.element;
    chunk.element_text = layout.substr(i + found.literal, found.size - found.literal);
    if (found.element == kFraction0 || found.element == kFraction9) {
      chunk.digits = static_cast<std::uint8_t>(std::min<std::size_t>(found.size - 1, 255));
      chunk.separator = layout[i];
    }
    has_year_ = has_year_ || found.element == kYear || found.element == kLongYear;
    has_zone_ = has_zone_ || in_range(found.element, kZoneName, kNumColonSeconds);
    chunks_.push_back(std::move(chunk));
    i += found.size;
    start = i;
  }
  Chunk tail;
  tail.literal = layout.substr(start);
  chunks_.push_back(std::move(tail));
}

CivilTime civil_of(const Time& time) {
  const std::int64_t offset = time.zone ? time.zone->at(time.unix_seconds).offset_seconds : 0;
  return civil_from_seconds(time.unix_seconds + offset);
}

std::string TimeLayout::format(const Time& time) const {
  std::string out;
  append(out, time);
  return out;
}

void TimeLayout::append(std::string& out, const Time& time) const {
  const ZoneOffset zone = (time.zone ? time.zone : utc())->at(time.unix_seconds);
  const CivilTime t = civil_from_seconds(time.unix_seconds + zone.offset_seconds);
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  for (const Chunk& chunk : chunks_) {
    out += chunk.literal;
    const auto element = static_cast<Element>(chunk.element);
    switch (element) {
      case kNone: break;
      case kYear: append_padded(out, (t.year < 0 ? -t.year : t.year) % 100, 2); break;
      case kLongYear: append_padded(out, t.year, 4); break;
      case kMonth: out += kMonths[static_cast<std::size_t>(t.month - 1)].substr(0, 3); break;
      case kLongMonth: out += kMonths[static_cast<std::size_t>(t.month - 1)]; break;
      case kNumMonth: append_padded(out, t.month, 0); break;
      case kZeroMonth: append_padded(out, t.month, 2); break;
      case kWeekday: out += kDays[static_cast<std::size_t>(t.weekday)].substr(0, 3); break;
      case kLongWeekday: out += kDays[static_cast<std::size_t>(t.weekday)]; break;
      case kUnderDay:
        if (t.day < 10) out += ' ';
        [[fallthrough]];
      case kDayOfMonth: append_padded(out, t.day, 0); break;
      case kZeroDay: append_padded(out, t.day, 2); break;
      case kUnderYearDay:
        if (t.year_day < 100) out += t.year_day < 10 ? "  " : " ";
        append_padded(out, t.year_day, 0);
        break;
      case kZeroYearDay: append_padded(out, t.year_day, 3); break;
      case kHour: append_padded(out, t.hour, 2); break;
      case kHour12: append_padded(out, hour12, 0); break;
      case kZeroHour12: append_padded(out, hour12, 2); break;
      case kMinute: append_padded(out, t.minute, 0); break;
      case kZeroMinute: append_padded(out, t.minute, 2); break;
      case kSecond: append_padded(out, t.second, 0); break;
      case kZeroSecond: append_padded(out, t.second, 2); break;
      case kUpperPm: out += t.hour >= 12 ? "PM" : "AM"; break;
      case kLowerPm: out += t.hour >= 12 ? "pm" : "am"; break;
      case kZoneName:
        if (zone.name.empty())
          append_offset(out, kNum, zone.offset_seconds);
        else
          out += zone.name;
        break;
      case kFraction0:
      case kFraction9:
        append_fraction(out, time.nanosecond, chunk.digits, element == kFraction9, chunk.separator);
        break;
      default: append_offset(out, element, zone.offset_seconds);
    }
  }
}

// Reads one text by one layout.
class TimeParser {
 public:
  TimeParser(const TimeLayout& layout, std::string_view text, const ZonePtr& zone)
      : layout_(layout), whole_(text), value_(text), zone_(zone ? zone : utc()) {}

  base::Result<Time> parse() {
    for (std::size_t i = 0; i < layout_.chunks_.size(); ++i) {
      const TimeLayout::Chunk& chunk = layout_.chunks_[i];
      if (!skip(chunk.literal)) return cannot_parse(value_, chunk.literal);
      if (chunk.element == kNone) {
        if (!value_.empty()) return failed(": extra text: " + time_quote(value_));
        break;
      }
      const std::string_view hold = value_;
      const Element next = i + 1 < layout_.chunks_.size()
                               ? static_cast<Element>(layout_.chunks_[i + 1].element)
                               : kNone;
      const bool ok = element(chunk, next);
      if (range_ != nullptr) return failed(": " + std::string(range_) + " out of range");
      if (!ok) return cannot_parse(hold, chunk.element_text);
    }
    return finish();
  }

 private:
  base::Status cannot_parse(std::string_view value, std::string_view element) const {
    return base::invalid_argument("parsing time " + time_quote(whole_) + " as " +
                                  time_quote(layout_.text_) + ": cannot parse " +
                                  time_quote(value) + " as " + time_quote(element));
  }
  base::Status failed(const std::string& message) const {
    return base::invalid_argument("parsing time " + time_quote(whole_) + message);
  }

  // Literal text; runs of spaces match runs of spaces.
  bool skip(std::string_view prefix) {
    const auto cut = [](std::string_view& text) {
      while (!text.empty() && text[0] == ' ') text.remove_prefix(1);
    };
    while (!prefix.empty()) {
      if (prefix[0] == ' ') {
        if (!value_.empty() && value_[0] != ' ') return false;
        cut(prefix);
        cut(value_);
        continue;
      }
      if (value_.empty() || value_[0] != prefix[0]) return false;
      prefix.remove_prefix(1);
      value_.remove_prefix(1);
    }
    return true;
  }

  template <std::size_t N>
  bool lookup(const std::array<std::string_view, N>& names, std::size_t length, int& out) {
    for (std::size_t i = 0; i < N; ++i) {
      const std::string_view name = names[i].substr(0, length);
      if (value_.size() < name.size()) continue;
      const bool same = std::equal(name.begin(), name.end(), value_.begin(), [](char a, char b) {
        return a == b || ((a | 0x20) == (b | 0x20) && (a | 0x20) >= 'a' && (a | 0x20) <= 'z');
      });
      if (!same) continue;
      out = static_cast<int>(i);
      value_.remove_prefix(name.size());
      return true;
    }
    return false;
  }

  // One or two digits; exactly two if fixed.
  bool number(bool fixed, int& out) {
    out = 0;
    if (!is_digit(value_, 0) || (fixed && !is_digit(value_, 1))) return false;
    const std::size_t count = is_digit(value_, 1) ? 2 : 1;
    for (std::size_t i = 0; i < count; ++i) out = out * 10 + (value_[i] - '0');
    value_.remove_prefix(count);
    return true;
  }

  void check_range(bool ok, const char* name) {
    if (!ok) range_ = name;
  }

  bool element(const TimeLayout::Chunk& chunk, Element next) {
    const auto e = static_cast<Element>(chunk.element);
    switch (e) {
      case kYear: return short_year();
      case kLongYear: return long_year();
      case kMonth:
      case kLongMonth:
        if (!lookup(kMonths, e == kMonth ? 3 : 99, month_)) return false;
        ++month_;
        return true;
      case kNumMonth:
      case kZeroMonth: {
        const bool ok = number(e == kZeroMonth, month_);
        if (ok) check_range(month_ > 0 && month_ <= 12, "month");
        return ok;
      }
      case kWeekday:
      case kLongWeekday: {
        int ignored = 0;
        return lookup(kDays, e == kWeekday ? 3 : 99, ignored);
      }
      case kUnderDay:
        if (!value_.empty() && value_[0] == ' ') value_.remove_prefix(1);
        [[fallthrough]];
      case kDayOfMonth:
      case kZeroDay: return number(e == kZeroDay, day_);
      case kUnderYearDay:
      case kZeroYearDay: return year_day(e);
      case kHour: {
        const bool ok = number(false, hour_);
        check_range(hour_ < 24, "hour");
        return ok;
      }
      case kHour12:
      case kZeroHour12: {
        const bool ok = number(e == kZeroHour12, hour_);
        check_range(hour_ <= 12, "hour");
        return ok;
      }
      case kMinute:
      case kZeroMinute: {
        const bool ok = number(e == kZeroMinute, minute_);
        check_range(minute_ < 60, "minute");
        return ok;
      }
      case kSecond:
      case kZeroSecond: return seconds(e, next);
      case kUpperPm:
      case kLowerPm: return half_day(e == kUpperPm);
      case kZoneName: return zone_name();
      case kFraction0: return fixed_fraction(chunk.digits);
      case kFraction9: return free_fraction();
      default: return offset(e);
    }
  }

  bool short_year() {
    if (value_.size() < 2) return false;
    const std::string_view text = value_.substr(0, 2);
    value_.remove_prefix(2);
    const bool sign = text[0] == '-' || text[0] == '+';
    if (!is_digit(text, 1) || (!sign && !is_digit(text, 0))) return false;
    year_ = text[1] - '0';
    if (!sign) year_ += (text[0] - '0') * 10;
    if (text[0] == '-') year_ = -year_;
    year_ += year_ >= 69 ? 1900 : 2000;
    return true;
  }

  bool long_year() {
    if (value_.size() < 4) return false;
    year_ = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      if (!is_digit(value_, i)) return false;
      year_ = year_ * 10 + (value_[i] - '0');
    }
    value_.remove_prefix(4);
    return true;
  }

  bool year_day(Element e) {
    for (int i = 0; i < 2; ++i)
      if (e == kUnderYearDay && !value_.empty() && value_[0] == ' ') value_.remove_prefix(1);
    int n = 0;
    std::size_t count = 0;
    for (; count < 3 && is_digit(value_, count); ++count) n = n * 10 + (value_[count] - '0');
    if (count == 0 || (e == kZeroYearDay && count != 3)) return false;
    value_.remove_prefix(count);
    year_day_ = n;
    return true;
  }

  bool seconds(Element e, Element next) {
    if (!number(e == kZeroSecond, second_)) return false;
    check_range(second_ < 60, "second");
    if (range_ != nullptr) return true;
    // A fraction that the layout does not mention.
    if (value_.size() < 2 || (value_[0] != '.' && value_[0] != ',') || !is_digit(value_, 1))
      return true;
    if (next == kFraction0 || next == kFraction9) return true;
    std::size_t end = 2;
    while (is_digit(value_, end)) ++end;
    return nanoseconds(end);
  }

  // The separator and digits in the first `size` bytes; digits past the ninth are dropped. Go reads
  // them as an integer, which may have a sign.
  bool nanoseconds(std::size_t size) {
    const std::string_view text = value_.substr(0, size);
    value_.remove_prefix(size);
    if (text[0] != '.' && text[0] != ',') return false;
    nanosecond_ = 0;
    const bool negative = text.size() > 1 && text[1] == '-';
    for (std::size_t i = 1; i < 10; ++i) {
      if (i == 1 && text.size() > 1 && (negative || text[1] == '+')) continue;
      if (i < text.size() && !is_digit(text, i)) return false;
      nanosecond_ = nanosecond_ * 10 + (i < text.size() ? text[i] - '0' : 0);
    }
    if (negative && nanosecond_ > 0) range_ = "fractional second";
    return true;
  }

  bool fixed_fraction(std::size_t digits) {
    if (value_.size() < digits + 1) return false;
    return nanoseconds(digits + 1);
  }

  bool free_fraction() {
    if (value_.size() < 2 || (value_[0] != '.' && value_[0] != ',') || !is_digit(value_, 1))
      return true;
    std::size_t end = 1;
    while (is_digit(value_, end)) ++end;
    return nanoseconds(end);
  }

  bool half_day(bool upper) {
    if (value_.size() < 2) return false;
    const std::string_view text = value_.substr(0, 2);
    value_.remove_prefix(2);
    if (text == (upper ? "PM" : "pm"))
      pm_ = true;
    else if (text == (upper ? "AM" : "am"))
      am_ = true;
    else
      return false;
    return true;
  }

  bool offset(Element e) {
    if (in_range(e, kIso, kIsoColonSeconds) && !value_.empty() && value_[0] == 'Z') {
      value_.remove_prefix(1);
      is_utc_ = true;
      return true;
    }
    const bool colon = with_colon(e);
    const bool has_seconds = with_seconds(e);
    const bool short_form = e == kIsoShort || e == kNumShort;
    const std::size_t size =
        short_form ? 3 : (has_seconds ? 7U : 5U) + (colon ? (has_seconds ? 2U : 1U) : 0U);
    if (value_.size() < size) return false;
    const std::string_view text = value_.substr(0, size);
    if (colon && (text[3] != ':' || (has_seconds && text[6] != ':'))) return false;
    value_.remove_prefix(size);
    const auto pair = [&](std::size_t at, int& out) {
      if (!is_digit(text, at) || !is_digit(text, at + 1)) return false;
      out = (text[at] - '0') * 10 + (text[at + 1] - '0');
      return true;
    };
    int hours = 0, minutes = 0, rest = 0;
    const std::size_t step = colon ? 3 : 2;
    bool ok = pair(1, hours);
    if (ok && !short_form) ok = pair(1 + step, minutes);
    if (ok && has_seconds) ok = pair(1 + 2 * step, rest);
    check_range(hours <= 24, "time zone offset hour");
    check_range(minutes <= 60, "time zone offset minute");
    check_range(rest <= 60, "time zone offset second");
    zone_offset_ = (hours * 60 + minutes) * 60 + rest;
    has_offset_ = true;
    if (text[0] == '-')
      zone_offset_ = -zone_offset_;
    else if (text[0] != '+')
      ok = false;
    return ok;
  }

  bool zone_name() {
    if (value_.starts_with("UTC")) {
      value_.remove_prefix(3);
      is_utc_ = true;
      return true;
    }
    const std::size_t size = zone_name_size();
    if (size == 0) return false;
    zone_name_ = value_.substr(0, size);
    value_.remove_prefix(size);
    return true;
  }

  std::size_t zone_name_size() const {
    if (value_.size() < 3) return 0;
    if (value_.starts_with("ChST") || value_.starts_with("MeST")) return 4;
    if (value_.starts_with("GMT"))
      return value_.size() == 3 ? 3 : 3 + signed_offset_size(value_.substr(3));
    if (value_[0] == '+' || value_[0] == '-') return signed_offset_size(value_);
    std::size_t upper = 0;
    while (upper < 6 && upper < value_.size() && value_[upper] >= 'A' && value_[upper] <= 'Z')
      ++upper;
    if (upper == 5) return value_[4] == 'T' ? 5 : 0;
    if (upper == 4) return value_[3] == 'T' || value_.starts_with("WITA") ? 4 : 0;
    return upper == 3 ? 3 : 0;
  }

  static std::size_t signed_offset_size(std::string_view text) {
    if (text[0] != '-' && text[0] != '+') return 0;
    int hours = 0;
    std::size_t end = 1;
    for (; is_digit(text, end); ++end) {
      hours = hours * 10 + (text[end] - '0');
      if (hours > 23) hours = 24;
    }
    return end == 1 || hours > 23 ? 0 : end;
  }

  base::Result<Time> finish() {
    if (pm_ && hour_ < 12)
      hour_ += 12;
    else if (am_ && hour_ == 12)
      hour_ = 0;
    if (year_day_ >= 0) {
      SKALD_TRY(resolve_year_day());
    } else {
      if (month_ < 0) month_ = 1;
      if (day_ < 0) day_ = 1;
    }
    if (day_ < 1 || day_ > days_in(month_, year_)) return failed(": day out of range");
    const std::int64_t civil = seconds_from_civil(year_, month_, day_, hour_, minute_, second_);
    if (is_utc_) return Time{civil, nanosecond_, utc()};
    if (has_offset_ && zone_offset_ != -1) {  // -1 is Go's "not set"
      const std::int64_t unix_seconds = civil - zone_offset_;
      const ZoneOffset local = zone_->at(unix_seconds);
      if (local.offset_seconds == zone_offset_ && (zone_name_.empty() || local.name == zone_name_))
        return Time{unix_seconds, nanosecond_, zone_};
      return Time{unix_seconds, nanosecond_, fixed_zone(zone_name_, zone_offset_)};
    }
    if (!zone_name_.empty()) return named(civil);
    return Time{zone_->to_unix(civil), nanosecond_, zone_};
  }

  Time named(std::int64_t civil) const {
    if (const auto known = zone_->offset_of(zone_name_, civil))
      return Time{civil - *known, nanosecond_, zone_};
    std::int32_t fabricated = 0;
    if (zone_name_.size() > 3 && zone_name_.starts_with("GMT")) {
      for (std::size_t i = 4; i < zone_name_.size(); ++i)
        fabricated = fabricated * 10 + (zone_name_[i] - '0');
      fabricated *= zone_name_[3] == '-' ? -3600 : 3600;
    }
    // Go shows the civil time in the fabricated zone without moving the instant by its offset.
    return Time{civil, nanosecond_, fixed_zone(zone_name_, fabricated)};
  }

  base::Status resolve_year_day() {
    int n = year_day_;
    int month = 0, day = 0;
    if (n < 1 || n > (is_leap(year_) ? 366 : 365)) return failed(": day-of-year out of range");
    for (month = 1; n > days_in(month, year_); ++month) n -= days_in(month, year_);
    day = n;
    if (month_ >= 0 && month_ != month) return failed(": day-of-year does not match month");
    if (day_ >= 0 && day_ != day) return failed(": day-of-year does not match day");
    month_ = month;
    day_ = day;
    return {};
  }

  const TimeLayout& layout_;
  std::string_view whole_, value_;
  ZonePtr zone_;
  std::int64_t year_ = 0;
  int month_ = -1, day_ = -1, year_day_ = -1;
  int hour_ = 0, minute_ = 0, second_ = 0;
  std::int32_t nanosecond_ = 0;
  bool pm_ = false, am_ = false, is_utc_ = false, has_offset_ = false;
  std::int32_t zone_offset_ = 0;
  std::string_view zone_name_;
  const char* range_ = nullptr;
};

base::Result<Time> TimeLayout::parse(std::string_view text, const ZonePtr& zone) const {
  return TimeParser(*this, text, zone).parse();
}

std::string_view named_layout(std::string_view name) noexcept {
  struct Named {
    std::string_view name, layout;
  };
  static constexpr Named kNamed[] = {
      {"Layout", "01/02 03:04:05PM '06 -0700"},
      {"ANSIC", "Mon Jan _2 15:04:05 2006"},
      {"UnixDate", "Mon Jan _2 15:04:05 MST 2006"},
      {"RubyDate", "Mon Jan 02 15:04:05 -0700 2006"},
      {"RFC822", "02 Jan 06 15:04 MST"},
      {"RFC822Z", "02 Jan 06 15:04 -0700"},
      {"RFC850", "Monday, 02-Jan-06 15:04:05 MST"},
      {"RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"},
      {"RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"},
      {"RFC3339", "2006-01-02T15:04:05Z07:00"},
      {"RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"},
      {"Kitchen", "3:04PM"},
      {"Stamp", "Jan _2 15:04:05"},
      {"StampMilli", "Jan _2 15:04:05.000"},
      {"StampMicro", "Jan _2 15:04:05.000000"},
      {"StampNano", "Jan _2 15:04:05.000000000"},
      {"DateTime", "2006-01-02 15:04:05"},
      {"DateOnly", "2006-01-02"},
      {"TimeOnly", "15:04:05"},
  };
  for (const auto& entry : kNamed)
    if (entry.name == name) return entry.layout;
  return {};
}

std::string format_rfc3339_nano(std::int64_t unix_ns) {
  static const TimeLayout layout("2006-01-02T15:04:05.999999999Z07:00");
  return layout.format(Time::from_unix_ns(unix_ns));
}

}  // namespace skald::gotext
