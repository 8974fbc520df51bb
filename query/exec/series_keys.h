#pragma once
// Gives each set of labels a number: which series a row's sample belongs to.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/labels.h"
#include "query/exec/arena.h"
#include "query/exec/name_index.h"
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
  // Both outlive it. The query has back what it took when it goes.
  SeriesKeys(const GroupSpec& spec, QueryContext& context)
      : spec_(spec), context_(context), arena_(&context) {}
  ~SeriesKeys() { context_.release(held_); }
  SeriesKeys(const SeriesKeys&) = delete;
  SeriesKeys& operator=(const SeriesKeys&) = delete;

  // kInvalidArgument: the row carries an error that the query did not ask for; the message is
  // Loki's. kResourceExhausted: too many series.
  base::Result<std::uint32_t> of_row(const Row& row, std::uint32_t stream);
  std::uint32_t of_labels(const model::Labels& labels);  // labels after grouping

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(ids_.size()); }
  model::Labels labels_of(std::uint32_t id) const;
  // The series of `other` with this number.
  std::uint32_t of_other(const SeriesKeys& other, std::uint32_t id);

 private:
  std::uint32_t intern(std::vector<LabelView>& views);
  std::uint32_t intern(std::string_view key);
  void count_memory();
  base::Status error_of(const std::string& error);  // of the series in views_
  void group(const Row& row, std::vector<LabelView>& out) const;

  const GroupSpec& spec_;
  QueryContext& context_;
  Arena arena_;  // the keys: names and values in order, each behind its length
  NameIndex ids_;
  std::uint64_t held_ = 0;                // beside the arena, as charged
  std::vector<std::uint32_t> by_stream_;  // for rows whose labels are their stream's; +1
  std::vector<LabelView> views_;
  std::string key_;
};

}  // namespace skald::query
