#include <algorithm>

#include "proto/base/text_code.h"
#include "proto/base/utf8.h"
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
      size = item.as_object().size();
      break;
    default: return error("len of type " + type_of(item));
  }
  return Value::integer(static_cast<std::int64_t>(size));
}

// -- comparison ------------------------------------------------------------------------------
enum class Basic : std::uint8_t { kInvalid, kBool, kInt, kFloat, kComplex, kString, kUint };

Basic basic_kind(const Value& value) {
  switch (value.kind()) {
    case Kind::kBool: return Basic::kBool;
    case Kind::kInt: return value.int_type() == Value::IntType::kUint8 ? Basic::kUint : Basic::kInt;
    case Kind::kDuration: return Basic::kInt;
    case Kind::kFloat: return Basic::kFloat;
    case Kind::kComplex: return Basic::kComplex;
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

// reflect.Kind of what is no basic value: a struct, a map or a slice.
char shape(const Value& value) {
  if (value.is(Kind::kList)) return 'l';
  return value.is(Kind::kObject) && value.as_object().is_map() ? 'm' : 's';
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
    case Basic::kComplex: return a.as_complex() == b.as_complex();
    case Basic::kInt:
    case Basic::kUint: return a.as_int() == b.as_int();
    case Basic::kString: return a.as_string() == b.as_string();
    case Basic::kInvalid: break;
  }
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is(Kind::kTime) && b.is(Kind::kTime)) {
    return a.as_time().unix_seconds == b.as_time().unix_seconds &&
           a.as_time().nanosecond == b.as_time().nanosecond && a.as_time().zone == b.as_time().zone;
  }
  if (shape(a) != shape(b)) {
    return error("non-comparable types " + sprintf("%s: ", {&a, 1}) + type_of(a) + ", " +
                 type_of(b) + sprintf(": %v", {&b, 1}));
  }
  return error("non-comparable type " + sprintf("%s: ", {&b, 1}) + type_of(b));
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
  out += "\\u";
  int digits = 4;
  while (digits < 8 && (value >> (digits * 4)) != 0) ++digits;
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
    out += base::kUpperHexDigits[(value >> shift) & 0xF];
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

}  // namespace

const FunctionTable& builtin_functions() {
  static const FunctionTable table = make_builtins();
  return table;
}

}  // namespace skald::gotext
