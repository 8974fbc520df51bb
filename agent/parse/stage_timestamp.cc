// timestamp: Go layouts, Unix times, and a fast path for ISO 8601 as nearly every logger writes it.

#include <algorithm>
#include <list>
#include <unordered_map>

#include "agent/parse/limits.h"
#include "agent/parse/stage.h"
#include "proto/gotext/number.h"
#include "proto/gotext/time_layout.h"

namespace skald::agent {

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

inline bool two_digits(const char* p, int& out) noexcept {
  const unsigned a = static_cast<unsigned char>(p[0]) - '0';
  const unsigned b = static_cast<unsigned char>(p[1]) - '0';
  out = static_cast<int>(a * 10 + b);
  return a < 10 && b < 10;
}

// Days since 1970-01-01 of a Gregorian date (Howard Hinnant's days_from_civil).
inline std::int64_t days_from_civil(int year, int month, int day) noexcept {
  year -= month <= 2 ? 1 : 0;
  const int era = (year >= 0 ? year : year - 399) / 400;
  const int year_of_era = year - era * 400;
  const int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return std::int64_t{era} * 146097 + day_of_era - 719468;
}

int days_in_month(int year, int month) noexcept {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month - 1];
}

}  // namespace

// `2006-01-02T15:04:05[.fraction](Z|+07:00)` or without zone (UTC), the separator as given. Accepts
// only the canonical form; everything else is left to the general parser.
bool parse_iso_time(std::string_view text, char separator, bool zone,
                    std::int64_t& out_ns) noexcept {
  if (text.size() < 19) return false;
  const char* p = text.data();
  int century = 0, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  const bool digits = two_digits(p, century) & two_digits(p + 2, year) & two_digits(p + 5, month) &
                      two_digits(p + 8, day) & two_digits(p + 11, hour) &
                      two_digits(p + 14, minute) & two_digits(p + 17, second);
  if (!digits || p[4] != '-' || p[7] != '-' || p[10] != separator || p[13] != ':' || p[16] != ':') {
    return false;
  }
  year += century * 100;
  if (year < 1678 || year > 2261 || month < 1 || month > 12 || day < 1 ||
      day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 59) {
    return false;
  }
  std::size_t i = 19;
  std::int64_t nanos = 0;
  if (i < text.size() && (text[i] == '.' || text[i] == ',')) {
    const std::size_t start = ++i;
    std::int64_t scale = kNsPerSecond;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
      scale /= 10;
      nanos += scale * (text[i] - '0');
    }
    if (i == start || i - start > 9) return false;
  }
  std::int64_t offset = 0;
  if (zone) {
    if (i == text.size()) return false;
    if (text[i] == 'Z') {
      ++i;
    } else {
      int hours = 0, minutes = 0;
      if (text.size() - i < 6 || (text[i] != '+' && text[i] != '-') || text[i + 3] != ':' ||
          !two_digits(text.data() + i + 1, hours) || !two_digits(text.data() + i + 4, minutes) ||
          hours > 24 || minutes > 59) {
        return false;
      }
      offset = (hours * 3600 + minutes * 60) * (text[i] == '-' ? -1 : 1);
      i += 6;
    }
  }
  if (i != text.size()) return false;
  const std::int64_t seconds =
      days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
  out_ns = seconds * kNsPerSecond + nanos;
  return true;
}

namespace {

// One configured format.
class TimeFormat {
 public:
  static TimeFormat create(const std::string& text, const gotext::ZonePtr& zone) {
    TimeFormat format;
    static constexpr std::pair<std::string_view, std::int64_t> kUnits[] = {
        {"Unix", 0}, {"UnixMs", 1'000'000}, {"UnixUs", 1000}, {"UnixNs", 1}};
    for (const auto& [name, unit] : kUnits) {
      if (text != name) continue;
      format.kind_ = unit == 0 ? Kind::kUnix : Kind::kUnixUnit;
      format.unit_ns_ = unit;
      return format;
    }
    const std::string_view named = gotext::named_layout(text);
    const bool is_named = !named.empty() && !text.starts_with("Stamp") && text != "Kitchen" &&
                          text != "DateTime" && text != "DateOnly" && text != "TimeOnly";
    const std::string layout(is_named ? named : std::string_view(text));
    format.layout_ = gotext::TimeLayout(layout);
    format.zone_ = is_named ? nullptr : zone;
    format.find_fast_path(layout);
    return format;
  }

  bool parse(std::string_view text, std::int64_t read_ns, std::int64_t& out_ns) const {
    switch (kind_) {
      case Kind::kUnix: return parse_unix(text, out_ns);
      case Kind::kUnixUnit: {
        std::int64_t count = 0;
        if (gotext::read_int(text, 10, 64, count) != gotext::NumberError::kNone) return false;
        return !__builtin_mul_overflow(count, unit_ns_, &out_ns);
      }
      case Kind::kLayout: break;
    }
    if (iso_separator_ != 0 && parse_iso_time(text, iso_separator_, iso_zone_, out_ns)) return true;
    auto time = layout_.parse(text, zone_);
    if (!time.ok()) return false;
    if (layout_.has_year()) {
      out_ns = time->unix_ns();
      return true;
    }
    return add_year(*time, read_ns, out_ns);
  }

 private:
  enum class Kind : std::uint8_t { kLayout, kUnix, kUnixUnit };

  void find_fast_path(std::string_view layout) {
    for (const char separator : {'T', ' '}) {
      std::string_view rest = layout;
      const std::string head = std::string("2006-01-02") + separator + "15:04:05";
      if (!rest.starts_with(head)) continue;
      rest.remove_prefix(head.size());
      // A fraction of nines takes any number of digits, and Go takes one even if none is written.
      if (rest.size() > 1 && (rest[0] == '.' || rest[0] == ',') && rest[1] == '9') {
        rest.remove_prefix(std::min(rest.find_first_not_of('9', 1), rest.size()));
      }
      if (rest == "Z07:00" || (rest.empty() && zone_ == nullptr)) {
        iso_separator_ = separator;
        iso_zone_ = !rest.empty();
      }
    }
  }

  static bool parse_unix(std::string_view text, std::int64_t& out_ns) {
    std::int64_t seconds = 0;
    std::int64_t nanos = 0;
    const auto point = text.find('.');
    if (gotext::read_int(text.substr(0, point), 10, 64, seconds) != gotext::NumberError::kNone) {
      return false;
    }
    if (point != std::string_view::npos) {
      const std::string_view digits = text.substr(point + 1);
      if (gotext::read_int(digits, 10, 64, nanos) != gotext::NumberError::kNone) return false;
      for (std::size_t i = digits.size(); i < 9; ++i) nanos *= 10;
      for (std::size_t i = 9; i < digits.size(); ++i) nanos /= 10;
    }
    return !__builtin_mul_overflow(seconds, kNsPerSecond, &out_ns) &&
           !__builtin_add_overflow(out_ns, nanos, &out_ns);
  }

  // A layout without a year: the current one; at the turn of the year the nearer.
  bool add_year(const gotext::Time& parsed, std::int64_t read_ns, std::int64_t& out_ns) const {
    const auto now = gotext::civil_from_seconds(read_ns / kNsPerSecond);
    const gotext::Zone* zone = parsed.zone != nullptr ? parsed.zone.get() : nullptr;
    const std::int32_t offset = zone != nullptr ? zone->at(parsed.unix_seconds).offset_seconds : 0;
    const auto civil = gotext::civil_from_seconds(parsed.unix_seconds + offset);
    std::int64_t year = now.year;
    if (civil.month == 12 && now.month == 1) --year;
    if (civil.month == 1 && now.month == 12) ++year;
    std::int64_t seconds = gotext::seconds_from_civil(year, civil.month, civil.day, civil.hour,
                                                      civil.minute, civil.second);
    seconds = zone != nullptr ? zone->to_unix(seconds) : seconds;
    return !__builtin_mul_overflow(seconds, kNsPerSecond, &out_ns) &&
           !__builtin_add_overflow(out_ns, parsed.nanosecond, &out_ns);
  }

  Kind kind_ = Kind::kLayout;
  std::int64_t unit_ns_ = 0;
  gotext::TimeLayout layout_{""};
  gotext::ZonePtr zone_;
  char iso_separator_ = 0;
  bool iso_zone_ = false;
};

// The last good time per label set: least recently used goes first.
class LastTimes {
 public:
  std::int64_t* find(std::uint64_t labels) {
    if (recent_ != nullptr && recent_->first == labels) return &recent_->second;
    auto known = by_labels_.find(labels);
    if (known == by_labels_.end()) return nullptr;
    order_.splice(order_.begin(), order_, known->second);
    recent_ = &order_.front();
    return &recent_->second;
  }
  void put(std::uint64_t labels, std::int64_t time_ns) {
    if (std::int64_t* known = find(labels)) {
      *known = time_ns;
      return;
    }
    if (order_.size() >= kLastTimesMax) {
      by_labels_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(labels, time_ns);
    by_labels_[labels] = order_.begin();
    recent_ = &order_.front();
  }

 private:
  using Order = std::list<std::pair<std::uint64_t, std::int64_t>>;
  Order order_;
  std::unordered_map<std::uint64_t, Order::iterator> by_labels_;
  Order::value_type* recent_ = nullptr;
};

class TimestampStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    std::string_view text;
    std::int64_t time_ns = 0;
    if (to_text(entry.slots[source_], context.arena, text)) {
      for (const TimeFormat& format : formats_) {
        if (!format.parse(text, entry.read_ns, time_ns)) continue;
        entry.timestamp_ns = time_ns;
        if (fudge_) last_.put(context.labels_hash(entry), time_ns);
        return Flow::kNext;
      }
    }
    if (!fudge_) return Flow::kNext;
    if (std::int64_t* last = last_.find(context.labels_hash(entry))) {
      entry.timestamp_ns = ++*last;
    }
    return Flow::kNext;
  }

  std::string describe() const override { return described_; }

  static StagePtr build(MapReader& body, BuildContext& build) {
    auto stage = std::make_unique<TimestampStage>();
    std::string source;
    std::string format;
    std::string location;
    std::string action = "fudge";
    std::vector<std::string> formats;
    body.string("source", source);
    body.string("format", format);
    body.strings("fallback_formats", formats);
    body.string("location", location);
    body.string("action_on_failure", action);
    if (source.empty()) body.fail("source", "the timestamp stage needs one");
    if (format.empty()) body.fail("format", "the timestamp stage needs one, such as RFC3339");
    if (action != "fudge" && action != "skip") {
      body.fail("action_on_failure", "`" + action + "` is neither fudge nor skip");
    }
    gotext::ZonePtr zone;
    if (!location.empty()) {
      auto loaded = gotext::load_zone(location);
      if (!loaded.ok()) {
        body.fail("location", loaded.status().message());
        return nullptr;
      }
      zone = std::move(loaded).value();
    }
    stage->source_ = build.names->id(source);
    stage->fudge_ = action == "fudge";
    stage->described_ = "takes the time from `" + source + "`, written as " + format;
    formats.insert(formats.begin(), format);
    for (std::size_t i = 0; i < formats.size(); ++i) {
      stage->formats_.push_back(TimeFormat::create(formats[i], zone));
      if (i > 0) stage->described_ += " or " + formats[i];
    }
    stage->described_ += stage->fudge_ ? "; if that fails, 1 ns after the last good time"
                                       : "; if that fails, the time of reading";
    return stage;
  }

 private:
  std::uint32_t source_ = 0;
  bool fudge_ = true;
  std::vector<TimeFormat> formats_;
  LastTimes last_;
  std::string described_;
};

}  // namespace

StagePtr build_timestamp(MapReader& body, BuildContext& build) {
  return TimestampStage::build(body, build);
}

}  // namespace skald::agent
