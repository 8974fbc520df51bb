#pragma once
// The expressions of `| json a="b.c[0]"` and `| logfmt a="b"`.

#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"

namespace skald::query::logql {

// Keys as they are and array indexes as "[0]". kInvalidArgument in Loki's words.
base::Result<std::vector<std::string>> parse_json_path(std::string_view text);
// A name or a quoted one; Loki's grammar takes more quoted ones after it, which then never match.
base::Result<std::vector<std::string>> parse_logfmt_key(std::string_view text);

}  // namespace skald::query::logql
