// Methods that templates can call on times, durations, months and weekdays.
#include <algorithm>
#include <limits>

#include "proto/gotext/duration.h"
#include "proto/gotext/format.h"
#include "proto/gotext/function_util.h"
#include "proto/gotext/template_tree.h"

namespace skald::gotext {
namespace {

using base::Result;
using Kind = Value::Kind;

template <typename F>
Function time_method(F body) {
  return {{ParamType::kTime}, false, [body](const Call& c) -> Result<Value> {
            return body(c.args[0].as_time());
          }};
}

template <typename F>
Function time_compare(F body) {
  return {{ParamType::kTime, ParamType::kTime}, false, [body](const Call& c) -> Result<Value> {
            const Time& a = c.args[0].as_time();
            const Time& b = c.args[1].as_time();
            return Value(body(std::pair(a.unix_seconds, a.nanosecond),
                              std::pair(b.unix_seconds, b.nanosecond)));
          }};
}

Value civil_part(const Time& time, int CivilTime::*part) {
  return Value::integer(civil_of(time).*part);
}

// Months are carried into years and days into months: 31 January plus one month is 2 or 3 March.
Value add_date(const Time& time, std::int64_t years, std::int64_t months, std::int64_t days) {
  constexpr std::int64_t kStepMax = 100'000'000;
  years = std::clamp(years, -kStepMax, kStepMax);
  months = std::clamp(months, -kStepMax, kStepMax);
  days = std::clamp(days, -kStepMax, kStepMax);
  const CivilTime t = civil_of(time);
  std::int64_t month = t.month - 1 + months;
  std::int64_t year = t.year + years + month / 12;
  month %= 12;
  if (month < 0) month += 12, --year;
  const std::int64_t civil =
      seconds_from_civil(year, static_cast<int>(month) + 1, 1, t.hour, t.minute, t.second) +
      (t.day - 1 + days) * 86400;
  return Value(Time{time.zone ? time.zone->to_unix(civil) : civil, time.nanosecond, time.zone});
}

__int128 total_ns(const Time& time) {
  return static_cast<__int128>(time.unix_seconds) * 1'000'000'000 + time.nanosecond;
}

std::int64_t saturated(__int128 value) {
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp<__int128>(value, kMin, kMax));
}

Value shifted(const Time& time, __int128 ns) {
  constexpr int kSecond = 1'000'000'000;
  const __int128 total = total_ns(time) + ns;
  const auto rest = static_cast<std::int32_t>((total % kSecond + kSecond) % kSecond);
  return Value(Time{static_cast<std::int64_t>((total - rest) / kSecond), rest, time.zone});
}

// Of the time since year 1, what a whole number of `unit`s leaves.
std::int64_t remainder_of(const Time& time, std::int64_t unit) {
  const __int128 zero = static_cast<__int128>(Time::kZeroSeconds) * 1'000'000'000;
  const __int128 rest = (total_ns(time) - zero) % unit;
  return static_cast<std::int64_t>(rest < 0 ? rest + unit : rest);
}

void add_rounding(FunctionTable& t) {
  const auto method = [](auto body) -> Function {
    return {
        {ParamType::kTime, ParamType::kDuration}, false, [body](const Call& c) -> Result<Value> {
          return body(c.args[0].as_time(), c.args[1].as_int());
        }};
  };
  t["Add"] = method([](const Time& x, std::int64_t ns) { return shifted(x, ns); });
  t["Truncate"] = method([](const Time& x, std::int64_t unit) {
    return unit <= 0 ? Value(x) : shifted(x, -static_cast<__int128>(remainder_of(x, unit)));
  });
  t["Round"] = method([](const Time& x, std::int64_t unit) {
    if (unit <= 0) return Value(x);
    const __int128 rest = remainder_of(x, unit);
    return shifted(x, rest + rest < unit ? -rest : unit - rest);
  });
}

// Methods that exist but give more than a template can take.
void add_unfit_methods(FunctionTable& t) {
  const auto unfit = [](std::string_view why) -> Function {
    return {{ParamType::kTime}, false, [](const Call&) -> Result<Value> { return Value(); }, why};
  };
  t["ISOWeek"] =
      unfit("invalid function signature for ISOWeek: second return value should be error; is int");
  t["Zone"] =
      unfit("invalid function signature for Zone: second return value should be error; is int");
  t["Date"] = unfit("function Date has 3 return values; should be 1 or 2");
  t["Clock"] = unfit("function Clock has 3 return values; should be 1 or 2");
}

FunctionTable make_time_methods() {
  FunctionTable t;
  t["Unix"] = time_method([](const Time& x) { return Value::int64(x.unix_seconds); });
  t["UnixNano"] = time_method([](const Time& x) { return Value::int64(wrapped_unix_ns(x)); });
  t["UnixMilli"] = time_method(
      [](const Time& x) { return Value::int64(x.unix_seconds * 1000 + x.nanosecond / 1000000); });
  t["UnixMicro"] = time_method(
      [](const Time& x) { return Value::int64(x.unix_seconds * 1000000 + x.nanosecond / 1000); });
  t["Nanosecond"] = time_method([](const Time& x) { return Value::integer(x.nanosecond); });
  t["Year"] = time_method([](const Time& x) { return Value::integer(civil_of(x).year); });
  t["Month"] = time_method(
      [](const Time& x) { return Value::integer(civil_of(x).month, Value::IntType::kMonth); });
  t["Weekday"] = time_method(
      [](const Time& x) { return Value::integer(civil_of(x).weekday, Value::IntType::kWeekday); });
  t["Day"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::day); });
  t["YearDay"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::year_day); });
  t["Hour"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::hour); });
  t["Minute"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::minute); });
  t["Second"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::second); });
  t["String"] = time_method([](const Time& x) { return Value(x.to_string()); });
  t["IsZero"] = time_method([](const Time& x) { return Value(x.is_zero()); });
  const auto in_utc = time_method([](const Time& x) {
    return Value(Time{x.unix_seconds, x.nanosecond, utc()});
  });
  t["UTC"] = in_utc;
  t["Local"] = time_method([](const Time& x) {
    return Value(Time{x.unix_seconds, x.nanosecond, nullptr});
  });
  t["GoString"] = time_method([](const Time& x) { return Value(time_go_syntax(x)); });
  t["IsDST"] =
      time_method([](const Time& x) { return Value(x.zone && x.zone->at(x.unix_seconds).is_dst); });
  add_unfit_methods(t);
  add_rounding(t);
  t["Format"] = {{ParamType::kTime, ParamType::kString}, false, [](const Call& c) -> Result<Value> {
                   return Value(TimeLayout(c.args[1].as_string()).format(c.args[0].as_time()));
                 }};
  t["AddDate"] = {{ParamType::kTime, ParamType::kInt, ParamType::kInt, ParamType::kInt},
                  false,
                  [](const Call& c) -> Result<Value> {
                    return add_date(c.args[0].as_time(), c.args[1].as_int(), c.args[2].as_int(),
                                    c.args[3].as_int());
                  }};
  t["Compare"] = time_compare([](const auto& a, const auto& b) {
    return Value::integer(a < b ? -1 : a > b ? 1 : 0);
  });
  t["Before"] = time_compare([](const auto& a, const auto& b) { return a < b; });
  t["After"] = time_compare([](const auto& a, const auto& b) { return a > b; });
  t["Equal"] = time_compare([](const auto& a, const auto& b) { return a == b; });
  t["Sub"] = {{ParamType::kTime, ParamType::kTime}, false, [](const Call& c) -> Result<Value> {
                const Time& a = c.args[0].as_time();
                const Time& b = c.args[1].as_time();
                return Value::duration(saturated(total_ns(a) - total_ns(b)));
              }};
  return t;
}

template <typename F>
Function duration_method(F body) {
  return {{ParamType::kAny}, false, [body](const Call& c) -> Result<Value> {
            return body(c.args[0].as_int());
          }};
}

FunctionTable make_named_methods() {
  FunctionTable t;
  t["String"] = {{ParamType::kAny}, false, [](const Call& c) -> Result<Value> {
                   return Value(to_text(c.args[0]));
                 }};
  return t;
}

FunctionTable make_duration_methods() {
  FunctionTable t;
  t["Nanoseconds"] = duration_method([](std::int64_t ns) { return Value::int64(ns); });
  t["Microseconds"] = duration_method([](std::int64_t ns) { return Value::int64(ns / 1000); });
  t["Milliseconds"] = duration_method([](std::int64_t ns) { return Value::int64(ns / 1000000); });
  t["Seconds"] = duration_method([](std::int64_t ns) { return Value(duration_seconds(ns)); });
  t["Minutes"] = duration_method([](std::int64_t ns) {
    return Value(static_cast<double>(ns / 60000000000) +
                 static_cast<double>(ns % 60000000000) / 60e9);
  });
  t["Hours"] = duration_method([](std::int64_t ns) {
    return Value(static_cast<double>(ns / 3600000000000) +
                 static_cast<double>(ns % 3600000000000) / 3600e9);
  });
  t["String"] = duration_method([](std::int64_t ns) { return Value(format_duration(ns)); });
  return t;
}

}  // namespace

const Function* find_method(const Value& receiver, std::string_view name) {
  static const FunctionTable time = make_time_methods();
  static const FunctionTable duration = make_duration_methods();
  static const FunctionTable named = make_named_methods();
  const FunctionTable* table = nullptr;
  if (receiver.is(Kind::kTime)) table = &time;
  if (receiver.is(Kind::kDuration)) table = &duration;
  if (is_named_integer(receiver)) table = &named;
  if (table == nullptr) return nullptr;
  const auto at = table->find(name);
  return at == table->end() ? nullptr : &at->second;
}

}  // namespace skald::gotext
