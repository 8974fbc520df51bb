#pragma once
// The tree of a JMESPath expression. Internal to agent/parse: parser and evaluator share it.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/parse/jmespath.h"

namespace skald::agent {

struct JmesPath::Expr {
  enum class Kind : unsigned char {
    kCurrent,  // @, and what stands for nothing
    kField,    // text
    kIndex,    // number
    kSlice,    // start, stop, step
    kLiteral,  // literal
    kSub,      // left . right (also the pipe: right is then no projection's tail)
    kPipe,
    kOr,
    kAnd,
    kNot,
    kCompare,           // text is the operator
    kMultiList,         // children
    kMultiHash,         // names, children
    kListProjection,    // left [*] right
    kObjectProjection,  // left .* right
    kFilter,            // left [? third ] right
    kFlatten,           // left []
    kFunction,          // text (children)
    kReference,         // & left
  };
  using Ptr = std::unique_ptr<Expr>;

  Kind kind = Kind::kCurrent;
  std::string text;
  long long number = 0;
  std::optional<long long> start, stop, step;
  JsonValue literal;
  Ptr left, right, third;
  std::vector<std::string> names;
  std::vector<Ptr> children;
};

base::Result<JmesPath::Expr::Ptr> parse_jmespath(std::string_view text);
bool is_jmespath_function(std::string_view name, std::size_t arguments, std::string& problem);

}  // namespace skald::agent
