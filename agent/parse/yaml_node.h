#pragma once
// A YAML document as a plain tree that remembers where everything stood, so that every
// configuration error can name its key and line. yaml-cpp does the reading; nothing of it shows.
//
// Scalars stay text: YAML 1.1's bare `n`, `y`, `on`, `off` are strings here, whoever asks for a
// boolean decides. Anchors and aliases are expanded under kYamlNodesMax; merge keys (`<<`) too.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/status.h"

namespace skald::agent {

struct NodeField;

struct Node {
  enum class Kind : unsigned char { kNull, kScalar, kSequence, kMap };

  Kind kind = Kind::kNull;
  bool quoted = false;  // a scalar written in quotes or as a block
  int line = 0;         // 1-based; of a map entry's value: where it starts
  int key_line = 0;     // the line of the key, if this is a map's value
  std::string scalar;
  std::vector<Node> items;        // kSequence
  std::vector<NodeField> fields;  // kMap, in document order, keys unique

  bool is_null() const noexcept { return kind == Kind::kNull; }
  bool is_scalar() const noexcept { return kind == Kind::kScalar; }
  bool is_sequence() const noexcept { return kind == Kind::kSequence; }
  bool is_map() const noexcept { return kind == Kind::kMap; }
  const Node* find(std::string_view key) const noexcept;  // null if absent or not a map
  std::string_view kind_name() const noexcept;
};

// A key and its value. Not a pair: that would need Node to be complete.
struct NodeField {
  NodeField() = default;
  NodeField(std::string key, Node value) : first(std::move(key)), second(std::move(value)) {}
  std::string first;
  Node second;
};

// kInvalidArgument with "file:line: ..." when the text is not one well-formed document, repeats a
// key, or nests or expands beyond our limits. An empty document is a null node.
base::Result<Node> parse_yaml(std::string_view text, std::string_view file_name);

// The tree as YAML text again, with anchors expanded; used by /config and tests.
std::string to_yaml(const Node& node);

}  // namespace skald::agent
