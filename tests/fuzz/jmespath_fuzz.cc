// "expression \n JSON": compiles the one and searches the other. Plain paths must find the same by
// the forward scanner as by the tree.

#include <cstdlib>
#include <string_view>
#include <vector>

#include "agent/parse/jmespath.h"
#include "agent/parse/json_scan.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using skald::agent::JsonField;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = input.find('\n');
  if (line == std::string_view::npos) return 0;
  auto path = skald::agent::JmesPath::compile(input.substr(0, line));
  const std::string_view json = input.substr(line + 1);
  auto tree = skald::agent::parse_json_tree(json);
  if (!path.ok() || !tree.ok()) return 0;
  auto found = path->search(*tree);
  if (!found.ok() || !path->plain_path() || tree->type != skald::agent::JsonValue::Type::kObject) {
    return 0;
  }
  skald::agent::JsonPaths paths;
  paths.add(*path->plain_path());
  skald::agent::Arena arena;
  std::vector<JsonField> fields(1);
  if (!paths.scan(json, arena, fields.data())) std::abort();
  const bool scanned_null = fields[0].type == JsonField::Type::kNull;
  const bool found_null = found->type == skald::agent::JsonValue::Type::kNull;
  if (scanned_null != found_null) std::abort();
  return 0;
}
