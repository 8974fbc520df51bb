#include <algorithm>

#include "proto/base/utf8.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/format.h"
#include "proto/gotext/functions.h"
#include "proto/gotext/template_tree.h"
#include "proto/gotext/unicode.h"

namespace skald::gotext {
namespace {

using base::invalid_argument;
using base::Result;
using Kind = Value::Kind;

base::Status error(std::string text) { return invalid_argument(std::move(text)); }
std::string type_of(const Value& value) { return std::string(value.type_name()); }

constexpr const char* kZeroValue = "reflect: call of reflect.Value.Type on zero Value";

Result<std::size_t> index_arg(const Value& index, std::size_t cap) {
  if (index.is_none()) return error("cannot index slice/array with nil");
  if (!index.is(Kind::kInt) && !index.is(Kind::kDuration))
    return error("cannot index slice/array with type " + type_of(index));
  if (index.as_int() < 0 || static_cast<std::uint64_t>(index.as_int()) > cap)
    return error("index out of range: " + std::to_string(index.as_int()));
  return static_cast<std::size_t>(index.as_int());
}

Result<Value> index_once(const Value& item, const Value& index) {
  switch (item.kind()) {
    case Kind::kString: {
      SKALD_TRY_ASSIGN(const std::size_t i, index_arg(index, item.as_string().size()));
      if (i == item.as_string().size()) return error("reflect: string index out of range");
      return Value::integer(static_cast<unsigned char>(item.as_string()[i]),
                            Value::IntType::kUint8);
    }
    case Kind::kList: {
      SKALD_TRY_ASSIGN(const std::size_t i, index_arg(index, item.as_list().size()));
      if (i == item.as_list().size()) return error("reflect: slice index out of range");
      return item.as_list()[i];
    }
    case Kind::kObject: {
      if (!item.as_object().is_map()) break;
      if (index.is_none()) return error("value is nil; should be of type string");
      if (!index.is(Kind::kString))
        return error("value has type " + type_of(index) + "; should be string");
      auto value = item.as_object().get(index.as_string());
      return value ? std::move(*value) : item.as_object().missing();
    }
    default: break;
  }
  return error("can't index item of type " + type_of(item));
}

Result<Value> index(const Call& call) {
  Value item = call.args[0];
  if (item.is_none()) return error("index of untyped nil");
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    if (item.is_none()) return error("index of nil pointer");
    SKALD_TRY_ASSIGN(item, index_once(item, call.args[i]));
  }
  return item;
}

Result<Value> slice(const Call& call) {
  const Value& item = call.args[0];
  const std::size_t count = call.args.size() - 1;
  if (item.is_none()) return error("slice of untyped nil");
  if (count > 3) return error("too many slice indexes: " + std::to_string(count));
  std::size_t size = 0;
  if (item.is(Kind::kString)) {
    if (count == 3) return error("cannot 3-index slice a string");
    size = item.as_string().size();
  } else if (item.is(Kind::kList)) {
    size = item.as_list().size();
  } else {
    return error("can't slice item of type " + type_of(item));
  }
  std::size_t at[3] = {0, size, size};
  for (std::size_t i = 0; i < count; ++i) {
    SKALD_TRY_ASSIGN(at[i], index_arg(call.args[i + 1], size));
  }
  const auto bad = [](std::size_t a, std::size_t b) {
    return error("invalid slice index: " + std::to_string(a) + " > " + std::to_string(b));
  };
  if (at[0] > at[1]) return bad(at[0], at[1]);
  if (count == 3 && at[1] > at[2]) return bad(at[1], at[2]);
  if (item.is(Kind::kString))
    return Value(std::string(item.as_string().substr(at[0], at[1] - at[0])));
  const auto& items = item.as_list();
  return Value::list({items.begin() + static_cast<std::ptrdiff_t>(at[0]),
                      items.begin() + static_cast<std::ptrdiff_t>(at[1])},
                     item.type_name());
}

Result<Value> length(const Call& call) {
  const Value& item = call.args[0];
  std::size_t size = 0;
  switch (item.kind()) {
    case Kind::kNone: return error(kZeroValue);
    case Kind::kNil: return error("len of nil pointer");
    case Kind::kString: size = item.as_string().size(); break;
    case Kind::kList: size = item.as_list().size(); break;
    case Kind::kObject:
      if (!item.as_object().is_map()) return error("len of type " + type_of(item));
      size = item.as_object().entries().size();
      break;
    default: return error("len of type " + type_of(item));
  }
  return Value::integer(static_cast<std::int64_t>(size));
}

// -- comparison ------------------------------------------------------------------------------
enum class Basic : std::uint8_t { kInvalid, kBool, kInt, kFloat, kString, kUint };

Basic basic_kind(const Value& value) {
  switch (value.kind()) {
    case Kind::kBool: return Basic::kBool;
    case Kind::kInt: return value.int_type() == Value::IntType::kUint8 ? Basic::kUint : Basic::kInt;
    case Kind::kDuration: return Basic::kInt;
    case Kind::kFloat: return Basic::kFloat;
    case Kind::kString: return Basic::kString;
    default: return Basic::kInvalid;
  }
}

bool integral(Basic a, Basic b) {
  return (a == Basic::kInt && b == Basic::kUint) || (a == Basic::kUint && b == Basic::kInt);
}

base::Status incompatible(const Value& a, const Value& b) {
  return error("incompatible types for comparison: " + type_of(a) + " and " + type_of(b));
}

Result<bool> equal(const Value& a, const Value& b) {
  const Basic ka = basic_kind(a), kb = basic_kind(b);
  if (ka != kb) {
    if (integral(ka, kb)) return a.as_int() == b.as_int();
    if (!a.is_none() && !b.is_none()) return incompatible(a, b);
    return false;
  }
  switch (ka) {
    case Basic::kBool: return a.as_bool() == b.as_bool();
    case Basic::kFloat: return a.as_float() == b.as_float();
    case Basic::kInt:
    case Basic::kUint: return a.as_int() == b.as_int();
    case Basic::kString: return a.as_string() == b.as_string();
    case Basic::kInvalid: break;
  }
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is(Kind::kTime) && b.is(Kind::kTime)) {
    return a.as_time().unix_seconds == b.as_time().unix_seconds &&
           a.as_time().nanosecond == b.as_time().nanosecond;
  }
  std::string text;
  append_value(text, b);
  return error("non-comparable type " + text + ": " + type_of(b));
}

Result<bool> less(const Value& a, const Value& b) {
  const Basic ka = basic_kind(a), kb = basic_kind(b);
  if (ka == Basic::kInvalid || kb == Basic::kInvalid) return error("invalid type for comparison");
  if (ka != kb) {
    if (integral(ka, kb)) return a.as_int() < b.as_int();
    return incompatible(a, b);
  }
  switch (ka) {
    case Basic::kFloat: return a.as_float() < b.as_float();
    case Basic::kInt:
    case Basic::kUint: return a.as_int() < b.as_int();
    case Basic::kString: return a.as_string() < b.as_string();
    default: return error("invalid type for comparison");
  }
}

Result<bool> less_or_equal(const Value& a, const Value& b) {
  SKALD_TRY_ASSIGN(const bool is_less, less(a, b));
  if (is_less) return true;
  return equal(a, b);
}

Result<Value> as_value(Result<bool> result, bool negate = false) {
  if (!result.ok()) return std::move(result).status();
  return Value(*result != negate);
}

Result<Value> eq(const Call& call) {
  if (call.args.size() == 1) return error("missing argument for comparison");
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    SKALD_TRY_ASSIGN(const bool same, equal(call.args[0], call.args[i]));
    if (same) return Value(true);
  }
  return Value(false);
}

// -- escaping --------------------------------------------------------------------------------
std::string joined(std::span<const Value> args) {
  if (args.size() == 1 && args[0].is(Kind::kString)) return std::string(args[0].as_string());
  std::vector<Value> shown(args.begin(), args.end());
  for (Value& value : shown)
    if (value.is_none()) value = Value("<no value>");
  return sprint(shown);
}

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\0': out += "\xEF\xBF\xBD"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

void append_hex4(std::string& out, char32_t value) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  out += "\\u";
  int digits = 4;
  while (digits < 8 && (value >> (digits * 4)) != 0) ++digits;
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += kHex[(value >> shift) & 0xF];
}

std::string js_escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const base::Rune rune = base::decode_rune(text);
    switch (rune.value) {
      case '\\': out += "\\\\"; break;
      case '\'': out += "\\'"; break;
      case '"': out += "\\\""; break;
      case '<':
      case '>':
      case '&':
      case '=': append_hex4(out, rune.value); break;
      default:
        if (rune.value < ' ' || (rune.value >= 0x80 && !is_print(rune.value)))
          append_hex4(out, rune.value);
        else
          out += text.substr(0, rune.width);
    }
    text.remove_prefix(rune.width);
  }
  return out;
}

FunctionTable make_builtins() {
  const Param any{ParamType::kAny};
  const auto never = [](const Call&) -> Result<Value> { return error("unreachable"); };
  FunctionTable table;
  table["and"] = {{any, any}, true, never};  // the executor's own
  table["or"] = {{any, any}, true, never};
  table["call"] = {{any, any}, true, never};
  table["html"] = {{any}, true, [](const Call& c) -> Result<Value> {
                     return Value(html_escape(joined(c.args)));
                   }};
  table["js"] = {
      {any}, true, [](const Call& c) -> Result<Value> { return Value(js_escape(joined(c.args))); }};
  table["urlquery"] = {{any}, true, [](const Call& c) -> Result<Value> {
                         return Value(query_escape(joined(c.args)));
                       }};
  table["index"] = {{any, any}, true, index};
  table["slice"] = {{any, any}, true, slice};
  table["len"] = {{any}, false, length};
  table["not"] = {
      {any}, false, [](const Call& c) -> Result<Value> { return Value(!c.args[0].truth()); }};
  table["print"] = {
      {any}, true, [](const Call& c) -> Result<Value> { return Value(sprint(c.args)); }};
  table["println"] = {
      {any}, true, [](const Call& c) -> Result<Value> { return Value(sprintln(c.args)); }};
  table["printf"] = {{ParamType::kString, any}, true, [](const Call& c) -> Result<Value> {
                       return Value(sprintf(c.args[0].as_string(), c.args.subspan(1)));
                     }};
  table["eq"] = {{any, any}, true, eq};
  table["ne"] = {
      {any, any}, false, [](const Call& c) { return as_value(equal(c.args[0], c.args[1]), true); }};
  table["lt"] = {
      {any, any}, false, [](const Call& c) { return as_value(less(c.args[0], c.args[1])); }};
  table["le"] = {{any, any}, false, [](const Call& c) {
                   return as_value(less_or_equal(c.args[0], c.args[1]));
                 }};
  table["gt"] = {{any, any}, false, [](const Call& c) {
                   return as_value(less_or_equal(c.args[0], c.args[1]), true);
                 }};
  table["ge"] = {
      {any, any}, false, [](const Call& c) { return as_value(less(c.args[0], c.args[1]), true); }};
  return table;
}

// -- methods ---------------------------------------------------------------------------------
CivilTime civil_of(const Time& time) {
  const std::int64_t offset = time.zone ? time.zone->at(time.unix_seconds).offset_seconds : 0;
  return civil_from_seconds(time.unix_seconds + offset);
}

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

FunctionTable make_time_methods() {
  static const TimeLayout month("January"), weekday("Monday");
  FunctionTable t;
  t["Unix"] = time_method([](const Time& x) { return Value::int64(x.unix_seconds); });
  t["UnixNano"] = time_method([](const Time& x) { return Value::int64(x.unix_ns()); });
  t["UnixMilli"] = time_method(
      [](const Time& x) { return Value::int64(x.unix_seconds * 1000 + x.nanosecond / 1000000); });
  t["UnixMicro"] = time_method(
      [](const Time& x) { return Value::int64(x.unix_seconds * 1000000 + x.nanosecond / 1000); });
  t["Nanosecond"] = time_method([](const Time& x) { return Value::integer(x.nanosecond); });
  t["Year"] = time_method([](const Time& x) { return Value::integer(civil_of(x).year); });
  t["Month"] = time_method([](const Time& x) { return Value(month.format(x)); });
  t["Weekday"] = time_method([](const Time& x) { return Value(weekday.format(x)); });
  t["Day"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::day); });
  t["YearDay"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::year_day); });
  t["Hour"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::hour); });
  t["Minute"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::minute); });
  t["Second"] = time_method([](const Time& x) { return civil_part(x, &CivilTime::second); });
  t["String"] = time_method([](const Time& x) { return Value(x.to_string()); });
  t["IsZero"] = time_method([](const Time& x) { return Value(x.is_zero()); });
  const auto in_utc = time_method([](const Time& x) {
    return Value(Time{x.unix_seconds, x.nanosecond, nullptr});
  });
  t["UTC"] = in_utc;
  t["Local"] = in_utc;
  t["Format"] = {{ParamType::kTime, ParamType::kString}, false, [](const Call& c) -> Result<Value> {
                   return Value(TimeLayout(c.args[1].as_string()).format(c.args[0].as_time()));
                 }};
  t["AddDate"] = {{ParamType::kTime, ParamType::kInt, ParamType::kInt, ParamType::kInt},
                  false,
                  [](const Call& c) -> Result<Value> {
                    return add_date(c.args[0].as_time(), c.args[1].as_int(), c.args[2].as_int(),
                                    c.args[3].as_int());
                  }};
  t["Before"] = time_compare([](const auto& a, const auto& b) { return a < b; });
  t["After"] = time_compare([](const auto& a, const auto& b) { return a > b; });
  t["Equal"] = time_compare([](const auto& a, const auto& b) { return a == b; });
  t["Sub"] = {{ParamType::kTime, ParamType::kTime}, false, [](const Call& c) -> Result<Value> {
                const Time& a = c.args[0].as_time();
                const Time& b = c.args[1].as_time();
                return Value::duration(a.unix_ns() - b.unix_ns());
              }};
  return t;
}

template <typename F>
Function duration_method(F body) {
  return {{ParamType::kAny}, false, [body](const Call& c) -> Result<Value> {
            return body(c.args[0].as_int());
          }};
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

const FunctionTable& builtin_functions() {
  static const FunctionTable table = make_builtins();
  return table;
}

const Function* find_method(Value::Kind kind, std::string_view name) {
  static const FunctionTable time = make_time_methods();
  static const FunctionTable duration = make_duration_methods();
  if (kind != Kind::kTime && kind != Kind::kDuration) return nullptr;
  const FunctionTable& table = kind == Kind::kTime ? time : duration;
  const auto at = table.find(name);
  return at == table.end() ? nullptr : &at->second;
}

}  // namespace skald::gotext
