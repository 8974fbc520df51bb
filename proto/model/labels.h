#pragma once
// Labels: the name=value pairs that identify a stream, and every other small sorted map of strings
// (series labels, structured metadata, parsed fields).
//
// Names are unique and sorted bytewise; empty values are not kept: `{a=""}` is `{}`, as in Loki.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/status.h"

namespace skald::model {

class Labels {
 public:
  using Pair = std::pair<std::string, std::string>;

  Labels() = default;
  Labels(std::initializer_list<Pair> pairs);
  // Sorts; of a name that occurs twice the last wins; drops empty values.
  static Labels from_pairs(std::vector<Pair> pairs);
  // Sorts and keeps everything, empty values included: results of queries show labels such as
  // `status=""` (a field that a parser was asked for and did not find). Names must be unique.
  static Labels from_result(std::vector<Pair> pairs);

  // The value, or empty. The view lives until this object changes.
  std::string_view get(std::string_view name) const noexcept;
  bool has(std::string_view name) const noexcept;
  void set(std::string_view name, std::string_view value);  // an empty value erases
  void erase(std::string_view name);

  bool empty() const noexcept { return pairs_.empty(); }
  std::size_t size() const noexcept { return pairs_.size(); }
  auto begin() const noexcept { return pairs_.begin(); }
  auto end() const noexcept { return pairs_.end(); }
  const std::vector<Pair>& pairs() const noexcept { return pairs_; }

  std::uint64_t hash() const noexcept;  // stable across processes and versions (XXH3 of the pairs)
  std::string to_string() const;        // {a="b", c="d"}, values quoted as Go's %q does

  friend bool operator==(const Labels&, const Labels&) = default;
  friend auto operator<=>(const Labels&, const Labels&) = default;

 private:
  std::vector<Pair> pairs_;
};

struct LabelsHash {
  std::size_t operator()(const Labels& labels) const noexcept { return labels.hash(); }
};

// Reads the text form of a stream's labels as it comes in a push request: `{a="b", c="d"}`, values
// in Go's double or back quotes. An error names the column. Duplicate names are an error.
base::Result<Labels> parse_labels(std::string_view text);

// Go's strconv.Quote and strconv.Unquote (double quotes, with the quotes; backquotes for unquote).
std::string go_quote(std::string_view text);
base::Result<std::string> go_unquote(std::string_view quoted);

// [a-zA-Z_][a-zA-Z0-9_]* (':' also, if allow_colon: metric names)
bool is_label_name(std::string_view name, bool allow_colon = false) noexcept;

}  // namespace skald::model
