#pragma once
// The fields of log lines, as Loki's detected_fields finds them: structured metadata, keys of JSON
// lines (nested keys joined by '_'), else keys of logfmt; with the type their first value has.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "query/exec/engine.h"

namespace skald::query::api {

struct DetectedField {
  std::string type;              // string int float boolean duration bytes
  std::set<std::string> values;  // at most kDetectedValuesMax
  bool json = false, logfmt = false;
  std::vector<std::string> json_path;  // raw key segments
};

constexpr std::size_t kDetectedValuesMax = 10'000;  // of one field
constexpr std::size_t kDetectedFieldsMax = 5'000;

class FieldDetector {
 public:
  FieldDetector();
  ~FieldDetector();
  FieldDetector(FieldDetector&&) noexcept;
  void add(const LogStream& stream, const LogEntry& entry);
  const std::map<std::string, DetectedField>& fields() const noexcept { return fields_; }

 private:
  struct Json;
  void add_value(const LogStream& stream, std::string name, std::string_view value, bool json,
                 bool logfmt, const std::vector<std::string>* path);
  bool add_json(const LogStream& stream, std::string_view line);
  void add_logfmt(const LogStream& stream, std::string_view line);

  std::map<std::string, DetectedField> fields_;
  std::unique_ptr<Json> json_;
};

std::string detect_type(std::string_view value);

}  // namespace skald::query::api
