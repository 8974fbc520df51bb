// The functions of sprig that LogQL's templates have, with sprig's own conversions.
#include <openssl/bn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>

#include "proto/base/clock.h"
#include "proto/base/text_code.h"
#include "proto/gotext/format.h"
#include "proto/gotext/function_util.h"
#include "proto/gotext/json.h"
#include "proto/gotext/limits.h"
#include "proto/gotext/number.h"
#include "proto/gotext/regex.h"

namespace skald::gotext {
namespace {

using base::invalid_argument;
using base::Result;
using Kind = Value::Kind;
using P = ParamType;

std::string_view text_arg(const Call& call, std::size_t i) { return call.args[i].as_string(); }

// Go converts by truncation; what does not fit becomes the smallest integer on amd64.
std::int64_t int_of_float(double value) {
  if (!(value >= -0x1p63 && value < 0x1p63)) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(value);
}

// "12.5" -> "12"; only plain decimal numbers.
std::string_view trim_decimal(std::string_view text) {
  const auto point = text.find('.');
  if (point == std::string_view::npos) return text;
  std::string_view whole = text.substr(0, point);
  const auto digits = [](std::string_view t) {
    return t.find_first_not_of("0123456789") == std::string_view::npos;
  };
  std::string_view unsigned_part = whole;
  if (!whole.empty() && (whole[0] == '-' || whole[0] == '+')) unsigned_part.remove_prefix(1);
  if (!digits(unsigned_part) || !digits(text.substr(point + 1))) return text;
  return unsigned_part.empty() ? "0" : whole;
}

struct BnDeleter {
  void operator()(BIGNUM* n) const { BN_free(n); }
};
using Bn = std::unique_ptr<BIGNUM, BnDeleter>;

// mantissa * 10^exponent
struct Decimal {
  Bn mantissa{BN_new()};
  int exponent = 0;
};

struct CtxDeleter {
  void operator()(BN_CTX* c) const { BN_CTX_free(c); }
};

class DecimalMath {
 public:
  Result<Decimal> from(double value) {
    if (!std::isfinite(value))
      return invalid_argument("Cannot create a Decimal from " + format_float(value, 'g'));
    Decimal out;
    BN_zero(out.mantissa.get());
    if (value == 0) return out;
    std::string text = format_float(std::fabs(value), 'e', -1);  // d.ddde+XX
    const auto e = text.find('e');
    std::int64_t exponent = 0;
    read_int(text.substr(e + 1), 10, 32, exponent);
    std::string digits = text.substr(0, e);
    if (const auto point = digits.find('.'); point != std::string::npos) {
      exponent -= static_cast<std::int64_t>(digits.size() - point - 1);
      digits.erase(point, 1);
    }
    BIGNUM* raw = out.mantissa.get();
    BN_dec2bn(&raw, digits.c_str());
    BN_set_negative(raw, value < 0);
    out.exponent = static_cast<int>(exponent);
    return out;
  }

  Decimal add(const Decimal& a, const Decimal& b, bool subtract) {
    Decimal out;
    out.exponent = std::min(a.exponent, b.exponent);
    const Bn x = scaled(a.mantissa.get(), a.exponent - out.exponent);
    const Bn y = scaled(b.mantissa.get(), b.exponent - out.exponent);
    if (subtract)
      BN_sub(out.mantissa.get(), x.get(), y.get());
    else
      BN_add(out.mantissa.get(), x.get(), y.get());
    return out;
  }

  Decimal multiply(const Decimal& a, const Decimal& b) {
    Decimal out;
    BN_mul(out.mantissa.get(), a.mantissa.get(), b.mantissa.get(), ctx_.get());
    out.exponent = a.exponent + b.exponent;
    return out;
  }

  // Sixteen decimal places, halves away from zero.
  Result<Decimal> divide(const Decimal& a, const Decimal& b) {
    if (BN_is_zero(b.mantissa.get())) return invalid_argument("decimal division by 0");
    constexpr int kPlaces = 16;
    const int shift = a.exponent - b.exponent + kPlaces;
    const Bn x = scaled(a.mantissa.get(), std::max(shift, 0));
    const Bn y = scaled(b.mantissa.get(), std::max(-shift, 0));
    const bool negative = BN_is_negative(x.get()) != BN_is_negative(y.get());
    BN_set_negative(x.get(), 0);
    BN_set_negative(y.get(), 0);
    Decimal out;
    const Bn rest(BN_new());
    BN_div(out.mantissa.get(), rest.get(), x.get(), y.get(), ctx_.get());
    BN_lshift1(rest.get(), rest.get());
    if (BN_cmp(rest.get(), y.get()) >= 0) BN_add_word(out.mantissa.get(), 1);
    BN_set_negative(out.mantissa.get(), negative);
    out.exponent = -kPlaces;
    return out;
  }

  static double to_double(const Decimal& value) {
    char* digits = BN_bn2dec(value.mantissa.get());
    const std::string text = std::string(digits) + "e" + std::to_string(value.exponent);
    OPENSSL_free(digits);
    double out = 0;
    read_float(text, out);
    return out;
  }

 private:
  Bn scaled(const BIGNUM* value, int power) {
    Bn out(BN_dup(value)), ten(BN_new()), exponent(BN_new()), factor(BN_new());
    BN_set_word(ten.get(), 10);
    BN_set_word(exponent.get(), static_cast<BN_ULONG>(power));
    BN_exp(factor.get(), ten.get(), exponent.get(), ctx_.get());
    BN_mul(out.get(), out.get(), factor.get(), ctx_.get());
    return out;
  }
  std::unique_ptr<BN_CTX, CtxDeleter> ctx_{BN_CTX_new()};
};

Function decimal_function(DecimalOp op, bool from_zero) {
  std::vector<Param> params = {P::kAny};
  if (!from_zero) params.emplace_back(P::kAny);
  return {std::move(params), true, [op, from_zero](const Call& c) -> Result<Value> {
            SKALD_TRY_ASSIGN(const double value, decimal_fold(op, c.args, from_zero));
            return Value(value);
          }};
}

std::int64_t wrap(std::uint64_t value) { return static_cast<std::int64_t>(value); }
std::uint64_t bits(const Value& value) { return static_cast<std::uint64_t>(to_int64(value)); }

base::Status divide_by_zero() { return invalid_argument("runtime error: integer divide by zero"); }

template <typename F>
Function fold_int(F body, bool first_apart) {
  std::vector<Param> params = {P::kAny};
  if (first_apart) params.emplace_back(P::kAny);
  return {std::move(params), true, [body, first_apart](const Call& c) -> Result<Value> {
            std::int64_t out = first_apart ? to_int64(c.args[0]) : 0;
            for (std::size_t i = first_apart ? 1 : 0; i < c.args.size(); ++i)
              out = body(out, to_int64(c.args[i]));
            return Value::int64(out);
          }};
}

template <typename F>
Function fold_float(F body) {
  return {{P::kAny, P::kAny}, true, [body](const Call& c) -> Result<Value> {
            double out = to_float64(c.args[0]);
            for (std::size_t i = 1; i < c.args.size(); ++i) out = body(out, to_float64(c.args[i]));
            return Value(out);
          }};
}

// math.Max and math.Min: not-a-number wins, and zeros are ordered by sign.
double go_max(double a, double b) {
  if (std::isinf(a) && a > 0) return a;
  if (std::isinf(b) && b > 0) return b;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  if (a == 0 && a == b) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
double go_min(double a, double b) {
  if (std::isinf(a) && a < 0) return a;
  if (std::isinf(b) && b < 0) return b;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  if (a == 0 && a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}

Result<Value> round_function(const Call& c) {
  const double value = to_float64(c.args[0]);
  const double round_on = c.args.size() > 2 ? c.args[2].as_float() : 0.5;
  const double scale = power(10, static_cast<double>(c.args[1].as_int()));
  const double digit = scale * value;
  double whole = 0;
  const double fraction = std::modf(digit, &whole);
  return Value((fraction >= round_on ? std::ceil(digit) : std::floor(digit)) / scale);
}

base::Status slice_bounds(const std::string& bounds) {
  return invalid_argument("runtime error: slice bounds out of range " + bounds);
}

Result<Value> substr(const Call& c) {
  const std::int64_t start = c.args[0].as_int();
  const std::int64_t end = c.args[1].as_int();
  const std::string_view text = text_arg(c, 2);
  const auto size = static_cast<std::int64_t>(text.size());
  const auto length = " with length " + std::to_string(size);
  if (start < 0) {
    if (end < 0) return slice_bounds("[:" + std::to_string(end) + "]");
    if (end > size) return slice_bounds("[:" + std::to_string(end) + "]" + length);
    return Value(std::string(text.substr(0, static_cast<std::size_t>(end))));
  }
  if (end < 0 || end > size) {
    if (start > size)
      return slice_bounds("[" + std::to_string(start) + ":" + std::to_string(size) + "]");
    return Value(std::string(text.substr(static_cast<std::size_t>(start))));
  }
  if (start > end)
    return slice_bounds("[" + std::to_string(start) + ":" + std::to_string(end) + "]");
  return Value(std::string(
      text.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(end - start))));
}

Result<Value> trunc(const Call& c) {
  const std::int64_t count = c.args[0].as_int();
  const std::string_view text = text_arg(c, 1);
  const auto size = static_cast<std::int64_t>(text.size());
  if (count < 0 && size + count > 0)
    return Value(std::string(text.substr(static_cast<std::size_t>(size + count))));
  if (count >= 0 && size > count)
    return Value(std::string(text.substr(0, static_cast<std::size_t>(count))));
  return c.args[1];
}

Result<std::string> indent(std::int64_t spaces, std::string_view text) {
  SKALD_TRY_ASSIGN(const std::string pad, repeat(" ", spaces));
  SKALD_TRY_ASSIGN(const std::string body, replace(text, "\n", "\n" + pad, -1));
  return pad + body;
}

Result<Value> as_value(Result<std::string> result) {
  if (!result.ok()) return std::move(result).status();
  return Value(std::move(result).value());
}

std::string string_of(std::string_view text) { return std::string(text); }

void add_strings(FunctionTable& t) {
  t["b64enc"] = string_function(base::base64_encode);
  t["lower"] = string_function(to_lower);
  t["upper"] = string_function(to_upper);
  t["title"] = string_function(title);
  t["trim"] = string_function([](std::string_view s) { return trim_space(s); });
  t["trunc"] = {{P::kInt, P::kString}, false, trunc};
  t["substr"] = {{P::kInt, P::kInt, P::kString}, false, substr};
  t["contains"] = string2_function([](std::string_view part, std::string_view s) {
    return find(s, part) != std::string_view::npos;
  });
  t["hasPrefix"] = string2_function(
      [](std::string_view part, std::string_view s) { return s.starts_with(part); });
  t["hasSuffix"] =
      string2_function([](std::string_view part, std::string_view s) { return s.ends_with(part); });
  t["trimAll"] = string2_function(
      [](std::string_view cutset, std::string_view s) { return string_of(trim(s, cutset)); });
  t["trimSuffix"] = string2_function([](std::string_view end, std::string_view s) {
    return string_of(s.ends_with(end) ? s.substr(0, s.size() - end.size()) : s);
  });
  t["trimPrefix"] = string2_function([](std::string_view start, std::string_view s) {
    return string_of(s.starts_with(start) ? s.substr(start.size()) : s);
  });
  t["indent"] = {{P::kInt, P::kString}, false, [](const Call& c) {
                   return as_value(indent(c.args[0].as_int(), text_arg(c, 1)));
                 }};
  t["nindent"] = {{P::kInt, P::kString}, false, [](const Call& c) -> Result<Value> {
                    SKALD_TRY_ASSIGN(const std::string text,
                                     indent(c.args[0].as_int(), text_arg(c, 1)));
                    return Value("\n" + text);
                  }};
  t["replace"] = {{P::kString, P::kString, P::kString}, false, [](const Call& c) {
                    return as_value(replace(text_arg(c, 2), text_arg(c, 0), text_arg(c, 1), -1));
                  }};
  t["repeat"] = {{P::kInt, P::kString}, false, [](const Call& c) {
                   return as_value(repeat(text_arg(c, 1), c.args[0].as_int()));
                 }};
}

void add_numbers(FunctionTable& t) {
  t["int"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                return Value::integer(to_int64(c.args[0]));
              }};
  t["float64"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                    return Value(to_float64(c.args[0]));
                  }};
  const auto add = [](std::int64_t a, std::int64_t b) {
    return wrap(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  };
  const auto mul = [](std::int64_t a, std::int64_t b) {
    return wrap(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  };
  t["add"] = fold_int(add, false);
  t["mul"] = fold_int(mul, true);
  t["max"] = fold_int([](std::int64_t a, std::int64_t b) { return std::max(a, b); }, true);
  t["min"] = fold_int([](std::int64_t a, std::int64_t b) { return std::min(a, b); }, true);
  t["sub"] = {{P::kAny, P::kAny}, false, [](const Call& c) -> Result<Value> {
                return Value::int64(wrap(bits(c.args[0]) - bits(c.args[1])));
              }};
  t["div"] = {{P::kAny, P::kAny}, false, [](const Call& c) -> Result<Value> {
                const std::int64_t a = to_int64(c.args[0]), b = to_int64(c.args[1]);
                if (b == 0) return divide_by_zero();
                return Value::int64(b == -1 ? wrap(0 - static_cast<std::uint64_t>(a)) : a / b);
              }};
  t["mod"] = {{P::kAny, P::kAny}, false, [](const Call& c) -> Result<Value> {
                const std::int64_t a = to_int64(c.args[0]), b = to_int64(c.args[1]);
                if (b == 0) return divide_by_zero();
                return Value::int64(b == -1 ? 0 : a % b);
              }};
  t["addf"] = decimal_function(DecimalOp::kAdd, true);
  t["subf"] = decimal_function(DecimalOp::kSubtract, false);
  t["mulf"] = decimal_function(DecimalOp::kMultiply, false);
  t["divf"] = decimal_function(DecimalOp::kDivide, false);
  t["maxf"] = fold_float(go_max);
  t["minf"] = fold_float(go_min);
  t["ceil"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                 return Value(std::ceil(to_float64(c.args[0])));
               }};
  t["floor"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                  return Value(std::floor(to_float64(c.args[0])));
                }};
  t["round"] = {{P::kAny, P::kInt, P::kFloat}, true, round_function};
}

// `[1,1,1` is a Value for two bytes, in a vector that has doubled.
constexpr std::uint32_t kJsonTreeBytes = 3 * sizeof(Value) / 2;

Result<Value> from_json(const Call& c) {
  auto value = parse_json(text_arg(c, 0));
  return value.ok() ? std::move(value).value() : Value::nil();
}

Result<Value> default_function(const Call& c) {
  return c.args.size() < 2 || is_empty(c.args[1]) ? c.args[0] : c.args[1];
}

Value now_value() { return Value(Time::from_unix_ns(base::Clock::system().wall_ns())); }

}  // namespace

std::int64_t to_int64(const Value& value) {
  switch (value.kind()) {
    case Kind::kBool: return value.as_bool() ? 1 : 0;
    case Kind::kInt:
    case Kind::kDuration: return value.as_int();
    case Kind::kFloat: return int_of_float(value.as_float());
    case Kind::kString: {
      std::int64_t out = 0;
      if (read_int(trim_decimal(value.as_string()), 0, 64, out) != NumberError::kNone) return 0;
      return out;
    }
    default: return 0;
  }
}

double to_float64(const Value& value) {
  switch (value.kind()) {
    case Kind::kBool: return value.as_bool() ? 1 : 0;
    case Kind::kInt:
    case Kind::kDuration: return static_cast<double>(value.as_int());
    case Kind::kFloat: return value.as_float();
    case Kind::kString: {
      double out = 0;
      if (read_float(value.as_string(), out) != NumberError::kNone) return 0;
      return out;
    }
    default: return 0;
  }
}

std::int64_t wrapped_unix_ns(const Time& time) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(time.unix_seconds) * 1'000'000'000 +
                                   static_cast<std::uint64_t>(time.nanosecond));
}

bool is_empty(const Value& value) { return !value.truth(); }

std::string to_text(const Value& value) {
  std::string out;
  append_value(out, value);
  return out;
}

Result<double> decimal_fold(DecimalOp op, std::span<const Value> values, bool from_zero) {
  DecimalMath math;
  Decimal out;
  std::size_t i = 0;
  if (from_zero) {
    BN_zero(out.mantissa.get());
  } else {
    SKALD_TRY_ASSIGN(out, math.from(to_float64(values[i++])));
  }
  for (; i < values.size(); ++i) {
    SKALD_TRY_ASSIGN(const Decimal next, math.from(to_float64(values[i])));
    switch (op) {
      case DecimalOp::kAdd: out = math.add(out, next, false); break;
      case DecimalOp::kSubtract: out = math.add(out, next, true); break;
      case DecimalOp::kMultiply: out = math.multiply(out, next); break;
      case DecimalOp::kDivide: {
        SKALD_TRY_ASSIGN(out, math.divide(out, next));
        break;
      }
    }
    if (BN_num_bits(out.mantissa.get()) > kDecimalBitsMax)
      return base::resource_exhausted("decimal number has too many digits");
  }
  return DecimalMath::to_double(out);
}

void add_sprig_dates(FunctionTable& t) {
  t["now"] = {{}, false, [](const Call&) -> Result<Value> { return now_value(); }};
  t["date"] = {{P::kString, P::kAny}, false, [](const Call& c) -> Result<Value> {
                 Time time = now_value().as_time();
                 if (c.args[1].is(Kind::kTime)) time = c.args[1].as_time();
                 if (c.args[1].is(Kind::kInt) && c.args[1].int_type() != Value::IntType::kUint8 &&
                     !is_named_integer(c.args[1]))
                   time = {c.args[1].as_int(), 0, nullptr};
                 time.zone = utc();
                 return Value(TimeLayout(text_arg(c, 0)).format(time));
               }};
  t["toDate"] = {{P::kString, P::kString}, false, [](const Call& c) -> Result<Value> {
                   auto time = TimeLayout(text_arg(c, 0)).parse(text_arg(c, 1));
                   return Value(time.ok() ? std::move(time).value() : Time{.zone = utc()});
                 }};
  t["unixEpoch"] = {{P::kTime}, false, [](const Call& c) -> Result<Value> {
                      return Value(std::to_string(c.args[0].as_time().unix_seconds));
                    }};
}

void add_logql_sprig(FunctionTable& table) {
  add_strings(table);
  add_numbers(table);
  add_sprig_dates(table);
  table["fromJson"] = {{P::kString}, false, from_json};
  table["fromJson"].memory_per_byte = kJsonTreeBytes;
  table["default"] = {{P::kAny, P::kAny}, true, default_function};
}

void add_deprecated_strings(FunctionTable& t) {
  t["ToLower"] = string_function(to_lower);
  t["ToUpper"] = string_function(to_upper);
  t["TrimSpace"] = string_function([](std::string_view s) { return trim_space(s); });
  t["Replace"] = {{P::kString, P::kString, P::kString, P::kInt}, false, [](const Call& c) {
                    return as_value(replace(text_arg(c, 0), text_arg(c, 1), text_arg(c, 2),
                                            c.args[3].as_int()));
                  }};
  t["Trim"] = string2_function(
      [](std::string_view s, std::string_view cutset) { return string_of(trim(s, cutset)); });
  t["TrimLeft"] = string2_function(
      [](std::string_view s, std::string_view cutset) { return string_of(trim_left(s, cutset)); });
  t["TrimRight"] = string2_function(
      [](std::string_view s, std::string_view cutset) { return string_of(trim_right(s, cutset)); });
  t["TrimPrefix"] = string2_function([](std::string_view s, std::string_view start) {
    return string_of(s.starts_with(start) ? s.substr(start.size()) : s);
  });
  t["TrimSuffix"] = string2_function([](std::string_view s, std::string_view end) {
    return string_of(s.ends_with(end) ? s.substr(0, s.size() - end.size()) : s);
  });
  for (const bool literal : {false, true}) {
    t[literal ? "regexReplaceAllLiteral" : "regexReplaceAll"] = {
        {P::kString, P::kString, P::kString}, false, [literal](const Call& c) -> Result<Value> {
          SKALD_TRY_ASSIGN(const RegexPtr regex, compile_regex(text_arg(c, 0), c.work));
          return as_value(
              regex_replace_all(*regex, text_arg(c, 1), text_arg(c, 2), literal, c.work));
        }};
  }
}

}  // namespace skald::gotext
