#pragma once
// Tree to text. to_string() is Loki's one-line form (what it logs and shows in errors); pretty() is
// what `/loki/api/v1/format_query` and `logcli fmt` answer: one line up to 100 bytes, else broken
// and indented.

#include <string>
#include <string_view>

#include "proto/base/status.h"
#include "query/logql/ast.h"

namespace skald::query::logql {

std::string to_string(const Expr& expr);
std::string to_string(const Stage& stage);
std::string to_string(const LabelFilter& filter);
std::string to_string(const LogSelector& selector);
std::string pretty(const Expr& expr);

// parse() and pretty(): the answer of format_query.
base::Result<std::string> format_query(std::string_view text);

}  // namespace skald::query::logql
