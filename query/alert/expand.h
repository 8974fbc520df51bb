#pragma once
// Templates of labels and annotations. Parsed once per rule; expanded per alert.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/base/thread_clock.h"
#include "proto/gotext/functions.h"
#include "proto/model/labels.h"
#include "query/alert/rule_file.h"

namespace skald::query::alert {

// The nodes of its tree.
base::Result<std::size_t> check_template(std::string_view alert, std::string_view text);

// The time of the templates of one rule, on one thread. Without one, or with one used up, each
// template ends by its own limits.
class ExpandHost final : public gotext::ExecHost {
 public:
  ExpandHost() : began_ns_(base::thread_cpu_ns()) {}
  bool take(std::uint64_t /*bytes*/) noexcept override { return true; }  // they have a limit
  void give_back(std::uint64_t /*bytes*/) noexcept override {}
  base::Status check() override;
  // Time of this thread that was not the templates'.
  void forgive(std::int64_t cpu_ns) noexcept { began_ns_ += cpu_ns; }

 private:
  std::int64_t began_ns_;
};

// What $labels, $value, $externalLabels and $externalURL show.
struct ExpandData {
  const model::Labels* labels = nullptr;           // with __name__, if the result had one
  const model::Labels* external_labels = nullptr;  // may be null
  double value = 0;
  gotext::AlertContext context;  // query, external_url, timestamp_ms
  ExpandHost* host = nullptr;    // may be null
};

// The texts of one map (labels or annotations), in its order.
class ExpandedTexts {
 public:
  // A text that does not parse expands to its error, as in Prometheus; files with such texts are
  // refused before.
  ExpandedTexts(std::string_view alert, const TextMap& texts);
  ~ExpandedTexts();
  ExpandedTexts(ExpandedTexts&&) noexcept;
  ExpandedTexts& operator=(ExpandedTexts&&) noexcept;

  // Failures become "<error expanding template: ...>" and count in `failures`.
  std::vector<model::Labels::Pair> expand(const ExpandData& data, std::uint64_t& failures) const;
  bool empty() const noexcept { return items_.empty(); }

 private:
  struct Item;
  std::vector<Item> items_;
};

}  // namespace skald::query::alert
