#pragma once
// What a binary operator makes of two numbers, as Loki has it: x / 0 and x % 0 are NaN, a
// comparison is 1 or 0.

#include "query/logql/ast.h"

namespace skald::query::logql {

double fold(BinaryOp op, double left, double right);  // not for set operators

}  // namespace skald::query::logql
