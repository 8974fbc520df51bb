// Evaluation of JMESPath over a JSON tree, and its functions.

#include <algorithm>
#include <cmath>

#include "agent/parse/jmespath_ast.h"
#include "agent/parse/limits.h"
#include "proto/base/utf8.h"
#include "proto/gotext/number.h"

namespace skald::agent {

namespace {

using Expr = JmesPath::Expr;
using Kind = Expr::Kind;
using Type = JsonValue::Type;
using Value = JsonValue;

Value make_bool(bool b) {
  Value v;
  v.type = Type::kBool;
  v.boolean = b;
  return v;
}
Value make_number(double number) {
  Value v;
  v.type = Type::kNumber;
  v.number = number;
  return v;
}
Value make_string(std::string text) {
  Value v;
  v.type = Type::kString;
  v.string = std::move(text);
  return v;
}
Value make_array(std::vector<Value> items = {}) {
  Value v;
  v.type = Type::kArray;
  v.items = std::move(items);
  return v;
}

bool is_false(const Value& value) {
  switch (value.type) {
    case Type::kNull: return true;
    case Type::kBool: return !value.boolean;
    case Type::kString: return value.string.empty();
    case Type::kArray: return value.items.empty();
    case Type::kObject: return value.fields.empty();
    case Type::kNumber: return false;
  }
  return true;
}

std::string_view type_name(Type type) {
  static constexpr std::string_view kNames[] = {"null",   "boolean", "number",
                                                "string", "array",   "object"};
  return kNames[static_cast<std::size_t>(type)];
}

base::Status wrong_type(std::string_view function) {
  return base::invalid_argument(std::string(function) + "(): an argument of the wrong type");
}

class Evaluator {
 public:
  base::Result<Value> eval(const Expr& expr, const Value& data);

 private:
  using Args = std::vector<Value>;

  base::Result<Value> project(const Expr& right, const std::vector<const Value*>& items);
  base::Result<Value> filter(const Expr& expr, const Value& data);
  base::Result<Value> compare(const Expr& expr, const Value& data);
  base::Result<Value> multi(const Expr& expr, const Value& data);
  base::Result<Value> call(const Expr& expr, const Value& data);
  base::Result<Value> call_by(const Expr& expr, const Value& data);
  base::Status spend(std::size_t values) {
    spent_ += values;
    if (spent_ <= kJmesPathValuesMax) return {};
    return base::resource_exhausted("the expression creates too many values");
  }
  std::size_t spent_ = 0;
};

Value slice(const Expr& expr, const Value& data) {
  if (data.type != Type::kArray) return {};
  const auto size = static_cast<long long>(data.items.size());
  const long long step = expr.step.value_or(1);
  auto bound = [&](std::optional<long long> given, long long fallback) {
    if (!given) return fallback;
    long long at = *given < 0 ? *given + size : *given;
    return std::clamp(at, step > 0 ? 0LL : -1LL, step > 0 ? size : size - 1);
  };
  const long long start = bound(expr.start, step > 0 ? 0 : size - 1);
  const long long stop = bound(expr.stop, step > 0 ? size : -1);
  Value out = make_array();
  for (long long i = start; step > 0 ? i < stop : i > stop;) {
    out.items.push_back(data.items[static_cast<std::size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return out;
}

Value flatten(const Value& data) {
  if (data.type != Type::kArray) return {};
  Value out = make_array();
  for (const Value& item : data.items) {
    if (item.type == Type::kArray) {
      out.items.insert(out.items.end(), item.items.begin(), item.items.end());
    } else {
      out.items.push_back(item);
    }
  }
  return out;
}

base::Result<Value> Evaluator::project(const Expr& right, const std::vector<const Value*>& items) {
  Value out = make_array();
  SKALD_TRY(spend(items.size()));
  for (const Value* item : items) {
    SKALD_TRY_ASSIGN(Value value, eval(right, *item));
    if (value.type != Type::kNull) out.items.push_back(std::move(value));
  }
  return out;
}

base::Result<Value> Evaluator::filter(const Expr& expr, const Value& data) {
  SKALD_TRY_ASSIGN(const Value list, eval(*expr.left, data));
  if (list.type != Type::kArray) return Value();
  std::vector<const Value*> kept;
  for (const Value& item : list.items) {
    SKALD_TRY_ASSIGN(const Value condition, eval(*expr.third, item));
    if (!is_false(condition)) kept.push_back(&item);
  }
  return project(*expr.right, kept);
}

base::Result<Value> Evaluator::compare(const Expr& expr, const Value& data) {
  SKALD_TRY_ASSIGN(const Value left, eval(*expr.left, data));
  SKALD_TRY_ASSIGN(const Value right, eval(*expr.right, data));
  if (expr.text == "==") return make_bool(left == right);
  if (expr.text == "!=") return make_bool(!(left == right));
  if (left.type != Type::kNumber || right.type != Type::kNumber) return Value();
  if (expr.text == "<") return make_bool(left.number < right.number);
  if (expr.text == "<=") return make_bool(left.number <= right.number);
  if (expr.text == ">") return make_bool(left.number > right.number);
  return make_bool(left.number >= right.number);
}

base::Result<Value> Evaluator::multi(const Expr& expr, const Value& data) {
  if (data.type == Type::kNull) return Value();
  SKALD_TRY(spend(expr.children.size()));
  Value out;
  out.type = expr.kind == Kind::kMultiList ? Type::kArray : Type::kObject;
  for (std::size_t i = 0; i < expr.children.size(); ++i) {
    SKALD_TRY_ASSIGN(Value value, eval(*expr.children[i], data));
    if (expr.kind == Kind::kMultiList) {
      out.items.push_back(std::move(value));
    } else {
      out.fields.emplace_back(expr.names[i], std::move(value));
    }
  }
  return out;
}

base::Result<Value> Evaluator::eval(const Expr& expr, const Value& data) {
  switch (expr.kind) {
    case Kind::kCurrent: return data;
    case Kind::kField: {
      const Value* found = data.find(expr.text);
      return found == nullptr ? Value() : *found;
    }
    case Kind::kIndex: {
      if (data.type != Type::kArray) return Value();
      const auto size = static_cast<long long>(data.items.size());
      const long long at = expr.number < 0 ? expr.number + size : expr.number;
      return at < 0 || at >= size ? Value() : data.items[static_cast<std::size_t>(at)];
    }
    case Kind::kSlice: return slice(expr, data);
    case Kind::kLiteral: return expr.literal;
    case Kind::kSub:
    case Kind::kPipe: {
      SKALD_TRY_ASSIGN(const Value left, eval(*expr.left, data));
      return eval(*expr.right, left);
    }
    case Kind::kOr:
    case Kind::kAnd: {
      SKALD_TRY_ASSIGN(Value left, eval(*expr.left, data));
      if (is_false(left) != (expr.kind == Kind::kOr)) return left;
      return eval(*expr.right, data);
    }
    case Kind::kNot: {
      SKALD_TRY_ASSIGN(const Value left, eval(*expr.left, data));
      return make_bool(is_false(left));
    }
    case Kind::kCompare: return compare(expr, data);
    case Kind::kMultiList:
    case Kind::kMultiHash: return multi(expr, data);
    case Kind::kListProjection:
    case Kind::kObjectProjection: {
      SKALD_TRY_ASSIGN(const Value left, eval(*expr.left, data));
      const bool list = expr.kind == Kind::kListProjection;
      if (left.type != (list ? Type::kArray : Type::kObject)) return Value();
      std::vector<const Value*> items;
      for (const Value& item : left.items) items.push_back(&item);
      for (const auto& field : left.fields) items.push_back(&field.second);
      return project(*expr.right, items);
    }
    case Kind::kFilter: return filter(expr, data);
    case Kind::kFlatten: {
      SKALD_TRY_ASSIGN(const Value left, eval(*expr.left, data));
      SKALD_TRY(spend(left.items.size()));
      return flatten(left);
    }
    case Kind::kFunction: return call(expr, data);
    case Kind::kReference: return base::invalid_argument("& outside of a function's argument");
  }
  return Value();
}

// ---- functions

struct Signature {
  std::string_view name;
  std::size_t min, max;
};
constexpr std::size_t kAny = 1000;
constexpr Signature kFunctions[] = {
    {"abs", 1, 1},       {"avg", 1, 1},      {"ceil", 1, 1},      {"contains", 2, 2},
    {"ends_with", 2, 2}, {"floor", 1, 1},    {"join", 2, 2},      {"keys", 1, 1},
    {"length", 1, 1},    {"map", 2, 2},      {"max", 1, 1},       {"max_by", 2, 2},
    {"merge", 1, kAny},  {"min", 1, 1},      {"min_by", 2, 2},    {"not_null", 1, kAny},
    {"reverse", 1, 1},   {"sort", 1, 1},     {"sort_by", 2, 2},   {"starts_with", 2, 2},
    {"sum", 1, 1},       {"to_array", 1, 1}, {"to_number", 1, 1}, {"to_string", 1, 1},
    {"type", 1, 1},      {"values", 1, 1}};

// All numbers or all strings, so that they have an order.
bool sortable(const std::vector<Value>& items) {
  if (items.empty()) return true;
  const Type type = items[0].type;
  return (type == Type::kNumber || type == Type::kString) &&
         std::all_of(items.begin(), items.end(), [&](const Value& v) { return v.type == type; });
}
bool less(const Value& a, const Value& b) {
  return a.type == Type::kNumber ? a.number < b.number : a.string < b.string;
}

base::Result<Value> number_function(std::string_view name, const Value& arg) {
  if (arg.type != Type::kNumber) return wrong_type(name);
  if (name == "abs") return make_number(std::fabs(arg.number));
  return make_number(name == "ceil" ? std::ceil(arg.number) : std::floor(arg.number));
}

base::Result<Value> list_function(std::string_view name, Value arg) {
  if (arg.type != Type::kArray) return wrong_type(name);
  auto& items = arg.items;
  if (name == "sum" || name == "avg") {
    double sum = 0;
    for (const Value& item : items) {
      if (item.type != Type::kNumber) return wrong_type(name);
      sum += item.number;
    }
    if (name == "sum") return make_number(sum);
    return items.empty() ? Value() : make_number(sum / static_cast<double>(items.size()));
  }
  if (!sortable(items)) return wrong_type(name);
  if (name == "sort") {
    std::stable_sort(items.begin(), items.end(), less);
    return arg;
  }
  if (items.empty()) return Value();
  return name == "max" ? *std::max_element(items.begin(), items.end(), less)
                       : *std::min_element(items.begin(), items.end(), less);
}

base::Result<Value> string_function(std::string_view name, const Value& a, const Value& b) {
  if (name == "contains" && a.type == Type::kArray) {
    return make_bool(std::find(a.items.begin(), a.items.end(), b) != a.items.end());
  }
  if (name == "join") {
    if (a.type != Type::kString || b.type != Type::kArray) return wrong_type(name);
    std::string text;
    for (std::size_t i = 0; i < b.items.size(); ++i) {
      if (b.items[i].type != Type::kString) return wrong_type(name);
      if (i > 0) text += a.string;
      text += b.items[i].string;
    }
    return make_string(std::move(text));
  }
  if (a.type != Type::kString || b.type != Type::kString) return wrong_type(name);
  if (name == "contains") return make_bool(a.string.find(b.string) != std::string::npos);
  return make_bool(name == "starts_with" ? a.string.starts_with(b.string)
                                         : a.string.ends_with(b.string));
}

base::Result<Value> shape_function(std::string_view name, Value arg) {
  if (name == "type") return make_string(std::string(type_name(arg.type)));
  if (name == "to_array") {
    if (arg.type == Type::kArray) return arg;
    return make_array({std::move(arg)});
  }
  if (name == "to_string") {
    if (arg.type == Type::kString) return arg;
    std::string text;
    append_json(arg, text);
    return make_string(std::move(text));
  }
  if (name == "to_number") {
    if (arg.type == Type::kNumber) return arg;
    double number = 0;
    if (arg.type == Type::kString &&
        gotext::read_float(arg.string, number) == gotext::NumberError::kNone) {
      return make_number(number);
    }
    return Value();
  }
  if (name == "length") {
    if (arg.type == Type::kArray) return make_number(static_cast<double>(arg.items.size()));
    if (arg.type == Type::kObject) return make_number(static_cast<double>(arg.fields.size()));
    if (arg.type != Type::kString) return wrong_type(name);
    std::size_t runes = 0;
    for (std::size_t i = 0; i < arg.string.size(); ++runes) {
      i += base::decode_rune(std::string_view(arg.string).substr(i)).width;
    }
    return make_number(static_cast<double>(runes));
  }
  if (name == "reverse") {
    if (arg.type == Type::kArray) {
      std::reverse(arg.items.begin(), arg.items.end());
      return arg;
    }
    if (arg.type != Type::kString) return wrong_type(name);
    std::string text;
    for (std::size_t end = arg.string.size(); end > 0;) {
      std::size_t start = end - 1;
      while (start > 0 && (static_cast<unsigned char>(arg.string[start]) & 0xC0U) == 0x80) --start;
      text.append(arg.string, start, end - start);
      end = start;
    }
    return make_string(std::move(text));
  }
  // keys, values
  if (arg.type != Type::kObject) return wrong_type(name);
  Value out = make_array();
  for (auto& [key, value] : arg.fields) {
    out.items.push_back(name == "keys" ? make_string(key) : std::move(value));
  }
  return out;
}

// map, sort_by, max_by, min_by: one argument is an &expression.
base::Result<Value> Evaluator::call_by(const Expr& expr, const Value& data) {
  const std::size_t by = expr.text == "map" ? 0 : 1;
  if (expr.children[by]->kind != Kind::kReference) return wrong_type(expr.text);
  const Expr& key = *expr.children[by]->left;
  SKALD_TRY_ASSIGN(Value list, eval(*expr.children[1 - by], data));
  if (list.type != Type::kArray) return wrong_type(expr.text);
  SKALD_TRY(spend(list.items.size()));
  std::vector<Value> keys;
  for (const Value& item : list.items) {
    SKALD_TRY_ASSIGN(Value value, eval(key, item));
    keys.push_back(std::move(value));
  }
  if (expr.text == "map") return make_array(std::move(keys));
  if (!sortable(keys)) return wrong_type(expr.text);
  std::vector<std::size_t> order(keys.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto by_key = [&](std::size_t a, std::size_t b) { return less(keys[a], keys[b]); };
  if (expr.text == "sort_by") {
    std::stable_sort(order.begin(), order.end(), by_key);
    Value out = make_array();
    for (std::size_t i : order) out.items.push_back(std::move(list.items[i]));
    return out;
  }
  if (order.empty()) return Value();
  const std::size_t best = expr.text == "max_by"
                               ? *std::max_element(order.begin(), order.end(), by_key)
                               : *std::min_element(order.begin(), order.end(), by_key);
  return std::move(list.items[best]);
}

base::Result<Value> Evaluator::call(const Expr& expr, const Value& data) {
  const std::string& name = expr.text;
  if (name == "map" || name.ends_with("_by")) return call_by(expr, data);
  Args args;
  for (const auto& child : expr.children) {
    SKALD_TRY_ASSIGN(Value value, eval(*child, data));
    if (name == "not_null" && value.type != Type::kNull) return value;
    args.push_back(std::move(value));
  }
  if (name == "not_null") return Value();
  if (name == "abs" || name == "ceil" || name == "floor") return number_function(name, args[0]);
  if (name == "sum" || name == "avg" || name == "sort" || name == "max" || name == "min") {
    return list_function(name, std::move(args[0]));
  }
  if (args.size() == 2 && name != "merge") return string_function(name, args[0], args[1]);
  if (name != "merge") return shape_function(name, std::move(args[0]));
  Value out;
  out.type = Type::kObject;
  for (auto& arg : args) {
    if (arg.type != Type::kObject) return wrong_type(name);
    for (auto& field : arg.fields) {
      auto same = std::find_if(out.fields.begin(), out.fields.end(),
                               [&](const auto& known) { return known.first == field.first; });
      if (same != out.fields.end()) {
        same->second = std::move(field.second);
      } else {
        out.fields.push_back(std::move(field));
      }
    }
  }
  return out;
}

}  // namespace

bool is_jmespath_function(std::string_view name, std::size_t arguments, std::string& problem) {
  for (const Signature& function : kFunctions) {
    if (function.name != name) continue;
    if (arguments >= function.min && arguments <= function.max) return true;
    problem = std::string(name) + "() takes " + std::to_string(function.min) + " argument" +
              (function.min == 1 ? "" : "s");
    return false;
  }
  problem = "unknown function " + std::string(name) + "()";
  return false;
}

base::Result<JsonValue> JmesPath::search(const JsonValue& data) const {
  return Evaluator().eval(*root_, data);
}

}  // namespace skald::agent
