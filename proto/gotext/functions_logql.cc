// line_format and label_format.
#include <array>

#include "proto/base/clock.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/function_util.h"
#include "proto/gotext/limits.h"
#include "proto/gotext/number.h"
#include "proto/gotext/quote.h"
#include "proto/gotext/regex.h"

namespace skald::gotext {
namespace {

using base::invalid_argument;
using base::Result;
using P = ParamType;

std::string_view text_arg(const Call& call, std::size_t i) { return call.args[i].as_string(); }

Result<Value> convert_duration(const Call& c) {
  SKALD_TRY_ASSIGN(const std::int64_t ns, parse_duration(text_arg(c, 0)));
  return Value(duration_seconds(ns));
}

Result<Value> convert_bytes(const Call& c) {
  SKALD_TRY_ASSIGN(const std::uint64_t bytes, parse_bytes(text_arg(c, 0)));
  return Value(static_cast<double>(bytes));
}

Result<Value> unix_to_time(const Call& c) {
  const std::string_view text = text_arg(c, 0);
  const auto fail = [&](std::string_view why) {
    return invalid_argument("unable to parse time '" + std::string(text) +
                            "': " + std::string(why));
  };
  auto parsed = parse_int(text);
  if (!parsed.ok()) return fail(parsed.status().message());
  const std::int64_t n = *parsed;
  switch (text.size()) {
    case 5: return Value(Time{n * 86400, 0, nullptr});
    case 10: return Value(Time{n, 0, nullptr});
    case 13: return Value(Time::from_unix_ns(n * 1'000'000));
    case 16: return Value(Time::from_unix_ns(n * 1'000));
    case 19: return Value(Time::from_unix_ns(n));
    default: return fail("%!w(<nil>)");  // Loki formats a nil error here, and clients see it
  }
}

Result<Value> align(const Call& c, bool left) {
  const std::int64_t count = c.args[0].as_int();
  const std::string_view text = text_arg(c, 1);
  const std::vector<char32_t> all = runes(text);
  const auto have = static_cast<std::int64_t>(all.size());
  if (count < 0 || count == have) return c.args[1];
  if (count > have) {
    SKALD_TRY_ASSIGN(const std::string pad, repeat(" ", count - have));
    return Value(left ? std::string(text) + pad : pad + std::string(text));
  }
  const auto size = static_cast<std::size_t>(count);
  return Value(left ? from_runes(all, 0, size) : from_runes(all, all.size() - size, all.size()));
}

Result<Value> count(const Call& c) {
  SKALD_TRY_ASSIGN(const RegexPtr regex, compile_regex(text_arg(c, 0), c.work));
  SKALD_TRY_ASSIGN(const std::size_t matches, regex_count(*regex, text_arg(c, 1), c.work));
  return Value::integer(static_cast<std::int64_t>(matches));
}

// What is wrong is given back as text.
std::string b64dec(std::string_view text) {
  auto decoded = base64_decode(text);
  if (!decoded.ok()) return std::string(decoded.status().message());
  return std::move(decoded).value();
}

Result<Value> url_decode(const Call& c) {
  SKALD_TRY_ASSIGN(std::string text, query_unescape(text_arg(c, 0)));
  return Value(std::move(text));
}

Result<Value> to_date_in_zone(const Call& c) {
  auto zone = load_zone(text_arg(c, 1));
  auto time = TimeLayout(text_arg(c, 0)).parse(text_arg(c, 2), zone.ok() ? zone.value() : utc());
  return Value(time.ok() ? std::move(time).value() : Time{.zone = utc()});
}

// The query's: a line that is made twice is the same each time.
Value now_of(const Call& c) {
  const auto* context = static_cast<const LineContext*>(c.context);
  return Value(Time::from_unix_ns(context != nullptr && context->now_ns != 0
                                      ? context->now_ns
                                      : base::Clock::system().wall_ns()));
}

// Sprig's, which takes what is no time for now.
Function date_of_query(const Function& sprig) {
  Function out = sprig;
  out.body = [body = sprig.body](const Call& c) -> Result<Value> {
    if (c.args[1].is(Value::Kind::kTime) || c.args[1].is(Value::Kind::kInt)) return body(c);
    const std::array<Value, 2> args = {c.args[0], now_of(c)};
    Call now = c;
    now.args = args;
    return body(now);
  };
  return out;
}

// Aligning works on code points, four bytes for each of a text's at most.
constexpr std::uint32_t kRuneBytes = 4;

FunctionTable make_table() {
  FunctionTable t;
  add_deprecated_strings(t);
  add_logql_sprig(t);
  t["now"] = {{}, false, [](const Call& c) -> Result<Value> { return now_of(c); }};
  t["date"] = date_of_query(t["date"]);
  t["count"] = {{P::kString, P::kString}, false, count};
  t["urldecode"] = {{P::kString}, false, url_decode};
  t["urlencode"] = string_function(query_escape);
  t["bytes"] = {{P::kString}, false, convert_bytes};
  t["duration"] = {{P::kString}, false, convert_duration};
  t["duration_seconds"] = {{P::kString}, false, convert_duration};
  t["unixEpochMillis"] = {
      {P::kTime}, false, [](const Call& c) -> Result<Value> {
        const Time& time = c.args[0].as_time();
        return Value(std::to_string(time.unix_seconds * 1000 + time.nanosecond / 1'000'000));
      }};
  t["unixEpochNanos"] = {{P::kTime}, false, [](const Call& c) -> Result<Value> {
                           return Value(std::to_string(wrapped_unix_ns(c.args[0].as_time())));
                         }};
  t["toDateInZone"] = {{P::kString, P::kString, P::kString}, false, to_date_in_zone};
  t["unixToTime"] = {{P::kString}, false, unix_to_time};
  t["alignLeft"] = {{P::kInt, P::kString}, false, [](const Call& c) { return align(c, true); }};
  t["alignRight"] = {{P::kInt, P::kString}, false, [](const Call& c) { return align(c, false); }};
  t["alignLeft"].memory_per_byte = t["alignRight"].memory_per_byte = kRuneBytes;
  t["b64dec"] = string_function(b64dec);
  t["__line__"] = {{}, false, [](const Call& c) -> Result<Value> {
                     const auto* context = static_cast<const LineContext*>(c.context);
                     return Value::borrow(context ? context->line : std::string_view());
                   }};
  t["__timestamp__"] = {{}, false, [](const Call& c) -> Result<Value> {
                          const auto* context = static_cast<const LineContext*>(c.context);
                          return Value(Time::from_unix_ns(context ? context->timestamp_ns : 0));
                        }};
  return t;
}

}  // namespace

const FunctionTable& logql_functions() {
  static const FunctionTable table = make_table();
  return table;
}

}  // namespace skald::gotext
