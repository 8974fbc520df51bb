#pragma once
// A YAML mapping read strictly: keys are asked for one by one, and those nobody asked for are an
// error. Private to the room.

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "proto/base/status.h"

namespace skald::query::server {

class YamlMap {
 public:
  // `path` names the mapping in messages: "limits_config".
  YamlMap(YAML::Node node, std::string path, std::string file, base::Status& error);

  // Each reads the key into `out` if it is there; wrong values are kept as the first error.
  void get(const char* key, bool& out);
  void get(const char* key, std::string& out);
  void get(const char* key, double& out);
  void get(const char* key, std::uint64_t& out);
  void get(const char* key, unsigned& out);
  void get(const char* key, std::vector<std::string>& out);
  void get_duration(const char* key, std::int64_t& out_ns);  // "168h", "1d", "0s"
  void get_bytes(const char* key, std::uint64_t& out);       // "256KB", 262144

  YamlMap map(const char* key);                             // empty if absent
  std::vector<YamlMap> list(const char* key);               // of mappings
  std::vector<std::pair<std::string, YamlMap>> all_maps();  // every key a mapping
  bool has(const char* key);
  YAML::Node raw(const char* key);
  void ignore(const char* key, std::vector<std::string>& warnings);
  void fail(const char* key, const std::string& what);
  void finish();  // unknown keys

 private:
  YAML::Node find(const char* key);
  template <typename T>
  void scalar(const char* key, T& out, const char* wanted);
  std::string where(const YAML::Node& node) const;
  void set_error(const std::string& text);

  YAML::Node node_;
  std::string path_, file_;
  base::Status* error_;
  std::set<std::string> known_;
};

}  // namespace skald::query::server
