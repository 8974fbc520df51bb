#include "agent/label/label_policy.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "agent/label/limits.h"
#include "proto/model/labels.h"

namespace skald::agent {

LabelPolicy::LabelPolicy(LabelPolicyOptions options, Warn warn)
    : options_(std::move(options)), warn_(std::move(warn)) {}

LabelPolicy::Label& LabelPolicy::label(std::string_view name) {
  std::string key(name);
  if (labels_.size() >= kPolicyLabelsMax && !labels_.contains(key)) key = "(others)";
  auto [it, added] = labels_.try_emplace(std::move(key));
  if (added) {
    auto own = options_.values_max_by_name.find(it->first);
    it->second.values_max =
        own != options_.values_max_by_name.end() ? own->second : options_.values_max;
  }
  return it->second;
}

bool LabelPolicy::admit(std::string_view name, std::string_view value) {
  Label& known = label(name);
  if (known.values_max == 0) return true;
  const std::uint64_t hash = XXH3_64bits(value.data(), value.size());
  if (known.values.contains(hash)) return true;
  if (known.values.size() < known.values_max) {
    known.values.insert(hash);
    return true;
  }
  if (!known.warned) {
    known.warned = true;
    if (warn_) {
      warn_("label `" + std::string(name) + "` has more than " + std::to_string(known.values_max) +
            " values; from now on new values go to structured metadata, where they can be "
            "filtered on (| " +
            std::string(name) +
            "=\"...\") without making a stream each. Raise skald.label_values_max_by_name." +
            std::string(name) + " if they are meant, or use the structured_metadata stage");
    }
  }
  return false;
}

bool LabelPolicy::admit_set(std::size_t sets_count) {
  if (sets_count < options_.sets_max) return true;
  if (!sets_warned_) {
    sets_warned_ = true;
    if (warn_) {
      warn_("the agent holds " + std::to_string(sets_count) +
            " different label sets; new combinations keep the labels of their file only, the rest "
            "goes to structured metadata");
    }
  }
  return false;
}

void LabelPolicy::count_demoted(std::string_view name) { ++label(name).demoted_entries; }

void LabelPolicy::render_metrics(std::string& out) const {
  out +=
      "# HELP skald_agent_label_values Distinct values of a label set by pipelines.\n"
      "# TYPE skald_agent_label_values gauge\n";
  for (const auto& [name, known] : labels_) {
    out += "skald_agent_label_values{label=" + model::go_quote(name) + "} " +
           std::to_string(known.values.size()) + "\n";
  }
  out +=
      "# HELP skald_agent_label_demoted_entries_total Entries whose label went to structured "
      "metadata, the label being over its budget.\n"
      "# TYPE skald_agent_label_demoted_entries_total counter\n";
  for (const auto& [name, known] : labels_) {
    out += "skald_agent_label_demoted_entries_total{label=" + model::go_quote(name) + "} " +
           std::to_string(known.demoted_entries) + "\n";
  }
}

}  // namespace skald::agent
