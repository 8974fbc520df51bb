#pragma once
// Typed reading of a YAML map, key by key. Strict: a key nobody asked for is an error, with the
// nearest known key as a hint. The first error stays and makes all later calls harmless, so that a
// block is read top to bottom and tested once. Internal to agent/parse.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/parse/yaml_node.h"
#include "proto/base/status.h"
#include "proto/model/labels.h"

namespace skald::agent {

// What all readers of one document share.
struct ReadState {
  std::string file;
  base::Status status;
  std::vector<std::string> warnings;

  bool ok() const noexcept { return status.ok(); }
  void fail(int line, std::string_view path, std::string_view what);
  void warn(int line, std::string_view path, std::string_view what);
};

class MapReader {
 public:
  // A null node reads as an empty map; anything else but a map is an error.
  MapReader(const Node& node, std::string path, ReadState& state);

  bool has(std::string_view key);  // present and not null
  void string(std::string_view key, std::string& out);
  void boolean(std::string_view key, bool& out);
  void integer(std::string_view key, int& out);
  void uint64(std::string_view key, std::uint64_t& out);
  void size(std::string_view key, std::size_t& out);  // plain, not negative
  void number(std::string_view key, double& out);
  void duration(std::string_view key, std::int64_t& out_ns);          // Go's
  void long_duration(std::string_view key, std::int64_t& out_ns);     // Prometheus': 1d too
  void bytes(std::string_view key, std::size_t& out);                 // 256kb
  void labels(std::string_view key, model::Labels& out);              // map of label names
  void strings(std::string_view key, std::vector<std::string>& out);  // a list, or one scalar
  void string_map(std::string_view key, std::vector<std::pair<std::string, std::string>>& out);
  void each(std::string_view key, const std::function<void(const Node&, std::string path)>& item);
  void map(std::string_view key, const std::function<void(MapReader&)>& body);
  const Node* raw(std::string_view key);  // the node, marked as known

  void accept(std::string_view key);                         // parsed, no effect, no word
  void accept(std::string_view key, std::string_view note);  // the same with a warning if present
  void refuse(std::string_view key, std::string_view way_out);

  void fail(std::string_view key, std::string_view what);
  void warn(std::string_view key, std::string_view what);
  // Unknown keys are errors (finish) or warnings (finish_loosely). Call one last.
  void finish();
  void finish_loosely();

  const std::string& path() const noexcept { return path_; }
  int line() const noexcept { return node_->line; }
  ReadState& state() noexcept { return *state_; }

 private:
  const Node* scalar(std::string_view key);
  std::string at(std::string_view key) const;
  std::string unknown_message(std::string_view key) const;
  template <typename Parse>
  void parse(std::string_view key, std::string_view expected, Parse parse);

  const Node* node_;
  std::string path_;
  ReadState* state_;
  std::vector<std::string> known_;
};

bool parse_yaml_bool(std::string_view text, bool& out) noexcept;  // YAML 1.1's words, any case
// Promtail's byte sizes: "256kb", "2M", "1GiB", "10"; powers of 1024, any case.
bool parse_size(std::string_view text, std::size_t& out) noexcept;

}  // namespace skald::agent
