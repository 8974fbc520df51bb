#pragma once
// Times, zones and layouts as Go's package time has them: a layout shows how the reference time
// "Mon Jan 2 15:04:05 -0700 MST 2006" would be written.
//
// Zones come from the system's TZif files (/usr/share/zoneinfo, or the directory in $ZONEINFO);
// "UTC" and "" always work; "Local" is UTC here: a server's answers must not depend on $TZ.
// Threads: Zone and TimeLayout are immutable; load_zone() locks a small cache.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"

namespace skald::gotext {

struct ZoneOffset {
  std::int32_t offset_seconds = 0;  // east of UTC
  std::string_view name;            // "CET"; borrows from the zone
  bool is_dst = false;
};

class Zone {
 public:
  virtual ~Zone() = default;
  virtual ZoneOffset at(std::int64_t unix_seconds) const = 0;
  // For a local civil time, given as if it were UTC: the Unix time (time.Date's rule: of two
  // candidates the first, in a gap one of both sides' offsets).
  std::int64_t to_unix(std::int64_t civil_seconds) const;
  // Of an abbreviation such as "CEST": its offset, if this zone uses it; the one in effect at the
  // local time is preferred.
  virtual std::optional<std::int32_t> offset_of(std::string_view abbreviation,
                                                std::int64_t civil_seconds) const = 0;
  virtual std::string_view name() const = 0;  // "Europe/Berlin", "UTC", "" for a fixed offset
};
using ZonePtr = std::shared_ptr<const Zone>;

const ZonePtr& utc();
// kNotFound: `unknown time zone X`. Names with ".." or a leading '/' are refused.
base::Result<ZonePtr> load_zone(std::string_view name);
ZonePtr fixed_zone(std::string_view name, std::int32_t offset_seconds);

// An instant with the zone it is shown in. Default: Go's zero time, 0001-01-01 00:00:00 UTC.
struct Time {
  std::int64_t unix_seconds = kZeroSeconds;
  std::int32_t nanosecond = 0;  // [0, 1e9)
  ZonePtr zone;                 // null: UTC

  static constexpr std::int64_t kZeroSeconds = -62135596800;
  static Time from_unix_ns(std::int64_t unix_ns, ZonePtr zone = nullptr);
  bool is_zero() const noexcept { return unix_seconds == kZeroSeconds && nanosecond == 0; }
  // Saturates outside 1677..2262.
  std::int64_t unix_ns() const noexcept;
  std::string to_string() const;  // Time.String: "2006-01-02 15:04:05.999999999 -0700 MST"
};

// A date and time of day without a zone.
struct CivilTime {
  std::int64_t year = 1;
  int month = 1, day = 1, hour = 0, minute = 0, second = 0;
  int weekday = 1;   // 0 = Sunday
  int year_day = 1;  // 1..366
};
CivilTime civil_from_seconds(std::int64_t seconds_since_epoch) noexcept;  // of a UTC-like count
CivilTime civil_of(const Time& time);                                     // in its zone
std::int64_t seconds_from_civil(std::int64_t year, int month, int day, int hour, int minute,
                                int second) noexcept;

// A layout, compiled once. Copyable.
class TimeLayout {
 public:
  explicit TimeLayout(std::string_view layout);
  const std::string& text() const noexcept { return text_; }

  std::string format(const Time& time) const;
  void append(std::string& out, const Time& time) const;

  // time.ParseInLocation: `zone` serves texts without zone or offset (null: UTC). Error text is
  // time.ParseError's: `parsing time "x" as "2006": cannot parse "x" as "2006"`.
  base::Result<Time> parse(std::string_view text, const ZonePtr& zone = nullptr) const;

  bool has_year() const noexcept { return has_year_; }
  bool has_zone() const noexcept { return has_zone_; }

 private:
  struct Chunk {
    std::string literal;       // before the element
    std::uint8_t element = 0;  // 0: none, the layout's tail
    std::uint8_t digits = 0;   // of a fraction
    char separator = '.';      // of a fraction: '.' or ','
    std::string element_text;  // as in the layout, for errors
  };
  friend class TimeParser;
  std::string text_;
  std::vector<Chunk> chunks_;
  bool has_year_ = false;
  bool has_zone_ = false;
};

// "ANSIC", "RFC3339Nano", ... -> the layout; empty if the name is none of Go's constants.
std::string_view named_layout(std::string_view name) noexcept;

// RFC 3339 with nanoseconds trimmed ("2006-01-02T15:04:05.999999999Z07:00"), UTC.
std::string format_rfc3339_nano(std::int64_t unix_ns);

}  // namespace skald::gotext
