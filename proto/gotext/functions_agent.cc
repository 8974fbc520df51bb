// Promtail's template stage: sprig without what reads the host, makes keys or is random.
#include <openssl/evp.h>

#include <algorithm>
#include <cmath>

#include "proto/base/clock.h"
#include "proto/base/text_code.h"
#include "proto/base/utf8.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/format.h"
#include "proto/gotext/function_util.h"
#include "proto/gotext/json.h"
#include "proto/gotext/limits.h"
#include "proto/gotext/number.h"
#include "proto/gotext/quote.h"
#include "proto/gotext/regex.h"
#include "proto/gotext/unicode.h"

namespace skald::gotext {
namespace {

using base::invalid_argument;
using base::Result;
using Kind = Value::Kind;
using P = ParamType;

std::string_view text_arg(const Call& call, std::size_t i) { return call.args[i].as_string(); }

std::string digest(const EVP_MD* algorithm, std::string_view bytes) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), out, &size, algorithm, nullptr) != 1) return {};
  return base::hex_encode({reinterpret_cast<const char*>(out), size});
}

std::string salted(const EVP_MD* algorithm, std::string_view salt, std::string_view input) {
  return digest(algorithm, std::string(salt) + std::string(input));
}

std::string adler32(std::string_view bytes) {
  std::uint32_t a = 1, b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  return std::to_string(b << 16 | a);
}

bool deep_equal(const Value& a, const Value& b) {
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  return a.type_name() == b.type_name() && to_json(a) == to_json(b);
}

base::Status bad_list(std::string_view verb, const Value& value) {
  return invalid_argument("Cannot " + std::string(verb) + " on type " +
                          std::string(value.type_name()));
}

// Functions of one list; nil on an empty one where the body says so.
template <typename F>
Function list_function(std::string_view verb, F body) {
  return {{P::kAny}, false, [verb, body](const Call& c) -> Result<Value> {
            if (!c.args[0].is(Kind::kList)) return bad_list(verb, c.args[0]);
            return body(c.args[0].as_list());
          }};
}

using Items = std::vector<Value>;

std::string kind_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kList: return "slice";
    case Kind::kObject: return value.as_object().is_map() ? "map" : "struct";
    case Kind::kTime: return "struct";
    case Kind::kDuration: return "int64";
    case Kind::kNone:
    case Kind::kNil: return "invalid";
    default: return std::string(value.type_name());
  }
}

Value sublist(const Items& items, std::size_t from, std::size_t to) {
  return Value::list({items.begin() + static_cast<std::ptrdiff_t>(from),
                      items.begin() + static_cast<std::ptrdiff_t>(to)});
}

Value strings_value(const std::vector<std::string_view>& parts) {
  Items items;
  for (const auto part : parts) items.emplace_back(std::string(part));
  return Value::list(std::move(items), "[]string");
}

std::vector<std::string> strings_of(const Value& value) {
  std::vector<std::string> out;
  if (value.is(Kind::kList)) {
    for (const Value& item : value.as_list())
      if (!item.is_none()) out.push_back(to_text(item));
  } else if (!value.is_none()) {
    out.push_back(to_text(value));
  }
  return out;
}

Result<Value> until_step(std::int64_t start, std::int64_t stop, std::int64_t step) {
  Items items;
  if ((stop < start && step >= 0) || (stop >= start && step <= 0))
    return Value::list(std::move(items), "[]int");
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (items.size() > 100'000) return base::resource_exhausted("list is too long");
    items.push_back(Value::integer(i));
  }
  return Value::list(std::move(items), "[]int");
}

Result<Value> seq(const Call& c) {
  std::int64_t start = 1, step = 1, end = 0;
  const auto arg = [&](std::size_t i) { return c.args[i].as_int(); };
  switch (c.args.size()) {
    case 1:
      end = arg(0);
      if (end < start) step = -1;
      end += step;
      break;
    case 2:
      start = arg(0), end = arg(1);
      if (end < start) step = -1;
      end += step;
      break;
    case 3: {
      start = arg(0), step = arg(1), end = arg(2);
      const std::int64_t one = end < start ? -1 : 1;
      if (end < start && step > 0) return Value("");
      end += one;
      break;
    }
    default: return Value("");
  }
  SKALD_TRY_ASSIGN(const Value list, until_step(start, end, step));
  std::string out;
  for (const Value& item : list.as_list()) {
    if (!out.empty()) out += ' ';
    out += std::to_string(item.as_int());
  }
  return Value(std::move(out));
}

// sprig's slice replaces the builtin: lists only, indexes of any type.
Result<Value> slice_list(const Call& c) {
  if (!c.args[0].is(Kind::kList))
    return invalid_argument("list should be type of slice or array but " + kind_of(c.args[0]));
  const Items& items = c.args[0].as_list();
  const auto size = static_cast<std::int64_t>(items.size());
  if (size == 0) return Value::nil();
  const std::int64_t start = c.args.size() > 1 ? to_int64(c.args[1]) : 0;
  const std::int64_t end = c.args.size() > 2 ? to_int64(c.args[2]) : size;
  if (start < 0 || end < start || end > size)
    return invalid_argument("reflect.Value.Slice: slice index out of bounds");
  return sublist(items, static_cast<std::size_t>(start), static_cast<std::size_t>(end));
}

// size: a table, one function of sprig's an entry
void add_lists(FunctionTable& t) {
  const auto list = [](const Call& c) -> Result<Value> {
    return Value::list({c.args.begin(), c.args.end()});
  };
  t["list"] = {{P::kAny}, true, list};
  t["tuple"] = {{P::kAny}, true, list};
  t["first"] = list_function("find first", [](const Items& x) -> Result<Value> {
    return x.empty() ? Value::nil() : x.front();
  });
  t["last"] = list_function("find last", [](const Items& x) -> Result<Value> {
    return x.empty() ? Value::nil() : x.back();
  });
  t["rest"] = list_function("find rest", [](const Items& x) -> Result<Value> {
    return x.empty() ? Value::nil() : sublist(x, 1, x.size());
  });
  t["initial"] = list_function("find initial", [](const Items& x) -> Result<Value> {
    return x.empty() ? Value::nil() : sublist(x, 0, x.size() - 1);
  });
  t["reverse"] = list_function("find reverse", [](const Items& x) -> Result<Value> {
    return Value::list({x.rbegin(), x.rend()});
  });
  t["compact"] = list_function("compact", [](const Items& x) -> Result<Value> {
    Items out;
    std::copy_if(x.begin(), x.end(), std::back_inserter(out),
                 [](const Value& v) { return !is_empty(v); });
    return Value::list(std::move(out));
  });
  const auto contains = [](std::span<const Value> items, const Value& needle) {
    return std::any_of(items.begin(), items.end(),
                       [&](const Value& v) { return deep_equal(v, needle); });
  };
  t["uniq"] = list_function("find uniq", [contains](const Items& x) -> Result<Value> {
    Items out;
    if (x.size() > 10'000) return base::resource_exhausted("list is too long for uniq");
    for (const Value& v : x)
      if (!contains(out, v)) out.push_back(v);
    return Value::list(std::move(out));
  });
  t["without"] = {{P::kAny, P::kAny}, true, [contains](const Call& c) -> Result<Value> {
                    if (!c.args[0].is(Kind::kList)) return bad_list("find without", c.args[0]);
                    Items out;
                    for (const Value& v : c.args[0].as_list())
                      if (!contains(c.args.subspan(1), v)) out.push_back(v);
                    return Value::list(std::move(out));
                  }};
  t["has"] = {{P::kAny, P::kAny}, false, [contains](const Call& c) -> Result<Value> {
                if (c.args[1].is_none()) return Value(false);
                if (!c.args[1].is(Kind::kList)) return bad_list("find has", c.args[1]);
                return Value(contains(c.args[1].as_list(), c.args[0]));
              }};
  for (const char* name : {"append", "push"}) {
    t[name] = {{P::kAny, P::kAny}, false, [](const Call& c) -> Result<Value> {
                 if (!c.args[0].is(Kind::kList)) return bad_list("push", c.args[0]);
                 Items out = c.args[0].as_list();
                 out.push_back(c.args[1]);
                 return Value::list(std::move(out));
               }};
  }
  t["prepend"] = {{P::kAny, P::kAny}, false, [](const Call& c) -> Result<Value> {
                    if (!c.args[0].is(Kind::kList)) return bad_list("prepend", c.args[0]);
                    Items out = c.args[0].as_list();
                    out.insert(out.begin(), c.args[1]);
                    return Value::list(std::move(out));
                  }};
  t["concat"] = {{P::kAny}, true, [](const Call& c) -> Result<Value> {
                   Items out;
                   for (const Value& v : c.args) {
                     if (!v.is(Kind::kList)) return bad_list("concat", v);
                     out.insert(out.end(), v.as_list().begin(), v.as_list().end());
                   }
                   return Value::list(std::move(out));
                 }};
  t["slice"] = {{P::kAny, P::kAny}, true, slice_list};
  t["until"] = {{P::kInt}, false, [](const Call& c) {
                  return until_step(0, c.args[0].as_int(), c.args[0].as_int() < 0 ? -1 : 1);
                }};
  t["untilStep"] = {{P::kInt, P::kInt, P::kInt}, false, [](const Call& c) {
                      return until_step(c.args[0].as_int(), c.args[1].as_int(), c.args[2].as_int());
                    }};
  t["seq"] = {{P::kInt}, true, seq};
}

void add_splitting(FunctionTable& t) {
  const auto numbered = [](const std::vector<std::string_view>& parts) {
    std::vector<std::pair<std::string, Value>> entries;
    for (std::size_t i = 0; i < parts.size(); ++i)
      entries.emplace_back("_" + std::to_string(i), Value(std::string(parts[i])));
    return Value::map(std::move(entries), "map[string]string");
  };
  t["split"] = {{P::kString, P::kString}, false, [numbered](const Call& c) -> Result<Value> {
                  return numbered(split(text_arg(c, 1), text_arg(c, 0)));
                }};
  t["splitn"] = {
      {P::kString, P::kInt, P::kString}, false, [numbered](const Call& c) -> Result<Value> {
        return numbered(split(text_arg(c, 2), text_arg(c, 0), c.args[1].as_int()));
      }};
  t["splitList"] = {{P::kString, P::kString}, false, [](const Call& c) -> Result<Value> {
                      return strings_value(split(text_arg(c, 1), text_arg(c, 0)));
                    }};
  t["toStrings"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                      Items items;
                      for (auto& text : strings_of(c.args[0])) items.emplace_back(std::move(text));
                      return Value::list(std::move(items), "[]string");
                    }};
  t["sortAlpha"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                      auto all = strings_of(c.args[0]);
                      std::sort(all.begin(), all.end());
                      Items items;
                      for (auto& text : all) items.emplace_back(std::move(text));
                      return Value::list(std::move(items), "[]string");
                    }};
  t["join"] = {{P::kString, P::kAny}, false, [](const Call& c) -> Result<Value> {
                 std::string out;
                 bool first = true;
                 for (const auto& text : strings_of(c.args[1])) {
                   if (!first) out += text_arg(c, 0);
                   first = false;
                   out += text;
                 }
                 return Value(std::move(out));
               }};
}

const Param kDict(P::kObject, "map[string]interface {}");

Result<Value> pick_or_omit(const Call& c, bool pick) {
  std::vector<std::pair<std::string, Value>> out;
  if (c.args[0].is(Kind::kObject)) {
    for (const auto& entry : c.args[0].as_object().entries()) {
      const bool named = std::any_of(c.args.begin() + 1, c.args.end(),
                                     [&](const Value& v) { return v.as_string() == entry.first; });
      if (named == pick) out.emplace_back(entry.first, entry.second);
    }
  }
  return Value::map(std::move(out));
}

void add_dicts(FunctionTable& t) {
  t["dict"] = {{P::kAny}, true, [](const Call& c) -> Result<Value> {
                 std::vector<std::pair<std::string, Value>> entries;
                 for (std::size_t i = 0; i < c.args.size(); i += 2)
                   entries.emplace_back(to_text(c.args[i]),
                                        i + 1 < c.args.size() ? c.args[i + 1] : Value(""));
                 return Value::map(std::move(entries));
               }};
  t["get"] = {{kDict, P::kString}, false, [](const Call& c) -> Result<Value> {
                if (!c.args[0].is(Kind::kObject)) return Value("");
                auto value = c.args[0].as_object().get(text_arg(c, 1));
                return value ? std::move(*value) : Value("");
              }};
  t["hasKey"] = {{kDict, P::kString}, false, [](const Call& c) -> Result<Value> {
                   return Value(c.args[0].is(Kind::kObject) &&
                                c.args[0].as_object().get(text_arg(c, 1)).has_value());
                 }};
  t["keys"] = {{kDict}, true, [](const Call& c) -> Result<Value> {
                 Items out;
                 for (const Value& dict : c.args)
                   if (dict.is(Kind::kObject))
                     for (auto& [key, value] : dict.as_object().entries()) out.emplace_back(key);
                 return Value::list(std::move(out), "[]string");
               }};
  t["values"] = {{kDict}, false, [](const Call& c) -> Result<Value> {
                   Items out;
                   if (c.args[0].is(Kind::kObject))
                     for (auto& [key, value] : c.args[0].as_object().entries())
                       out.push_back(value);
                   return Value::list(std::move(out));
                 }};
  t["pick"] = {{kDict, P::kString}, true, [](const Call& c) { return pick_or_omit(c, true); }};
  t["omit"] = {{kDict, P::kString}, true, [](const Call& c) { return pick_or_omit(c, false); }};
}

void add_regexes(FunctionTable& t) {
  const auto compiled = [](const Call& c) { return must_compile_regex(text_arg(c, 0), c.work); };
  for (const char* name : {"regexMatch", "mustRegexMatch"}) {
    t[name] = {{P::kString, P::kString}, false, [name](const Call& c) -> Result<Value> {
                 auto regex = compile_regex(text_arg(c, 0), c.work);
                 if (!regex.ok() && name[0] == 'm') return std::move(regex).status();
                 if (!regex.ok()) return Value(false);
                 SKALD_TRY_ASSIGN(const bool found,
                                  regex_contains(**regex, text_arg(c, 1), c.work));
                 return Value(found);
               }};
  }
  t["regexFind"] = {
      {P::kString, P::kString}, false, [compiled](const Call& c) -> Result<Value> {
        SKALD_TRY_ASSIGN(const RegexPtr regex, compiled(c));
        SKALD_TRY_ASSIGN(const TextSpans found, regex_find_all(*regex, text_arg(c, 1), 1, c.work));
        if (found.empty()) return Value("");
        return Value(
            std::string(text_arg(c, 1).substr(found[0].first, found[0].second - found[0].first)));
      }};
  t["regexFindAll"] = {
      {P::kString, P::kString, P::kInt}, false, [compiled](const Call& c) -> Result<Value> {
        SKALD_TRY_ASSIGN(const RegexPtr regex, compiled(c));
        SKALD_TRY_ASSIGN(const TextSpans found,
                         regex_find_all(*regex, text_arg(c, 1), c.args[2].as_int(), c.work));
        std::vector<std::string_view> parts;
        for (const auto& [from, to] : found)
          parts.push_back(text_arg(c, 1).substr(from, to - from));
        return strings_value(parts);
      }};
  t["regexSplit"] = {
      {P::kString, P::kString, P::kInt}, false, [compiled](const Call& c) -> Result<Value> {
        SKALD_TRY_ASSIGN(const RegexPtr regex, compiled(c));
        const std::int64_t limit = c.args[2].as_int();
        const std::string_view text = text_arg(c, 1);
        std::vector<std::string_view> parts;
        std::size_t begin = 0, end = 0;
        if (limit == 0) return strings_value(parts);
        if (!text_arg(c, 0).empty() && text.empty()) return strings_value({""});
        SKALD_TRY_ASSIGN(const TextSpans found, regex_find_all(*regex, text, limit, c.work));
        for (const auto& [from, to] : found) {
          if (limit > 0 && static_cast<std::int64_t>(parts.size()) == limit - 1) break;
          end = from;
          if (to != 0) parts.push_back(text.substr(begin, end - begin));
          begin = to;
        }
        if (end != text.size()) parts.push_back(text.substr(begin));
        return strings_value(parts);
      }};
  t["regexQuoteMeta"] = string_function(regex_quote);
}

Result<Value> coalesce(const Call& c) {
  for (const Value& value : c.args)
    if (!is_empty(value)) return value;
  return Value::nil();
}

void add_values(FunctionTable& t) {
  t["empty"] = {
      {P::kAny}, false, [](const Call& c) -> Result<Value> { return Value(is_empty(c.args[0])); }};
  t["coalesce"] = {{P::kAny}, true, coalesce};
  t["all"] = {{P::kAny}, true, [](const Call& c) -> Result<Value> {
                return Value(std::none_of(c.args.begin(), c.args.end(), is_empty));
              }};
  t["any"] = {{P::kAny}, true, [](const Call& c) -> Result<Value> {
                return Value(!std::all_of(c.args.begin(), c.args.end(), is_empty));
              }};
  t["ternary"] = {{P::kAny, P::kAny, P::kBool}, false, [](const Call& c) -> Result<Value> {
                    return c.args[2].as_bool() ? c.args[0] : c.args[1];
                  }};
  t["toJson"] = {
      {P::kAny}, false, [](const Call& c) -> Result<Value> { return Value(to_json(c.args[0])); }};
  t["toRawJson"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                      return Value(to_json(c.args[0], {.escape_html = false, .indent = {}}));
                    }};
  t["toPrettyJson"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                         return Value(to_json(c.args[0], {.escape_html = true, .indent = "  "}));
                       }};
  t["typeOf"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                   return Value(std::string(c.args[0].is_none() ? "<nil>" : c.args[0].type_name()));
                 }};
  t["kindOf"] = {
      {P::kAny}, false, [](const Call& c) -> Result<Value> { return Value(kind_of(c.args[0])); }};
  t["kindIs"] = {{P::kString, P::kAny}, false, [](const Call& c) -> Result<Value> {
                   return Value(kind_of(c.args[1]) == text_arg(c, 0));
                 }};
  t["typeIs"] = {{P::kString, P::kAny}, false, [](const Call& c) -> Result<Value> {
                   return Value(c.args[1].type_name() == text_arg(c, 0));
                 }};
  t["deepEqual"] = {{P::kAny, P::kAny}, false, [](const Call& c) -> Result<Value> {
                      return Value(deep_equal(c.args[0], c.args[1]));
                    }};
  t["fail"] = {{P::kString}, false, [](const Call& c) -> Result<Value> {
                 return invalid_argument(std::string(text_arg(c, 0)));
               }};
}

void add_more_numbers(FunctionTable& t) {
  t["atoi"] = {{P::kString}, false, [](const Call& c) -> Result<Value> {
                 std::int64_t out = 0;  // of range: the nearest, as Atoi leaves it
                 read_int(text_arg(c, 0), 10, 64, out);
                 return Value::integer(out);
               }};
  t["int64"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                  return Value::int64(to_int64(c.args[0]));
                }};
  t["toDecimal"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                      std::int64_t out = 0;
                      const std::string text = to_text(c.args[0]);
                      const bool ok = read_int(text, 8, 64, out) == NumberError::kNone;
                      return Value::int64(ok ? out : 0);
                    }};
  t["add1"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                 const auto n = static_cast<std::uint64_t>(to_int64(c.args[0]));
                 return Value::int64(static_cast<std::int64_t>(n + 1));
               }};
  t["add1f"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                  const Value both[] = {c.args[0], Value(1.0)};
                  SKALD_TRY_ASSIGN(const double sum, decimal_fold(DecimalOp::kAdd, both, false));
                  return Value(sum);
                }};
  t["biggest"] = t["max"];
}

std::string join_quoted(const Call& c, char mark) {
  std::string out;
  for (const Value& value : c.args) {
    if (value.is_none()) continue;
    if (!out.empty()) out += ' ';
    out += mark == '"' ? quote(to_text(value)) : "'" + to_text(value) + "'";
  }
  return out;
}

std::string untitle(std::string_view text) {
  std::vector<char32_t> all = runes(text);
  bool next = true;
  for (char32_t& r : all) {
    if (is_space(r)) {
      next = true;
    } else if (next) {
      r = to_lower_rune(r);
      next = false;
    }
  }
  return from_runes(all, 0, all.size());
}

std::string swap_case(std::string_view text) {
  std::vector<char32_t> all = runes(text);
  bool after_space = true;
  for (char32_t& r : all) {
    const char32_t lower = to_lower_rune(r), upper = to_upper_rune(r);
    if (lower != r) {
      r = lower;
      after_space = false;
    } else if (upper != r) {
      r = after_space ? to_title_rune(r) : upper;
      after_space = false;
    } else {
      after_space = is_space(r);
    }
  }
  return from_runes(all, 0, all.size());
}

std::string initials(std::string_view text) {
  std::string out;
  bool gap = true;
  for (const char c : text) {
    const auto rune = static_cast<char32_t>(static_cast<unsigned char>(c));
    if (is_space(rune)) {
      gap = true;
    } else if (gap) {
      base::append_rune(out, rune);
      gap = false;
    }
  }
  return out;
}

std::string no_space(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const base::Rune rune = base::decode_rune(text);
    if (!is_space(rune.value)) base::append_rune(out, rune.value);
    text.remove_prefix(rune.width);
  }
  return out;
}

std::string abbreviate(std::int64_t width, std::string_view text) {
  const auto size = static_cast<std::int64_t>(text.size());
  if (width < 4 || size <= width) return std::string(text);
  return std::string(text.substr(0, static_cast<std::size_t>(width - 3))) + "...";
}

void add_more_strings(FunctionTable& t) {
  t["toString"] = {
      {P::kAny}, false, [](const Call& c) -> Result<Value> { return Value(to_text(c.args[0])); }};
  t["quote"] = {
      {P::kAny}, true, [](const Call& c) -> Result<Value> { return Value(join_quoted(c, '"')); }};
  t["squote"] = {
      {P::kAny}, true, [](const Call& c) -> Result<Value> { return Value(join_quoted(c, '\'')); }};
  t["cat"] = {{P::kAny}, true, [](const Call& c) -> Result<Value> {
                std::string out;
                bool first = true;
                for (const Value& value : c.args) {
                  if (value.is_none()) continue;
                  if (!first) out += ' ';
                  first = false;
                  out += to_text(value);
                }
                return Value(std::move(out));
              }};
  t["plural"] = {{P::kString, P::kString, P::kInt}, false, [](const Call& c) -> Result<Value> {
                   return c.args[2].as_int() == 1 ? c.args[0] : c.args[1];
                 }};
  t["trimall"] = t["trimAll"];
  t["untitle"] = string_function(untitle);
  t["swapcase"] = string_function(swap_case);
  t["initials"] = string_function(initials);
  t["nospace"] = string_function(no_space);
  t["abbrev"] = {{P::kInt, P::kString}, false, [](const Call& c) -> Result<Value> {
                   return Value(abbreviate(c.args[0].as_int(), text_arg(c, 1)));
                 }};
  t["b64dec"] = string_function([](std::string_view s) {
    auto decoded = base64_decode(s);
    return decoded.ok() ? std::move(decoded).value() : std::string(decoded.status().message());
  });
  t["sha1sum"] = string_function([](std::string_view s) { return digest(EVP_sha1(), s); });
  t["sha256sum"] = string_function([](std::string_view s) { return digest(EVP_sha256(), s); });
  t["sha512sum"] = string_function([](std::string_view s) { return digest(EVP_sha512(), s); });
  t["adler32sum"] = string_function(adler32);
  t["base"] = string_function([](std::string_view s) {
    while (!s.empty() && s.back() == '/') s.remove_suffix(1);
    const auto slash = s.rfind('/');
    if (slash != std::string_view::npos) s.remove_prefix(slash + 1);
    return std::string(s);
  });
  t["ext"] = string_function([](std::string_view s) {
    const auto dot = s.find_last_of("./");
    return std::string(dot == std::string_view::npos || s[dot] == '/' ? "" : s.substr(dot));
  });
}

Time time_arg(const Value& value) {
  if (value.is(Kind::kTime)) return value.as_time();
  if (value.is(Kind::kInt)) return {value.as_int(), 0, nullptr};
  return Time::from_unix_ns(base::Clock::system().wall_ns());
}

Result<Value> date_in_zone(std::string_view layout, Time time, std::string_view zone) {
  auto loaded = load_zone(zone);
  time.zone = loaded.ok() ? loaded.value() : utc();
  return Value(TimeLayout(layout).format(time));
}

Result<Value> date_modify(const Call& c) {
  auto delta = parse_duration(text_arg(c, 0));
  if (!delta.ok()) return c.args[1];
  Time time = c.args[1].as_time();
  const Time moved = Time::from_unix_ns(time.unix_ns() + *delta, time.zone);
  return Value(moved);
}

void add_more_dates(FunctionTable& t) {
  for (const char* name : {"dateInZone", "date_in_zone"}) {
    t[name] = {{P::kString, P::kAny, P::kString}, false, [](const Call& c) {
                 return date_in_zone(text_arg(c, 0), time_arg(c.args[1]), text_arg(c, 2));
               }};
  }
  for (const char* name : {"dateModify", "date_modify"})
    t[name] = {{P::kString, P::kTime}, false, date_modify};
  t["htmlDate"] = {{P::kAny}, false, [](const Call& c) {
                     return date_in_zone("2006-01-02", time_arg(c.args[0]), "UTC");
                   }};
  t["htmlDateInZone"] = {{P::kAny, P::kString}, false, [](const Call& c) {
                           return date_in_zone("2006-01-02", time_arg(c.args[0]), text_arg(c, 1));
                         }};
  t["duration"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                     std::int64_t seconds = 0;
                     const Value& v = c.args[0];
                     if (v.is(Kind::kString)) read_int(v.as_string(), 10, 64, seconds);
                     if (v.is(Kind::kInt) && v.int_type() == Value::IntType::kInt64)
                       seconds = v.as_int();
                     return Value(format_duration(static_cast<std::int64_t>(
                         static_cast<std::uint64_t>(seconds) * 1'000'000'000U)));
                   }};
}

FunctionTable make_table() {
  FunctionTable t;
  add_logql_sprig(t);
  add_deprecated_strings(t);
  add_lists(t);
  add_splitting(t);
  add_dicts(t);
  add_regexes(t);
  add_values(t);
  add_more_numbers(t);
  add_more_strings(t);
  add_more_dates(t);
  for (const bool literal : {false, true}) {
    t[literal ? "regexReplaceAllLiteral" : "regexReplaceAll"] = {
        {P::kString, P::kString, P::kString}, false, [literal](const Call& c) -> Result<Value> {
          SKALD_TRY_ASSIGN(const RegexPtr regex, must_compile_regex(text_arg(c, 0), c.work));
          SKALD_TRY_ASSIGN(std::string text, regex_replace_all(*regex, text_arg(c, 1),
                                                               text_arg(c, 2), literal, c.work));
          return Value(std::move(text));
        }};
  }
  t["Hash"] = string2_function([](std::string_view salt, std::string_view input) {
    return salted(EVP_sha3_256(), salt, input);
  });
  t["Sha2Hash"] = string2_function([](std::string_view salt, std::string_view input) {
    return salted(EVP_sha256(), salt, input);
  });
  return t;
}

}  // namespace

const FunctionTable& agent_functions() {
  static const FunctionTable table = make_table();
  return table;
}

}  // namespace skald::gotext
