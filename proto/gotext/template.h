#pragma once
// Go's text/template: parsed once into an immutable program, executed from any thread.
//
// All of the language is there: fields and chains, pipelines, variables, if / else if / with /
// range / break / continue / define / block / template / end, comments, trim markers, all
// literals, and the builtin functions. Error texts are Go's, since users and clients
// see them: `template: line:1:2: executing "line" at <.x>: error calling f: ...`.
// Differences: nesting, size, steps, memory and output have limits (limits.h).

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/gotext/value.h"

namespace skald::gotext {

// A parameter's Go type: arguments are checked against it before the call.
enum class ParamType : std::uint8_t {
  kAny,  // interface{}: nil is accepted and arrives as kNil
  kString,
  kInt,  // int
  kInt64,
  kFloat,  // float64
  kBool,
  kTime,      // time.Time
  kDuration,  // time.Duration
  kList,      // a list whose type name is Param::type_name
  kObject,    // an object whose type name is Param::type_name
};
struct Param {
  Param(ParamType t) : type(t) {}  // NOLINT
  Param(ParamType t, std::string_view name) : type(t), type_name(name) {}
  ParamType type;
  std::string_view type_name;  // a literal; kList and kObject only
};

// Work as it is done, in steps (kStepsPerCheck).
class Work {
 public:
  virtual ~Work() = default;
  // Before what takes so long. Not OK: enough; whoever works ends with it.
  virtual base::Status spend(std::uint64_t steps) = 0;
};

struct Call {
  std::span<const Value> args;
  const void* context;  // ExecOptions::context
  Work& work;           // what the size of text arguments does not tell
};

struct Function {
  std::vector<Param> params;
  bool variadic = false;                                 // the last parameter takes any number
  std::function<base::Result<Value>(const Call&)> body;  // thread-safe; an error's message alone
                                                         // is shown
  // Go's complaint about the function's results, given instead of a call; mostly empty.
  std::string_view bad_results = {};  // a literal
  // What it takes per byte of its text arguments beside a text that it returns: at work, or for the
  // parts of a list or object that it returns.
  std::uint32_t memory_per_byte = 0;
};
// Outlives every template parsed with it. An entry replaces the builtin of that name.
using FunctionTable = std::map<std::string, Function, std::less<>>;

enum class MissingKey : std::uint8_t { kDefault, kZero, kError };

// Whom an execution works for. Asked on its thread.
class ExecHost {
 public:
  virtual ~ExecHost() = default;
  // Memory of what functions make, until the execution ends. False: too much; nothing was taken,
  // and the execution fails with kResourceExhausted. Asked when a value was made, or a few small
  // ones: so it is over by one value at most.
  virtual bool take(std::uint64_t bytes) noexcept = 0;
  virtual void give_back(std::uint64_t bytes) noexcept = 0;
  // Whether to go on; asked every kStepsPerCheck steps. Not OK: the execution fails with it.
  virtual base::Status check() = 0;
};

struct ExecOptions {
  const void* context = nullptr;  // handed to every function
  std::size_t output_max = 0;     // 0: kTemplateOutputMax
  std::uint64_t steps_max = 0;    // 0: kTemplateStepsMax; nodes evaluated
  ExecHost* host = nullptr;       // null: nobody
};

class Template {
 public:
  // Errors: kInvalidArgument with text/template's message, "template: name:1: ...".
  static base::Result<Template> parse(std::string_view name, std::string_view text,
                                      const FunctionTable& functions,
                                      MissingKey missing_key = MissingKey::kDefault);

  // Appends to `out`; on error what was already written stays, as in Go (callers clear).
  // kInvalidArgument: the template failed; kResourceExhausted: a limit of ours, or the host's
  // memory; others are the host's.
  base::Status execute(const Value& data, std::string& out, const ExecOptions& options = {}) const;

  // `{{.name}}` and nothing else: the name. Lets a caller copy the value and skip execution.
  std::optional<std::string_view> simple_field() const;
  // Every field name that occurs anywhere (also in defined templates); sorted, unique.
  std::vector<std::string> field_names() const;
  bool calls(std::string_view function) const;  // whether a function of that name is called
  std::size_t nodes() const;  // of its tree: what it takes in memory, some 400 bytes each

  struct Program;

 private:
  std::shared_ptr<const Program> program_;
};

}  // namespace skald::gotext
