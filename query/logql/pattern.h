#pragma once
// Loki's patterns: `<ip> - <_> [<time>] "<method>`. A pattern is literals and captures in turn.

#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"

namespace skald::query::logql {

class Pattern {
 public:
  // For `| pattern`: at least one named capture, no two captures side by side, no name twice.
  static base::Result<Pattern> for_parser(std::string_view text);
  // For `|>` and `!>`: unnamed captures only; may be empty (matches the empty line).
  static base::Result<Pattern> for_line_filter(std::string_view text);

  struct Node {
    bool capture = false;
    std::string text;  // a literal, or a capture's name ("_": unnamed)
  };
  const std::vector<Node>& nodes() const noexcept { return nodes_; }
  const std::vector<std::string>& names() const noexcept { return names_; }

  // Whether the whole line fits. Every capture must take at least one byte.
  bool test(std::string_view line) const;
  // Values of the named captures as far as the line fits, in the order of names(); may be fewer.
  // Views into `line`.
  void captures(std::string_view line, std::vector<std::string_view>& out) const;

 private:
  static base::Result<Pattern> parse(std::string_view text);
  base::Status check_captures_apart() const;
  std::vector<Node> nodes_;
  std::vector<std::string> names_;
};

}  // namespace skald::query::logql
