#include <algorithm>
#include <set>

#include "proto/gotext/format.h"
#include "proto/gotext/limits.h"
#include "proto/gotext/quote.h"
#include "proto/gotext/template_meter.h"
#include "proto/gotext/template_tree.h"

namespace skald::gotext {
namespace {

enum class Flow : std::uint8_t { kNext, kBreak, kContinue, kFailed };

std::string_view param_type_name(const Param& param) {
  switch (param.type) {
    case ParamType::kAny: return "interface {}";
    case ParamType::kString: return "string";
    case ParamType::kInt: return "int";
    case ParamType::kInt64: return "int64";
    case ParamType::kFloat: return "float64";
    case ParamType::kBool: return "bool";
    case ParamType::kTime: return "time.Time";
    case ParamType::kDuration: return "time.Duration";
    default: return param.type_name;
  }
}

bool can_be_nil(const Param& param) {
  return param.type == ParamType::kAny || param.type == ParamType::kList ||
         param.type == ParamType::kObject;
}

bool accepts(const Param& param, const Value& value) {
  switch (param.type) {
    case ParamType::kAny: return true;
    case ParamType::kString: return value.is(Value::Kind::kString);
    case ParamType::kInt:
      return value.is(Value::Kind::kInt) && value.int_type() == Value::IntType::kInt;
    case ParamType::kInt64:
      return value.is(Value::Kind::kInt) && value.int_type() == Value::IntType::kInt64;
    case ParamType::kFloat: return value.is(Value::Kind::kFloat);
    case ParamType::kBool: return value.is(Value::Kind::kBool);
    case ParamType::kTime: return value.is(Value::Kind::kTime);
    case ParamType::kDuration: return value.is(Value::Kind::kDuration);
    case ParamType::kList:
      return value.is(Value::Kind::kList) && value.type_name() == param.type_name;
    case ParamType::kObject:
      return value.is(Value::Kind::kObject) && value.type_name() == param.type_name;
  }
  return false;
}

const Param kAnyParam{ParamType::kAny};

// Walks the tree for one execution. Every eval returns false once failed; status_ has the reason.
class Executor {
 public:
  Executor(const Template::Program& program, const ExecOptions& options, std::string& out)
      : program_(program),
        options_(options),
        out_(out),
        out_max_(out.size() + (options.output_max ? options.output_max : kTemplateOutputMax)),
        meter_(program.name, program.text.size(), options),
        tree_name_(program.name) {}

  base::Status run(const Value& data) {
    const auto root = program_.trees.find(program_.name);
    CHECK(root != program_.trees.end());
    variables_.emplace_back("$", data);
    walk_list(data, root->second);
    return std::move(status_);
  }

 private:
  using Args = const NodeList*;  // of a command, with the function itself first; null: none

  // -- errors ------------------------------------------------------------------------------
  void at(const Node& node) { node_ = &node; }

  bool fail(std::string_view message) {
    if (!status_.ok()) return false;
    const std::string_view before = std::string_view(program_.text).substr(0, node_->pos);
    const auto newline = before.rfind('\n');
    const std::size_t column =
        newline == std::string_view::npos ? node_->pos : node_->pos - newline - 1;
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    std::string text = "template: " + program_.name + ":" + std::to_string(line) + ":" +
                       std::to_string(column) + ": executing " + quote(tree_name_) + " at <" +
                       node_->to_string() + ">: ";
    text += message;
    status_ = base::invalid_argument(std::move(text));
    return false;
  }

  // Of a limit or the host, which say it all.
  bool within(base::Status status) {
    if (status.ok()) return true;
    status_ = std::move(status);
    return false;
  }
  bool step(std::uint64_t count = 1) { return within(meter_.step(count)); }

  bool write(std::string_view text) {
    if (text.size() > out_max_ - std::min(out_.size(), out_max_)) {
      if (status_.ok())
        status_ = base::resource_exhausted("template: " + program_.name +
                                           ": the output is longer than the limit");
      return false;
    }
    out_ += text;
    return true;
  }

  // -- walk --------------------------------------------------------------------------------
  Flow walk_list(const Value& dot, const NodeList& list) {
    for (const auto& node : list)
      if (const Flow flow = walk(dot, *node); flow != Flow::kNext) return flow;
    return Flow::kNext;
  }

  Flow walk(const Value& dot, const Node& node) {
    at(node);
    if (!step()) return Flow::kFailed;
    switch (node.kind) {
      case NodeKind::kText: return write(node.text) ? Flow::kNext : Flow::kFailed;
      case NodeKind::kAction: {
        Value value;
        if (!eval_pipeline(dot, *node.pipe, value)) return Flow::kFailed;
        if (node.pipe->decls.empty() && !print(node, value)) return Flow::kFailed;
        return Flow::kNext;
      }
      case NodeKind::kIf:
      case NodeKind::kWith: return walk_if_or_with(dot, node);
      case NodeKind::kRange: return walk_range(dot, node);
      case NodeKind::kTemplate: return walk_template(dot, node);
      case NodeKind::kBreak: return Flow::kBreak;
      case NodeKind::kContinue: return Flow::kContinue;
      default: fail("unknown node: " + node.to_string()); return Flow::kFailed;
    }
  }

  bool print(const Node& node, const Value& value) {
    at(node);
    if (value.is_none()) return write("<no value>");
    if (value.is(Value::Kind::kString)) return write(value.as_string());
    std::string text;
    append_value(text, value);
    return write(text);
  }

  Flow walk_if_or_with(const Value& dot, const Node& node) {
    const std::size_t mark = variables_.size();
    Value value;
    if (!eval_pipeline(dot, *node.pipe, value)) return Flow::kFailed;
    Flow flow = Flow::kNext;
    if (value.truth())
      flow = walk_list(node.kind == NodeKind::kWith ? value : dot, node.list);
    else if (node.has_else)
      flow = walk_list(dot, node.else_list);
    variables_.resize(mark);
    return flow;
  }

  // One pass of a range body. kBreak ends the loop, kContinue does not leave here.
  Flow iterate(const Node& node, std::size_t mark, const Value& index, const Value& element) {
    const auto& decls = node.pipe->decls;
    if (!step()) return Flow::kFailed;
    if (!decls.empty()) {
      if (node.pipe->is_assign) {
        if (!set_variable(decls[0]->idents[0], decls.size() > 1 ? index : element) ||
            (decls.size() > 1 && !set_variable(decls[1]->idents[0], element)))
          return Flow::kFailed;
      } else {
        variables_[mark - 1].second = element;
        if (decls.size() > 1) variables_[mark - 2].second = index;
      }
    }
    const Flow flow = walk_list(element, node.list);
    variables_.resize(mark);
    return flow == Flow::kContinue ? Flow::kNext : flow;
  }

  Flow walk_range(const Value& dot, const Node& node) {
    const std::size_t outer = variables_.size();
    Value value;
    if (!eval_pipeline(dot, *node.pipe, value)) return Flow::kFailed;
    const std::size_t mark = variables_.size();
    Flow flow = Flow::kNext;
    bool ran = false;
    switch (value.kind()) {
      case Value::Kind::kNone:
      case Value::Kind::kNil: break;
      case Value::Kind::kInt:
        if (node.pipe->decls.size() > 1) {
          fail("can't use " + text_of(value) + " to iterate over more than one variable");
          return Flow::kFailed;
        }
        for (std::int64_t i = 0; i < value.as_int() && flow == Flow::kNext; ++i) {
          ran = true;
          flow = iterate(node, mark, Value(), Value::integer(i, value.int_type()));
        }
        break;
      case Value::Kind::kList:
        for (std::size_t i = 0; i < value.as_list().size() && flow == Flow::kNext; ++i) {
          ran = true;
          flow =
              iterate(node, mark, Value::integer(static_cast<std::int64_t>(i)), value.as_list()[i]);
        }
        break;
      case Value::Kind::kObject:
        if (value.as_object().is_map()) {
          for (const auto& [key, element] : value.as_object().entries()) {
            if (flow != Flow::kNext) break;
            ran = true;
            flow = iterate(node, mark, Value(key), element);
          }
          break;
        }
        [[fallthrough]];
      default: fail("range can't iterate over " + text_of(value)); return Flow::kFailed;
    }
    if (!ran && node.has_else) flow = walk_list(dot, node.else_list);
    variables_.resize(outer);
    return ran && flow == Flow::kBreak ? Flow::kNext : flow;
  }

  Flow walk_template(const Value& dot, const Node& node) {
    const auto tree = program_.trees.find(node.text);
    if (tree == program_.trees.end()) {
      fail("template " + quote(node.text) + " not defined");
      return Flow::kFailed;
    }
    if (depth_ == kTemplateDepthMax) {
      fail("exceeded maximum template depth (" + std::to_string(kTemplateDepthMax) + ")");
      return Flow::kFailed;
    }
    Value value;
    if (node.pipe && !eval_pipeline(dot, *node.pipe, value)) return Flow::kFailed;
    std::vector<std::pair<std::string_view, Value>> own;
    own.emplace_back("$", value);
    std::swap(own, variables_);
    const std::string_view outer_name = std::exchange(tree_name_, tree->first);
    ++depth_;
    const Flow flow = walk_list(value, tree->second);
    --depth_;
    tree_name_ = outer_name;
    variables_ = std::move(own);
    return flow == Flow::kFailed ? flow : Flow::kNext;
  }

  // -- variables ---------------------------------------------------------------------------
  Value* find_variable(std::string_view name) {
    for (std::size_t i = variables_.size(); i-- > 0;)
      if (variables_[i].first == name) return &variables_[i].second;
    return nullptr;
  }
  bool set_variable(const std::string& name, const Value& value) {
    Value* variable = find_variable(name);
    if (variable == nullptr) return fail("undefined variable: " + name);
    *variable = value;
    return true;
  }

  // -- eval --------------------------------------------------------------------------------
  static std::string text_of(const Value& value) {
    std::string text;
    append_value(text, value);
    return text;
  }

  // reflect.Value.String
  static std::string name_of(const Value& value) {
    if (value.is(Value::Kind::kString)) return std::string(value.as_string());
    return "<" + std::string(value.type_name()) + " Value>";
  }

  bool eval_pipeline(const Value& dot, const Node& pipe, Value& out) {
    at(pipe);
    const Value* final = nullptr;
    Value value;
    for (const auto& command : pipe.kids) {
      Value next;
      if (!eval_command(dot, *command, final, next)) return false;
      value = std::move(next);
      if (value.is(Value::Kind::kNil)) value = Value();
      value.set_boxed(false);
      final = &value;
    }
    for (const auto& variable : pipe.decls) {
      if (!pipe.is_assign)
        variables_.emplace_back(variable->idents[0], value);
      else if (!set_variable(variable->idents[0], value))
        return false;
    }
    out = std::move(value);
    return true;
  }

  bool not_a_function(const NodeList& args, const Value* final) {
    if (args.size() <= 1 && final == nullptr) return true;
    return fail("can't give argument to non-function " + args[0]->to_string());
  }

  bool eval_command(const Value& dot, const Node& command, const Value* final, Value& out) {
    if (!step()) return false;
    const Node& first = *command.kids[0];
    switch (first.kind) {
      case NodeKind::kField: return eval_field_node(dot, first, &command.kids, final, out);
      case NodeKind::kChain: return eval_chain(dot, first, &command.kids, final, out);
      case NodeKind::kIdentifier:
        return eval_function(dot, first, command, &command.kids, final, out);
      case NodeKind::kPipe:
        return not_a_function(command.kids, final) && eval_pipeline(dot, first, out);
      case NodeKind::kVariable: return eval_variable(dot, first, &command.kids, final, out);
      default: break;
    }
    at(first);
    if (!not_a_function(command.kids, final)) return false;
    switch (first.kind) {
      case NodeKind::kBool: out = Value(first.flag); return true;
      case NodeKind::kDot: out = dot; return true;
      case NodeKind::kNil: return fail("nil is not a command");
      case NodeKind::kNumber: return ideal_constant(first, out);
      case NodeKind::kString: out = Value::borrow(first.value); return true;
      default: return fail("can't evaluate command " + quote(first.to_string()));
    }
  }

  bool ideal_constant(const Node& node, Value& out) {
    at(node);
    const Number& n = node.number;
    if (n.is_complex) {
      out = Value(n.c);
      return true;
    }
    const std::string_view text = node.text;
    const bool hex = text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == 'x' &&
                     text.find_first_of("pP") == std::string_view::npos;
    if (n.is_float && !hex && !n.is_char && text.find_first_of(".eEpP") != std::string_view::npos) {
      out = Value(n.f);
      return true;
    }
    if (!n.is_int) return fail(node.text + " overflows int");
    out = Value::integer(n.i);
    return true;
  }

  bool eval_field_node(const Value& dot, const Node& node, Args args, const Value* final,
                       Value& out) {
    at(node);
    return eval_chain_of(dot, dot, node, node.idents, 0, args, final, out);
  }

  bool eval_chain(const Value& dot, const Node& node, Args args, const Value* final, Value& out) {
    at(node);
    if (node.kids[0]->kind == NodeKind::kNil)
      return fail("indirection through explicit nil in " + node.to_string());
    Value receiver;
    if (!eval_arg(dot, kAnyParam, true, *node.kids[0], receiver)) return false;
    return eval_chain_of(dot, receiver, node, node.idents, 0, args, final, out);
  }

  bool eval_variable(const Value& dot, const Node& node, Args args, const Value* final,
                     Value& out) {
    at(node);
    const Value* variable = find_variable(node.idents[0]);
    if (variable == nullptr) return fail("undefined variable: " + node.idents[0]);
    const Value value = *variable;
    if (node.idents.size() == 1) {
      if (args != nullptr && !not_a_function(*args, final)) return false;
      out = value;
      return true;
    }
    return eval_chain_of(dot, value, node, node.idents, 1, args, final, out);
  }

  bool eval_chain_of(const Value& dot, Value receiver, const Node& node,
                     const std::vector<std::string>& idents, std::size_t from, Args args,
                     const Value* final, Value& out) {
    for (std::size_t i = from; i + 1 < idents.size(); ++i) {
      Value next;
      if (!eval_field(dot, idents[i], node, nullptr, nullptr, receiver, next)) return false;
      receiver = std::move(next);
    }
    return eval_field(dot, idents.back(), node, args, final, receiver, out);
  }

  bool eval_field(const Value& dot, const std::string& name, const Node& node, Args args,
                  const Value* final, const Value& receiver, Value& out) {
    if (receiver.is(Value::Kind::kNone)) {
      if (program_.missing_key == MissingKey::kError)
        return fail("nil data; no entry for key " + quote(name));
      out = Value();
      return true;
    }
    const std::string_view type = receiver.boxed() ? "interface {}" : receiver.type_name();
    if (receiver.is(Value::Kind::kNil)) return fail("nil pointer evaluating interface {}." + name);
    if (const Function* method = find_method(receiver, name))
      return call(dot, *method, false, node, name, args, final, &receiver, out);
    if (receiver.is(Value::Kind::kObject)) {
      const Object& object = receiver.as_object();
      const bool has_args = (args != nullptr && args->size() > 1) || final != nullptr;
      std::optional<Value> value = object.get(name);
      if ((object.is_map() || value) && has_args) {
        return fail(object.is_map() ? name + " is not a method but has arguments"
                                    : name + " has arguments but cannot be invoked as function");
      }
      if (value) {
        out = std::move(*value);
        return true;
      }
      if (object.is_map()) {
        if (program_.missing_key == MissingKey::kError)
          return fail("map has no entry for key " + quote(name));
        out = program_.missing_key == MissingKey::kZero ? object.missing() : Value();
        return true;
      }
    }
    return fail("can't evaluate field " + name + " in type " + std::string(type));
  }

  bool eval_function(const Value& dot, const Node& identifier, const Node& command, Args args,
                     const Value* final, Value& out) {
    at(identifier);
    return call(dot, *identifier.function, identifier.builtin, command, identifier.text, args,
                final, nullptr, out);
  }

  // `receiver` of a method goes before the arguments.
  bool call(const Value& dot, const Function& function, bool builtin, const Node& node,
            const std::string& name, Args args, const Value* final, const Value* receiver,
            Value& out) {
    const std::size_t first = receiver != nullptr ? 1 : 0;
    const std::size_t params = function.params.size() - first;
    const std::size_t written = args == nullptr ? 0 : args->size() - 1;
    const std::size_t count = written + (final != nullptr ? 1 : 0);
    if (function.variadic ? count < params - 1 : count != params) {
      return fail(
          "wrong number of args for " + name + ": want " +
          (function.variadic ? "at least " + std::to_string(params - 1) : std::to_string(params)) +
          " got " + std::to_string(function.variadic ? written : count));
    }
    if (!function.bad_results.empty()) return fail(function.bad_results);
    const auto param_of = [&](std::size_t i) -> const Param& {
      return function.params[std::min(first + i, function.params.size() - 1)];
    };
    if (builtin && (name == "and" || name == "or"))
      return short_circuit(dot, name == "or", *args, final, out);
    std::vector<Value> values;
    values.reserve(count + first);
    if (receiver != nullptr) values.push_back(*receiver);
    for (std::size_t i = 0; i < written; ++i) {
      Value value;
      if (!eval_arg(dot, param_of(i), builtin, *(*args)[i + 1], value)) return false;
      values.push_back(std::move(value));
    }
    if (final != nullptr) {
      Value value = *final;
      if (!validate(param_of(written), builtin, value)) return false;
      values.push_back(std::move(value));
    }
    if (builtin && name == "call") {
      at(node);
      const std::string callee = written > 0 ? (*args)[1]->to_string() : name_of(values[0]);
      return fail("error calling call: " + (values[0].is_none()
                                                ? "call of nil"
                                                : "non-function " + callee + " of type " +
                                                      std::string(values[0].type_name())));
    }
    std::uint64_t texts = 0;
    for (const Value& value : values) texts += value.as_string().size();
    if (!within(meter_.spend(texts / kBytesPerStep))) return false;
    const std::uint64_t memory = texts * function.memory_per_byte;
    if (memory > 0 && !within(meter_.take(memory))) return false;
    auto result = function.body({values, options_.context, meter_});
    if (!result.ok()) {
      at(node);
      if (result.status().code() != base::Code::kInvalidArgument)
        return within(std::move(result).status());
      return fail("error calling " + name + ": " + std::string(result.status().message()));
    }
    out = std::move(result).value();
    if (memory > 0 && !out.is(Value::Kind::kList) && !out.is(Value::Kind::kObject))
      meter_.give_back(memory);
    const std::size_t size = out.as_string().size();
    return size == 0 || (step(size / kBytesPerStep) && within(meter_.take(size)));
  }

  bool short_circuit(const Value& dot, bool stop_at, const NodeList& args, const Value* final,
                     Value& out) {
    for (std::size_t i = 1; i < args.size(); ++i) {
      if (!eval_arg(dot, kAnyParam, true, *args[i], out)) return false;
      if (out.truth() == stop_at) return true;
    }
    if (final != nullptr) out = *final;
    return true;
  }

  bool validate(const Param& param, bool builtin, Value& value) {
    if (value.is(Value::Kind::kNone)) {
      if (!can_be_nil(param))
        return fail("invalid value; expected " + std::string(param_type_name(param)));
      if (!builtin) value = Value::nil();
      return true;
    }
    if (accepts(param, value)) {
      value.set_boxed(false);
      return true;
    }
    return fail("wrong type for value; expected " + std::string(param_type_name(param)) + "; got " +
                std::string(value.type_name()));
  }

  bool eval_arg(const Value& dot, const Param& param, bool builtin, const Node& node, Value& out) {
    at(node);
    if (!step()) return false;
    switch (node.kind) {
      case NodeKind::kDot: out = dot; return validate(param, builtin, out);
      case NodeKind::kNil:
        if (!can_be_nil(param))
          return fail("cannot assign nil to " + std::string(param_type_name(param)));
        out = builtin ? Value() : Value::nil();
        return true;
      case NodeKind::kField:
        return eval_field_node(dot, node, nullptr, nullptr, out) && validate(param, builtin, out);
      case NodeKind::kVariable:
        return eval_variable(dot, node, nullptr, nullptr, out) && validate(param, builtin, out);
      case NodeKind::kPipe: return eval_pipeline(dot, node, out) && validate(param, builtin, out);
      case NodeKind::kIdentifier:
        return eval_function(dot, node, node, nullptr, nullptr, out) &&
               validate(param, builtin, out);
      case NodeKind::kChain:
        return eval_chain(dot, node, nullptr, nullptr, out) && validate(param, builtin, out);
      default: return eval_literal(param, node, out);
    }
  }

  bool eval_literal(const Param& param, const Node& node, Value& out) {
    const auto expected = [&](std::string_view what) {
      return fail("expected " + std::string(what) + "; found " + node.to_string());
    };
    const bool is_number = node.kind == NodeKind::kNumber;
    switch (param.type) {
      case ParamType::kBool:
        if (node.kind != NodeKind::kBool) return expected("bool");
        out = Value(node.flag);
        return true;
      case ParamType::kString:
        if (node.kind != NodeKind::kString) return expected("string");
        out = Value::borrow(node.value);
        return true;
      case ParamType::kInt:
      case ParamType::kInt64:
      case ParamType::kDuration:
        if (!is_number || !node.number.is_int) return expected("integer");
        if (param.type == ParamType::kDuration) {
          out = Value::duration(node.number.i);
          return true;
        }
        out = Value::integer(node.number.i, param.type == ParamType::kInt64 ? Value::IntType::kInt64
                                                                            : Value::IntType::kInt);
        return true;
      case ParamType::kFloat:
        if (!is_number || !node.number.is_float) return expected("float");
        out = Value(node.number.f);
        return true;
      case ParamType::kAny:
        if (node.kind == NodeKind::kBool) {
          out = Value(node.flag);
          return true;
        }
        if (node.kind == NodeKind::kString) {
          out = Value::borrow(node.value);
          return true;
        }
        if (is_number) return ideal_constant(node, out);
        break;
      default: break;
    }
    return fail("can't handle " + node.to_string() + " for arg of type " +
                std::string(param_type_name(param)));
  }

  const Template::Program& program_;
  const ExecOptions& options_;
  std::string& out_;
  const std::size_t out_max_;
  Meter meter_;
  std::string_view tree_name_;
  std::vector<std::pair<std::string_view, Value>> variables_;
  const Node* node_ = nullptr;
  int depth_ = 0;
  base::Status status_;
};

template <typename F>
void visit_nodes(const Node& node, F&& visit) {
  visit(node);
  for (const auto& kid : node.kids) visit_nodes(*kid, visit);
  for (const auto& kid : node.decls) visit_nodes(*kid, visit);
  for (const auto& kid : node.list) visit_nodes(*kid, visit);
  for (const auto& kid : node.else_list) visit_nodes(*kid, visit);
  if (node.pipe) visit_nodes(*node.pipe, visit);
}

}  // namespace

base::Result<Template> Template::parse(std::string_view name, std::string_view text,
                                       const FunctionTable& functions, MissingKey missing_key) {
  auto program = std::make_shared<Program>();
  program->name = name;
  program->text = text;
  program->missing_key = missing_key;
  SKALD_TRY(parse_template(*program, functions));
  Template result;
  result.program_ = std::move(program);
  return result;
}

base::Status Template::execute(const Value& data, std::string& out,
                               const ExecOptions& options) const {
  CHECK(program_ != nullptr);
  return Executor(*program_, options, out).run(data);
}

std::optional<std::string_view> Template::simple_field() const {
  CHECK(program_ != nullptr);
  const NodeList& root = program_->trees.find(program_->name)->second;
  if (root.size() != 1 || root[0]->kind != NodeKind::kAction) return std::nullopt;
  const Node& pipe = *root[0]->pipe;
  if (!pipe.decls.empty() || pipe.kids.size() != 1 || pipe.kids[0]->kids.size() != 1)
    return std::nullopt;
  const Node& field = *pipe.kids[0]->kids[0];
  if (field.kind != NodeKind::kField || field.idents.size() != 1) return std::nullopt;
  return field.idents[0];
}

std::vector<std::string> Template::field_names() const {
  CHECK(program_ != nullptr);
  std::set<std::string> names;
  for (const auto& [name, tree] : program_->trees)
    for (const auto& node : tree)
      visit_nodes(*node, [&](const Node& n) {
        const bool variable = n.kind == NodeKind::kVariable;
        if (n.kind == NodeKind::kField || n.kind == NodeKind::kChain || variable)
          names.insert(n.idents.begin() + (variable ? 1 : 0), n.idents.end());
      });
  return {names.begin(), names.end()};
}

std::size_t Template::nodes() const {
  CHECK(program_ != nullptr);
  return program_->nodes;
}

bool Template::calls(std::string_view function) const {
  CHECK(program_ != nullptr);
  bool found = false;
  for (const auto& [name, tree] : program_->trees)
    for (const auto& node : tree)
      visit_nodes(*node, [&](const Node& n) {
        found = found || (n.kind == NodeKind::kIdentifier && n.text == function);
      });
  return found;
}

}  // namespace skald::gotext
