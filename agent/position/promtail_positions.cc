#include "agent/parse/yaml_node.h"
#include "agent/position/position_store.h"

namespace skald::agent {
namespace {

// As a plain YAML scalar, or in double quotes where that would be read as something else.
std::string yaml_key(const std::string& text) {
  bool plain = !text.empty() && text[0] == '/';
  for (const char c : text)
    plain = plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '/' || c == '.' || c == '-' || c == '_');
  if (plain) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + '"';
}

}  // namespace

base::Result<std::vector<PromtailPosition>> parse_promtail_positions(std::string_view text) {
  SKALD_TRY_ASSIGN(const Node root, parse_yaml(text, "positions file"));
  std::vector<PromtailPosition> positions;
  if (root.is_null()) return positions;
  const Node* map = root.find("positions");
  if (map == nullptr || map->is_null()) return positions;
  if (!map->is_map()) return base::invalid_argument("positions file: 'positions' is not a map");
  for (const auto& [path, value] : map->fields)
    if (value.is_scalar()) positions.push_back({path, value.scalar});
  return positions;
}

std::string format_promtail_positions(const std::vector<PromtailPosition>& positions) {
  std::string out = positions.empty() ? "positions: {}\n" : "positions:\n";
  for (const PromtailPosition& position : positions)
    out += "  " + yaml_key(position.path) + ": " + yaml_key(position.value) + "\n";
  return out;
}

}  // namespace skald::agent
