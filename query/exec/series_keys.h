#pragma once
// Gives each set of labels a number: which series a row's sample belongs to.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/labels.h"
#include "query/exec/query_context.h"
#include "query/exec/row.h"

namespace skald::query {

// What remains of a row's labels (after Loki's GroupedLabels).
struct GroupSpec {
  std::vector<std::string> labels;  // sorted
  bool without = false;
  bool none = false;  // no labels at all
};

class SeriesKeys {
 public:
  // Both outlive it.
  SeriesKeys(const GroupSpec& spec, QueryContext& context) : spec_(spec), context_(context) {}

  // kInvalidArgument: the row carries an error that the query did not ask for; the message is
  // Loki's. kResourceExhausted: too many series.
  base::Result<std::uint32_t> of_row(const Row& row, std::uint32_t stream);
  std::uint32_t of_labels(const model::Labels& labels);  // labels after grouping

  const std::vector<model::Labels>& labels() const noexcept { return labels_; }

 private:
  std::uint32_t intern(std::vector<LabelView>& views);
  base::Status error_of(const std::string& error);  // of the series in views_
  void group(const Row& row, std::vector<LabelView>& out) const;

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  const GroupSpec& spec_;
  QueryContext& context_;
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> ids_;
  std::vector<model::Labels> labels_;
  std::vector<std::uint32_t> by_stream_;  // for rows whose labels are their stream's; +1
  std::vector<LabelView> views_;
  std::string key_;
};

}  // namespace skald::query
