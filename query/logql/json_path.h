#pragma once
// The expressions of `| json a="b.c[0]"`.

#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"

namespace skald::query::logql {

// Keys as they are and array indexes as "[0]". kInvalidArgument in Loki's words.
base::Result<std::vector<std::string>> parse_json_path(std::string_view text);

}  // namespace skald::query::logql
