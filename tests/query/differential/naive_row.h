#pragma once
// One entry on its way through a pipeline, the naive way: maps and strings, every line parsed anew,
// nothing shared with query/exec or query/plan. It knows Loki's rules from their description, not
// from our engine's code, so that a mistake there shows here.
//
// What it does not know (undecided()) it says: templates beyond `{{.label}}`, ip(), regexp on lines
// that are no UTF-8, JSON paths on lines that are no JSON.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "query/logql/ast.h"

namespace skald::tests {

// Which labels a query can see: parsers stop once they have found all of them.
struct NaiveHints {
  bool no_labels = false;
  bool preserve_error = false;
  std::vector<std::string> required;                    // empty: all
  std::vector<const query::logql::LabelFilter*> early;  // leaves that drop a row while parsing

  bool wants(std::string_view name) const;
  bool wants_below(std::string_view prefix) const;
};

class NaiveRow {
 public:
  NaiveRow(const NaiveHints& hints, const model::Labels& stream, const model::Entry& entry);

  bool run(const query::logql::Stage& stage);  // false: the row is dropped
  bool passes(const query::logql::LabelFilter& filter);
  bool undecided() const { return undecided_; }

  std::optional<std::string> get(const std::string& name) const;
  std::map<std::string, std::string> stream_labels() const;
  std::map<std::string, std::string> metadata_labels() const;
  std::map<std::string, std::string> parsed_labels() const;  // with __error__, without details
  std::map<std::string, std::string> all_labels() const;
  bool deleted(const std::string& name) const { return deleted_.contains(name); }

  std::string line;
  std::string error;

 private:
  bool run_line_filters(const query::logql::LineFilters& stage) const;
  bool run_json();
  bool run_json_paths(const query::logql::JsonExpressions& stage);
  bool run_logfmt(const query::logql::LogfmtParser& stage);
  bool run_regexp(const query::logql::RegexpParser& stage);
  bool run_pattern(const query::logql::PatternParser& stage);
  bool capture(const std::string& group, std::string_view value);  // false: the row is dropped
  void run_drop(const query::logql::DropLabels& stage);
  void run_keep(const query::logql::KeepLabels& stage);
  void run_label_format(const query::logql::LabelFormat& stage);
  void run_line_format(const query::logql::LineFormat& stage);

  enum class Walk { kGoOn, kSatisfied, kRefused, kMalformed };
  Walk json_object(std::string_view text, const std::string& prefix);
  Walk json_scalar(const std::string& prefix, const std::string& key, std::string value);

  void set(const std::string& name, const std::string& value);
  void erase(const std::string& name);
  void parser_error(const char* which);
  std::string parsed_name(const std::string& name) const;
  bool has_all() const;
  bool goes_on(const std::string& name);

  const NaiveHints& hints_;
  const model::Labels& stream_;
  std::map<std::string, std::string> metadata_, parsed_;
  std::set<std::string> deleted_, extracted_;
  bool undecided_ = false;
};

// The labels of a template that has nothing else in braces; null: it has.
std::optional<std::vector<std::string>> plain_fields(const std::string& text);

}  // namespace skald::tests
