#pragma once
// What parsers need not extract. Not only an optimisation: when the labels that a metric query
// needs are found, Loki stops reading the line, so that later syntax errors in it do not exist; and
// a label filter further down drops a line as soon as its label is read. Answers depend on it.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "query/logql/ast.h"

namespace skald::query {

class Row;
class Stage;

class Hints {
 public:
  // For log queries: nothing is known, but filters may drop lines early.
  static Hints for_log(const std::vector<std::unique_ptr<Stage>>& stages);

  struct MetricNeeds {
    std::vector<std::string> required;  // of stages and post filters
    std::vector<std::string> groups;
    bool without = false;
    bool none = false;   // by (): the series have no labels
    std::string unwrap;  // empty: none
    const Stage* post_filter = nullptr;
  };
  static Hints for_metric(const MetricNeeds& needs,
                          const std::vector<std::unique_ptr<Stage>>& stages);

  bool no_labels() const noexcept { return no_labels_; }
  const std::vector<std::string>& required() const noexcept { return required_; }
  bool preserve_error() const noexcept { return preserve_error_; }
  bool should_extract(std::string_view name) const;
  bool should_extract_prefix(std::string_view prefix) const;
  // False: a label filter on this name, which now has its value, refuses the row.
  bool should_continue(std::string_view name, Row& row) const;

 private:
  struct Filter {
    std::string label;
    const Stage* stage;
  };
  void add_filters(const std::vector<std::unique_ptr<Stage>>& stages);

  bool no_labels_ = false;
  bool preserve_error_ = false;
  std::vector<std::string> required_;  // empty: all labels
  std::vector<Filter> filters_;
};

}  // namespace skald::query
