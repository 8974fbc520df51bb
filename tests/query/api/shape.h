#pragma once
// Compares JSON with a shape that has holes: see tests/data/grafana/README.md.

#include <simdjson.h>

#include <string>

namespace skald::query::api::testing {

// Empty if `got` has the shape, else where it differs.
std::string differs(simdjson::dom::element shape, simdjson::dom::element got,
                    const std::string& where);

}  // namespace skald::query::api::testing
