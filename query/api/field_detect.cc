#include "query/api/field_detect.h"

#include <simdjson.h>

#include <charconv>

#include "proto/gotext/duration.h"

namespace skald::query::api {
namespace {

constexpr int kDepthMax = 16;

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string clean_name(std::string_view key) {
  std::string out;
  if (!key.empty() && key.front() >= '0' && key.front() <= '9') out.push_back('_');
  for (const char c : key) out.push_back(is_name_char(c) ? c : '_');
  return out;
}

template <typename T>
bool parses_as(std::string_view text) {
  T value{};
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

std::string detect_type(std::string_view value) {
  if (parses_as<std::int64_t>(value)) return "int";
  if (parses_as<double>(value)) return "float";
  for (const char* word : {"true", "false", "TRUE", "FALSE", "True", "False", "t", "f", "T", "F"})
    if (value == word) return "boolean";
  if (gotext::parse_duration(value).ok()) return "duration";
  if (!value.empty() && value.front() >= '0' && value.front() <= '9' &&
      gotext::parse_bytes(value).ok())
    return "bytes";
  return "string";
}

struct FieldDetector::Json {
  simdjson::dom::parser parser;
  std::string padded;
};

FieldDetector::FieldDetector() : json_(std::make_unique<Json>()) {}
FieldDetector::~FieldDetector() = default;
FieldDetector::FieldDetector(FieldDetector&&) noexcept = default;

void FieldDetector::add_value(const LogStream& stream, std::string name, std::string_view value,
                              bool json, bool logfmt, const std::vector<std::string>* path) {
  if (name.empty()) return;
  if ((json || logfmt) && stream.labels.has(name)) name += "_extracted";
  auto found = fields_.find(name);
  if (found == fields_.end()) {
    if (fields_.size() >= kDetectedFieldsMax) return;
    found = fields_.emplace(std::move(name), DetectedField()).first;
    found->second.type = detect_type(value);
  }
  DetectedField& field = found->second;
  field.json |= json;
  field.logfmt |= logfmt;
  if (path != nullptr && field.json_path.empty()) field.json_path = *path;
  if (field.values.size() < kDetectedValuesMax) field.values.emplace(value);
}

void FieldDetector::add(const LogStream& stream, const LogEntry& entry) {
  for (const auto& [name, value] : entry.metadata)
    add_value(stream, name, value, false, false, nullptr);
  if (!add_json(stream, entry.line)) add_logfmt(stream, entry.line);
}

bool FieldDetector::add_json(const LogStream& stream, std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || line[first] != '{') return false;
  json_->padded.assign(line);
  json_->padded.reserve(line.size() + simdjson::SIMDJSON_PADDING);
  simdjson::dom::object root;
  if (json_->parser.parse(json_->padded).get_object().get(root) != simdjson::SUCCESS) return false;
  std::vector<std::string> path;
  const auto walk = [&](const auto& self, simdjson::dom::object object,
                        const std::string& prefix) -> void {
    for (const auto member : object) {
      const std::string name =
          prefix.empty() ? clean_name(member.key) : prefix + "_" + clean_name(member.key);
      path.emplace_back(member.key);
      simdjson::dom::object nested;
      std::string_view text;
      if (member.value.get_object().get(nested) == simdjson::SUCCESS) {
        if (static_cast<int>(path.size()) < kDepthMax) self(self, nested, name);
      } else if (member.value.get_string().get(text) == simdjson::SUCCESS) {
        add_value(stream, name, text, true, false, &path);
      } else if (!member.value.is_array() && !member.value.is_null()) {
        add_value(stream, name, simdjson::minify(member.value), true, false, &path);
      }
      path.pop_back();
    }
  };
  walk(walk, root, std::string());
  return true;
}

void FieldDetector::add_logfmt(const LogStream& stream, std::string_view line) {
  std::size_t at = 0;
  while (at < line.size()) {
    while (at < line.size() && line[at] <= ' ') ++at;
    const std::size_t key_at = at;
    while (at < line.size() && line[at] != '=' && line[at] > ' ' && line[at] != '"') ++at;
    const std::string_view key = line.substr(key_at, at - key_at);
    if (at >= line.size() || line[at] != '=' || key.empty()) {
      while (at < line.size() && line[at] > ' ') ++at;
      continue;
    }
    ++at;
    std::string value;
    if (at < line.size() && line[at] == '"') {
      for (++at; at < line.size() && line[at] != '"'; ++at) {
        if (line[at] == '\\' && at + 1 < line.size()) ++at;
        value.push_back(line[at]);
      }
      if (at < line.size()) ++at;
    } else {
      const std::size_t value_at = at;
      while (at < line.size() && line[at] > ' ') ++at;
      value = line.substr(value_at, at - value_at);
    }
    if (!value.empty()) add_value(stream, clean_name(key), value, false, true, nullptr);
  }
}

}  // namespace skald::query::api
