// Time zones from TZif files (RFC 8536), with the POSIX rule in their footer for times after the
// last transition.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "proto/gotext/limits.h"
#include "proto/gotext/time_layout.h"

namespace skald::gotext {
namespace {

class FixedZone final : public Zone {
 public:
  FixedZone(std::string_view abbreviation, std::int32_t offset, std::string_view name,
            bool has_names)
      : abbreviation_(abbreviation), name_(name), offset_(offset), has_names_(has_names) {}
  ZoneOffset at(std::int64_t) const override { return {offset_, abbreviation_, false}; }
  std::optional<std::int32_t> offset_of(std::string_view abbreviation,
                                        std::int64_t) const override {
    if (!has_names_ || abbreviation != abbreviation_) return std::nullopt;
    return offset_;
  }
  std::string_view name() const override { return name_; }

 private:
  std::string abbreviation_, name_;
  std::int32_t offset_;
  bool has_names_;
};

// One end of daylight saving in a POSIX TZ rule.
struct RuleDate {
  enum class Kind : std::uint8_t { kJulian, kDayOfYear, kMonthWeekDay } kind = Kind::kJulian;
  int day = 0, week = 0, month = 0;
  int time = 2 * 3600;  // seconds after local midnight
};

struct PosixRule {
  std::string standard_name, dst_name;
  std::int32_t standard_offset = 0, dst_offset = 0;
  bool has_dst = false;
  RuleDate start, end;
};

class RuleParser {
 public:
  explicit RuleParser(std::string_view text) : text_(text) {}

  bool parse(PosixRule& rule) {
    std::int32_t offset = 0;
    if (!name(rule.standard_name) || !seconds(offset, 24)) return false;
    rule.standard_offset = -offset;
    if (text_.empty()) return true;
    if (!name(rule.dst_name)) return false;
    rule.has_dst = true;
    if (text_.empty() || text_[0] == ',') {
      rule.dst_offset = rule.standard_offset + 3600;
    } else {
      if (!seconds(offset, 24)) return false;
      rule.dst_offset = -offset;
    }
    if (text_.empty()) text_ = ",M3.2.0,M11.1.0";
    return date(rule.start) && date(rule.end) && text_.empty();
  }

 private:
  bool name(std::string& out) {
    if (!text_.empty() && text_[0] == '<') {
      const auto close = text_.find('>');
      if (close == std::string_view::npos) return false;
      out = text_.substr(1, close - 1);
      text_.remove_prefix(close + 1);
      return true;
    }
    const auto end = std::min(text_.find_first_of("0123456789,-+"), text_.size());
    if (end < 3) return false;
    out = text_.substr(0, end);
    text_.remove_prefix(end);
    return true;
  }
  bool number(int& out, int min, int max) {
    const auto end = std::from_chars(text_.data(), text_.data() + text_.size(), out);
    if (end.ec != std::errc() || out < min || out > max || text_[0] == '-') return false;
    text_.remove_prefix(static_cast<std::size_t>(end.ptr - text_.data()));
    return true;
  }
  bool eat(char c) {
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  // [+-]hh[:mm[:ss]]
  bool seconds(std::int32_t& out, int hours_max) {
    const bool negative = eat('-');
    if (!negative) eat('+');
    int hours = 0, minutes = 0, rest = 0;
    if (text_.empty() || !number(hours, 0, hours_max)) return false;
    if (eat(':')) {
      if (text_.empty() || !number(minutes, 0, 59)) return false;
      if (eat(':') && (text_.empty() || !number(rest, 0, 59))) return false;
    }
    out = hours * 3600 + minutes * 60 + rest;
    if (negative) out = -out;
    return true;
  }
  bool date(RuleDate& out) {
    if (!eat(',') || text_.empty()) return false;
    if (eat('M')) {
      out.kind = RuleDate::Kind::kMonthWeekDay;
      if (text_.empty() || !number(out.month, 1, 12) || !eat('.') || text_.empty() ||
          !number(out.week, 1, 5) || !eat('.') || text_.empty() || !number(out.day, 0, 6))
        return false;
    } else if (eat('J')) {
      out.kind = RuleDate::Kind::kJulian;
      if (text_.empty() || !number(out.day, 1, 365)) return false;
    } else {
      out.kind = RuleDate::Kind::kDayOfYear;
      if (!number(out.day, 0, 365)) return false;
    }
    return !eat('/') || seconds(out.time, 24 * 7);
  }
  std::string_view text_;
};

bool is_leap(std::int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

// Seconds from the start of `year` (local) to the rule's moment.
std::int64_t rule_seconds(const RuleDate& rule, std::int64_t year) {
  std::int64_t day = 0;
  switch (rule.kind) {
    case RuleDate::Kind::kJulian:
      day = rule.day - 1;
      if (is_leap(year) && rule.day >= 60) ++day;
      break;
    case RuleDate::Kind::kDayOfYear: day = rule.day; break;
    case RuleDate::Kind::kMonthWeekDay: {
      const std::int64_t first = seconds_from_civil(year, rule.month, 1, 0, 0, 0);
      const std::int64_t start = seconds_from_civil(year, 1, 1, 0, 0, 0);
      const int weekday = civil_from_seconds(first).weekday;
      int in_month = (rule.day - weekday + 7) % 7 + (rule.week - 1) * 7;
      const std::int64_t next = rule.month == 12
                                    ? seconds_from_civil(year + 1, 1, 1, 0, 0, 0)
                                    : seconds_from_civil(year, rule.month + 1, 1, 0, 0, 0);
      while (in_month >= (next - first) / 86400) in_month -= 7;
      day = (first - start) / 86400 + in_month;
      break;
    }
  }
  return day * 86400 + rule.time;
}

ZoneOffset rule_at(const PosixRule& rule, std::int64_t unix_seconds) {
  const ZoneOffset standard{rule.standard_offset, rule.standard_name, false};
  if (!rule.has_dst) return standard;
  const ZoneOffset dst{rule.dst_offset, rule.dst_name, true};
  const std::int64_t year = civil_from_seconds(unix_seconds).year;
  const std::int64_t from_new_year = unix_seconds - seconds_from_civil(year, 1, 1, 0, 0, 0);
  const std::int64_t start = rule_seconds(rule.start, year) - rule.standard_offset;
  const std::int64_t end = rule_seconds(rule.end, year) - rule.dst_offset;
  const bool in_dst = start < end ? from_new_year >= start && from_new_year < end
                                  : !(from_new_year >= end && from_new_year < start);
  return in_dst ? dst : standard;
}

// Big-endian reads of a borrowed range; past the end everything is zero and failed() is set.
class BigEndian {
 public:
  explicit BigEndian(std::string_view bytes) : bytes_(bytes) {}
  bool failed() const { return failed_; }
  std::int64_t number(std::size_t size) {
    const std::string_view raw = take(size);
    std::uint64_t value = size == 4 && !raw.empty() && (raw[0] & 0x80) ? ~std::uint64_t{0} : 0;
    for (const char c : raw) value = value << 8 | static_cast<unsigned char>(c);
    return static_cast<std::int64_t>(value);
  }
  std::string_view take(std::size_t size) {
    if (size > bytes_.size()) {
      failed_ = true;
      bytes_ = {};
      return {};
    }
    const std::string_view out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

class FileZone final : public Zone {
 public:
  // False if the bytes are not a TZif file.
  bool load(std::string_view name, std::string_view bytes) {
    name_ = name;
    BigEndian in(bytes);
    std::array<std::size_t, 6> counts{};
    if (!header(in, counts)) return false;
    const bool wide = version_ >= 2;
    if (wide) {  // skip the 32-bit block
      in.take(counts[3] * 5 + counts[4] * 6 + counts[5] + counts[2] * 8 + counts[1] + counts[0]);
      if (!header(in, counts)) return false;
    }
    return body(in, counts, wide ? 8 : 4);
  }

  ZoneOffset at(std::int64_t unix_seconds) const override {
    if (times_.empty() || unix_seconds < times_[0]) {
      if (times_.empty() && rule_) return rule_at(*rule_, unix_seconds);
      return show(types_[first_type_]);
    }
    if (unix_seconds >= times_.back() && rule_) return rule_at(*rule_, unix_seconds);
    const auto after = std::upper_bound(times_.begin(), times_.end(), unix_seconds);
    return show(types_[indexes_[static_cast<std::size_t>(after - times_.begin()) - 1]]);
  }

  std::optional<std::int32_t> offset_of(std::string_view abbreviation,
                                        std::int64_t civil_seconds) const override {
    for (const Type& type : types_) {
      if (type.abbreviation != abbreviation) continue;
      if (at(civil_seconds - type.offset).name == abbreviation)
        return at(civil_seconds - type.offset).offset_seconds;
    }
    for (const Type& type : types_)
      if (type.abbreviation == abbreviation) return type.offset;
    return std::nullopt;
  }

  std::string_view name() const override { return name_; }

 private:
  struct Type {
    std::int32_t offset = 0;
    bool is_dst = false;
    std::string abbreviation;
  };
  static ZoneOffset show(const Type& type) { return {type.offset, type.abbreviation, type.is_dst}; }

  // counts: isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt
  bool header(BigEndian& in, std::array<std::size_t, 6>& counts) {
    if (in.take(4) != "TZif") return false;
    const std::string_view version = in.take(1);
    if (version.empty()) return false;
    version_ = version[0] == '\0' ? 1 : version[0] - '0';
    in.take(15);
    for (auto& count : counts) {
      const std::int64_t n = in.number(4);
      if (n < 0 || n > static_cast<std::int64_t>(kZoneFileMax)) return false;
      count = static_cast<std::size_t>(n);
    }
    return !in.failed();
  }

  bool body(BigEndian& in, const std::array<std::size_t, 6>& counts, std::size_t width) {
    const auto [utc_count, std_count, leap_count, time_count, type_count, char_count] = counts;
    BigEndian times(in.take(time_count * width));
    const std::string_view indexes = in.take(time_count);
    BigEndian types(in.take(type_count * 6));
    const std::string_view names = in.take(char_count);
    in.take(leap_count * (width + 4) + std_count + utc_count);
    if (in.failed() || type_count == 0) return false;
    for (std::size_t i = 0; i < type_count; ++i) {
      Type type;
      type.offset = static_cast<std::int32_t>(types.number(4));
      type.is_dst = types.take(1) != std::string_view("\0", 1);
      const auto at = static_cast<unsigned char>(types.take(1)[0]);
      if (at >= names.size()) return false;
      type.abbreviation = names.substr(at, std::min(names.find('\0', at), names.size()) - at);
      types_.push_back(std::move(type));
    }
    for (std::size_t i = 0; i < time_count; ++i) {
      times_.push_back(times.number(width));
      indexes_.push_back(static_cast<unsigned char>(indexes[i]));
      if (indexes_.back() >= types_.size()) return false;
    }
    if (!std::is_sorted(times_.begin(), times_.end())) return false;
    for (std::size_t i = 0; i < types_.size(); ++i) {  // before the first transition
      if (!types_[i].is_dst) {
        first_type_ = i;
        break;
      }
    }
    if (version_ >= 2) {
      std::string_view footer = in.rest();
      if (footer.size() > 2 && footer.front() == '\n') {
        footer.remove_prefix(1);
        footer = footer.substr(0, footer.find('\n'));
        PosixRule rule;
        if (RuleParser(footer).parse(rule)) rule_ = std::move(rule);
      }
    }
    return true;
  }

  std::string name_;
  int version_ = 1;
  std::vector<std::int64_t> times_;
  std::vector<std::uint8_t> indexes_;
  std::vector<Type> types_;
  std::size_t first_type_ = 0;
  std::optional<PosixRule> rule_;
};

bool read_small_file(const std::string& path, std::string& out) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return false;
  out.resize(kZoneFileMax);
  out.resize(std::fread(out.data(), 1, out.size(), file));
  std::fclose(file);
  return true;
}

struct ZoneCache {
  std::mutex mutex;
  std::map<std::string, ZonePtr, std::less<>> zones;  // only of files that exist: bounded by them
};
ZoneCache& zone_cache() {
  static ZoneCache cache;
  return cache;
}

}  // namespace

std::int64_t Zone::to_unix(std::int64_t civil_seconds) const {
  const std::int32_t offset = at(civil_seconds).offset_seconds;
  if (offset == 0) return civil_seconds;
  return civil_seconds - at(civil_seconds - offset).offset_seconds;
}

const ZonePtr& utc() {
  static const ZonePtr zone = std::make_shared<const FixedZone>("UTC", 0, "UTC", false);
  return zone;
}

ZonePtr fixed_zone(std::string_view name, std::int32_t offset_seconds) {
  return std::make_shared<const FixedZone>(name, offset_seconds, name, true);
}

base::Result<ZonePtr> load_zone(std::string_view name) {
  if (name.empty() || name == "UTC" || name == "Local") return utc();
  const auto unknown = [&] { return base::not_found("unknown time zone " + std::string(name)); };
  if (name[0] == '/' || name[0] == '\\' || name.find("..") != std::string_view::npos ||
      name.find('\0') != std::string_view::npos)
    return base::not_found("time: invalid location name");
  ZoneCache& cache = zone_cache();
  const std::lock_guard lock(cache.mutex);
  if (const auto at = cache.zones.find(name); at != cache.zones.end()) return at->second;
  std::string bytes;
  const char* own = std::getenv("ZONEINFO");  // NOLINT(concurrency-mt-unsafe): read only
  const bool found =
      (own != nullptr && read_small_file(std::string(own) + "/" + std::string(name), bytes)) ||
      read_small_file("/usr/share/zoneinfo/" + std::string(name), bytes) ||
      read_small_file("/usr/share/lib/zoneinfo/" + std::string(name), bytes);
  auto zone = std::make_shared<FileZone>();
  if (!found || !zone->load(name, bytes)) return unknown();
  return cache.zones.emplace(name, std::move(zone)).first->second;
}

}  // namespace skald::gotext
