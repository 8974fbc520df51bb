#pragma once
// Rule files: Loki's (that is Prometheus') YAML of groups of alerting and recording rules. Strict:
// unknown and repeated keys, wrong types and unreadable expressions or templates are errors with
// line and column.
//
// Pure functions, safe from any thread.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"

namespace skald::query::alert {

using TextMap = std::map<std::string, std::string>;

struct Rule {
  std::string record;  // exactly one of record and alert is set
  std::string alert;
  std::string expr;  // as written
  std::int64_t for_ns = 0;
  std::int64_t keep_firing_for_ns = 0;
  TextMap labels;       // of an alert: templates
  TextMap annotations;  // templates
  int line = 0;         // in its file; 0: unknown
  bool is_alert() const noexcept { return !alert.empty(); }
  const std::string& name() const noexcept { return alert.empty() ? record : alert; }
};

struct RuleGroup {
  std::string name;
  std::int64_t interval_ns = 0;  // 0: the ruler's own
  std::optional<std::int64_t> query_offset_ns;
  std::int64_t limit = 0;  // alerts or series per rule; 0: none
  TextMap labels;          // added to every rule that does not set them
  std::vector<Rule> rules;
  int line = 0;
};

// A finding, in the order of the file. `line` and `column` start at 1; 0: unknown.
struct RuleError {
  int line = 0, column = 0;
  std::string message;
  std::string to_string() const;  // "3:5: message"
};

struct RuleFile {
  std::vector<RuleGroup> groups;
  std::vector<RuleError> errors;  // not empty: the file must not be used
  bool ok() const noexcept { return errors.empty(); }
};

// A file: `groups: [...]`. An empty text is a file without groups.
RuleFile parse_rule_file(std::string_view yaml);

// An API body: one group, without `groups:`. kInvalidArgument: "unable to decoded rule group"
// (Loki's spelling, which clients match) for YAML that is none; else all findings joined by ", ".
base::Result<RuleGroup> parse_rule_group(std::string_view yaml);

// What Loki's API says of a group that decodes but is not valid; empty: it is valid.
std::vector<std::string> validate_group(const RuleGroup& group);

// YAML as Go writes it: keys in struct order, zero values left out, durations as Prometheus'.
std::string group_to_yaml(const RuleGroup& group);
std::string namespaces_to_yaml(const std::map<std::string, std::vector<RuleGroup>>& namespaces);
std::string rule_file_to_yaml(const std::vector<RuleGroup>& groups);

}  // namespace skald::query::alert
