#pragma once
// The cardinality guard. A label that a pipeline fills with ever new values (a request id) would
// make a stream per line. Each label name has a budget of distinct values; once it is spent, new
// values go to structured metadata instead (values admitted before stay labels), with one warning
// per label and a counter. Labels of the targets themselves are not counted: their number is
// bounded by the configuration and the files.
//
// Thread rule: one thread.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace skald::agent {

struct LabelPolicyOptions {
  std::size_t values_max = 1000;  // 0: no guard
  std::unordered_map<std::string, std::size_t> values_max_by_name;
  std::size_t sets_max = 100'000;  // label sets of the whole agent
};

class LabelPolicy {
 public:
  using Warn = std::function<void(const std::string&)>;
  explicit LabelPolicy(LabelPolicyOptions options = {}, Warn warn = {});

  // True: this value may be a label. Remembers 8 bytes per admitted value. Asked only when a
  // combination of labels is new, never per line.
  bool admit(std::string_view name, std::string_view value);
  // Whether the agent may hold one more label set; warns once.
  bool admit_set(std::size_t sets_count);
  void count_demoted(std::string_view name);

  struct Label {
    std::size_t values_max = 0;
    std::unordered_set<std::uint64_t> values;  // hashes
    std::uint64_t demoted_entries = 0;
    bool warned = false;
  };
  const std::unordered_map<std::string, Label>& labels() const noexcept { return labels_; }
  // Appends skald_agent_label_values{label} and skald_agent_label_demoted_entries_total{label}.
  void render_metrics(std::string& out) const;

 private:
  Label& label(std::string_view name);
  LabelPolicyOptions options_;
  Warn warn_;
  std::unordered_map<std::string, Label> labels_;
  bool sets_warned_ = false;
};

}  // namespace skald::agent
