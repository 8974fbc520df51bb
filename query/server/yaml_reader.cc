#include "query/server/yaml_reader.h"

#include <charconv>

#include "proto/gotext/duration.h"

namespace skald::query::server {

YamlMap::YamlMap(YAML::Node node, std::string path, std::string file, base::Status& error)
    : node_(std::move(node)), path_(std::move(path)), file_(std::move(file)), error_(&error) {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap())
    set_error(where(node_) + "'" + path_ + "' must be a mapping");
}

std::string YamlMap::where(const YAML::Node& node) const {
  return file_ + ":" + std::to_string(node.Mark().line + 1) + ": ";
}

void YamlMap::set_error(const std::string& text) {
  if (error_->ok()) *error_ = base::invalid_argument(text);
}

YAML::Node YamlMap::find(const char* key) {
  known_.insert(key);
  if (!node_.IsDefined() || !node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
  const YAML::Node& constant = node_;
  YAML::Node found = constant[key];
  return found.IsDefined() && !found.IsNull() ? found : YAML::Node(YAML::NodeType::Undefined);
}

bool YamlMap::has(const char* key) { return find(key).IsDefined(); }
YAML::Node YamlMap::raw(const char* key) { return find(key); }

void YamlMap::fail(const char* key, const std::string& what) {
  const YAML::Node node = find(key);
  set_error(where(node.IsDefined() ? node : node_) + path_ + (path_.empty() ? "" : ".") + key +
            ": " + what);
}

template <typename T>
void YamlMap::scalar(const char* key, T& out, const char* wanted) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return;
  T value{};
  if (!node.IsScalar() || !YAML::convert<T>::decode(node, value))
    return fail(key, std::string("must be ") + wanted);
  out = value;
}

void YamlMap::get(const char* key, bool& out) { scalar(key, out, "true or false"); }
void YamlMap::get(const char* key, std::string& out) { scalar(key, out, "a string"); }
void YamlMap::get(const char* key, double& out) { scalar(key, out, "a number"); }
void YamlMap::get(const char* key, std::uint64_t& out) {
  std::int64_t value = static_cast<std::int64_t>(out);
  scalar(key, value, "an integer");
  if (value < 0) return fail(key, "must not be negative");
  out = static_cast<std::uint64_t>(value);
}
void YamlMap::get(const char* key, unsigned& out) {
  std::uint64_t value = out;
  get(key, value);
  if (value > UINT32_MAX) return fail(key, "is too large");
  out = static_cast<unsigned>(value);
}

void YamlMap::get(const char* key, std::vector<std::string>& out) {
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return;
  std::vector<std::string> values;
  if (!node.IsSequence()) return fail(key, "must be a list of strings");
  for (const YAML::Node& item : node) {
    if (!item.IsScalar()) return fail(key, "must be a list of strings");
    values.push_back(item.Scalar());
  }
  out = std::move(values);
}

void YamlMap::get_duration(const char* key, std::int64_t& out_ns) {
  std::string text;
  get(key, text);
  if (text.empty()) return;
  if (text == "0") {
    out_ns = 0;
    return;
  }
  auto value = gotext::parse_logql_duration(text);
  if (!value.ok()) return fail(key, "must be a duration such as 30s, 24h or 7d: '" + text + "'");
  if (*value < 0) return fail(key, "must not be negative");
  out_ns = *value;
}

void YamlMap::get_bytes(const char* key, std::uint64_t& out) {
  std::string text;
  get(key, text);
  if (text.empty()) return;
  std::uint64_t plain = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), plain);
  if (error == std::errc() && end == text.data() + text.size()) {
    out = plain;
    return;
  }
  // Loki's configuration counts in powers of 1024 whatever the unit's spelling.
  std::string iec = text;
  const std::size_t letter = iec.find_first_of("kKmMgGtT");
  if (letter != std::string::npos && iec.find_first_of("iI") == std::string::npos)
    iec.insert(letter + 1, "i");
  if (!iec.empty() && iec.back() != 'B' && iec.back() != 'b') iec.push_back('B');
  auto value = gotext::parse_bytes(iec);
  if (!value.ok()) return fail(key, "must be a size such as 256KB or 262144: '" + text + "'");
  out = *value;
}

YamlMap YamlMap::map(const char* key) {
  return YamlMap(find(key), path_.empty() ? key : path_ + "." + key, file_, *error_);
}

std::vector<YamlMap> YamlMap::list(const char* key) {
  std::vector<YamlMap> items;
  const YAML::Node node = find(key);
  if (!node.IsDefined()) return items;
  if (!node.IsSequence()) {
    fail(key, "must be a list");
    return items;
  }
  for (std::size_t i = 0; i < node.size(); ++i)
    items.emplace_back(node[i], path_ + "." + key + "[" + std::to_string(i) + "]", file_, *error_);
  return items;
}

std::vector<std::pair<std::string, YamlMap>> YamlMap::all_maps() {
  std::vector<std::pair<std::string, YamlMap>> items;
  if (!node_.IsDefined() || !node_.IsMap()) return items;
  for (const auto& item : node_) {
    const std::string key = item.first.Scalar();
    known_.insert(key);
    items.emplace_back(key, YamlMap(item.second, path_ + "." + key, file_, *error_));
  }
  return items;
}

void YamlMap::ignore(const char* key, std::vector<std::string>& warnings) {
  if (has(key)) warnings.push_back(path_ + (path_.empty() ? "" : ".") + key + " has no effect");
}

void YamlMap::finish() {
  if (!node_.IsDefined() || !node_.IsMap()) return;
  for (const auto& item : node_) {
    const std::string key = item.first.IsScalar() ? item.first.Scalar() : "?";
    if (known_.count(key) != 0) continue;
    set_error(where(item.first) + "unknown key '" + key + "'" +
              (path_.empty() ? "" : " in '" + path_ + "'"));
    return;
  }
}

}  // namespace skald::query::server
