#pragma once
// One comparison of a label filter, on text and on columns.

#include <optional>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "query/logql/ast.h"
#include "query/logql/regex.h"
#include "query/plan/ip_match.h"
#include "store/scan.h"

namespace skald::query::plan {

enum class Verdict { kPass, kDrop, kError };  // kError: the row stays and carries an error label

// A leaf of a label filter, compiled once per plan. Immutable.
class Leaf {
 public:
  explicit Leaf(const logql::LabelFilter& filter);  // borrowed; outlives the leaf

  const logql::LabelFilter& filter() const noexcept { return filter_; }
  // On a value that is present. A wrong ip() is not judged here: kError.
  Verdict judge(std::string_view value) const;
  // Why judge() said kError.
  base::Status error(std::string_view value) const;
  // `=~ ".*"`, which reads no label.
  bool always_true() const;
  // On an absent label: strings compare with the empty value, everything else drops the row.
  bool passes_absent() const;

 private:
  bool matches_text(std::string_view value) const;

  const logql::LabelFilter& filter_;
  std::optional<std::vector<logql::TextTest>> tests_;  // instead of the regular expression
  std::shared_ptr<const re2::RE2> regex_;  // else; its dot is no line feed, unlike a selector's
  std::optional<IpPattern> ip_;            // of kIp
};

// Loki changes U+FFFD in parsed values to a space; such values are not decided on columns.
bool is_changed_by_parser(std::string_view value);

// The leaf as the store evaluates it on a column. One instance per block, so that the flag needs
// no lock: unsure() says that some value would carry an error label or is changed by the parser.
class LeafPredicate final : public store::ValuePredicate {
 public:
  // How JSON's null reads: as an absent label, or as an empty one.
  enum class Null { kAbsent, kEmpty };
  LeafPredicate(const Leaf& leaf, bool token, Null null)
      : leaf_(leaf), token_(token), null_(null) {}

  bool test(std::string_view value) const override;
  std::optional<Interval> interval() const override;
  std::optional<std::string_view> equals() const override;
  bool unsure() const noexcept { return unsure_; }

 private:
  const Leaf& leaf_;
  bool token_;  // the column holds JSON tokens
  Null null_;
  mutable bool unsure_ = false;
};

}  // namespace skald::query::plan
