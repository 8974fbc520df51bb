#pragma once
// Prometheus relabelling, as Promtail applies it to targets: rules in order over a label set, with
// RE2 regexes wrapped as ^(?s:...)$.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/labels.h"

namespace re2 {
class RE2;
}

namespace skald::agent {

enum class RelabelAction : unsigned char {
  kReplace,
  kKeep,
  kDrop,
  kHashMod,
  kLabelMap,
  kLabelDrop,
  kLabelKeep,
  kLowercase,
  kUppercase,
  kKeepEqual,
  kDropEqual,
};

// One rule as configured; the defaults are Prometheus'.
struct RelabelConfig {
  std::vector<std::string> source_labels;
  std::string separator = ";";
  std::string target_label;
  std::string regex = "(.*)";
  std::uint64_t modulus = 0;
  std::string replacement = "$1";
  RelabelAction action = RelabelAction::kReplace;
  int line = 0;  // where it stands in the configuration; 0: nowhere
};

base::Result<RelabelAction> parse_relabel_action(std::string_view name);
std::string_view relabel_action_name(RelabelAction action) noexcept;

class RelabelRule {
 public:
  // kInvalidArgument, naming the field, for what Prometheus would refuse to load.
  static base::Result<RelabelRule> create(RelabelConfig config);

  // False: the target is dropped (keep, drop, keepequal, dropequal).
  bool apply(model::Labels& labels) const;
  const RelabelConfig& config() const noexcept { return config_; }

 private:
  RelabelRule() = default;
  RelabelConfig config_;
  std::shared_ptr<const re2::RE2> regex_;
};

// False: dropped by the rule whose index is put in `dropped_by`, if given.
bool apply_rules(const std::vector<RelabelRule>& rules, model::Labels& labels,
                 std::size_t* dropped_by = nullptr);

}  // namespace skald::agent
