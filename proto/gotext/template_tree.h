#pragma once
// The parse tree of a template and its parser. Internal to the room.

#include <complex>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/gotext/template.h"

namespace skald::gotext {

enum class NodeKind : std::uint8_t {
  kText,
  kAction,
  kIf,
  kWith,
  kRange,
  kTemplate,
  kBreak,
  kContinue,
  kEnd,
  kElse,
  kPipe,
  kCommand,
  kField,
  kVariable,
  kChain,
  kIdentifier,
  kDot,
  kNil,
  kBool,
  kNumber,
  kString,
};

struct Node;
using NodePtr = std::unique_ptr<Node>;
using NodeList = std::vector<NodePtr>;

// A number under every type that can hold it, as Go's untyped constants.
struct Number {
  bool is_int = false, is_float = false;
  bool is_char = false;
  bool is_complex = false;
  bool overflows_int = false;  // a uint64 only
  std::int64_t i = 0;
  double f = 0;
  std::complex<double> c;
};

struct Node {
  NodeKind kind = NodeKind::kText;
  std::uint32_t pos = 0;
  std::string text;                 // text, name, or the literal as written
  std::string value;                // kString: unquoted
  std::vector<std::string> idents;  // kField .a.b, kVariable $x.a, kChain (node).a
  NodeList kids;                    // kPipe: commands; kCommand: operands; kChain: one
  std::vector<NodePtr> decls;       // kPipe: variables
  bool is_assign = false;           // kPipe: '=' instead of ':='
  bool flag = false;                // kBool: true
  Number number;                    // kNumber
  NodePtr pipe;                     // kAction, kIf, kWith, kRange, kTemplate (may be null)
  NodeList list, else_list;
  bool has_else = false;
  const Function* function = nullptr;  // kIdentifier
  bool builtin = false;
  std::string to_string() const;  // as the parser would read it again; for error texts
};

struct Template::Program {
  std::string name;
  std::string text;  // positions refer to it
  std::map<std::string, NodeList, std::less<>> trees;
  MissingKey missing_key = MissingKey::kDefault;
  std::size_t nodes = 0;
};

base::Status parse_template(Template::Program& program, const FunctionTable& functions);

// The builtins; `and`, `or` and `call` are the executor's own.
const FunctionTable& builtin_functions();
// Methods of package time's types: the receiver is the first parameter. Null: no such method.
const Function* find_method(const Value& receiver, std::string_view name);

}  // namespace skald::gotext
