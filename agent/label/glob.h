#pragma once
// Path patterns as in doublestar v4: `*` and `?` within one path segment, `**` as a whole segment
// for any number of directories, `[a-z]` `[!x]` `[^x]` classes, `{a,b}` alternatives (which may
// nest), `\` before a character to take it literally. Matching is byte-wise except that `?` and
// classes take one UTF-8 character.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"

namespace skald::agent {

class Glob {
 public:
  // kInvalidArgument for an unclosed class or brace, or more than kGlobAlternativesMax
  // alternatives.
  static base::Result<Glob> compile(std::string_view pattern);

  bool matches(std::string_view path) const;
  // Whether a file below `directory` (no trailing slash; "/" is the root) could match: which
  // directories are worth listing and watching.
  bool may_match_below(std::string_view directory) const;
  // The longest directories without wildcards, one per alternative, duplicates removed.
  const std::vector<std::string>& base_directories() const noexcept { return bases_; }
  bool is_literal() const noexcept { return literal_; }  // no wildcard: matches exactly pattern()
  const std::string& pattern() const noexcept { return pattern_; }

  // Calls `file` for every existing non-directory that matches, each once, in no set order.
  // A pattern that names an existing file is that file, even if it holds wildcard characters.
  // Unreadable directories are passed over. Follows symlinks to directories up to a fixed depth.
  void expand(const std::function<void(const std::string& path)>& file) const;
  // The same for directories that may hold matches: what to watch.
  void expand_directories(const std::function<void(const std::string& path)>& directory) const;

 private:
  Glob() = default;
  void walk(const std::string& directory, int depth,
            const std::function<void(const std::string&, bool is_directory)>& visit) const;
  std::string pattern_;
  std::vector<std::vector<std::string>> alternatives_;  // segments of each
  std::vector<std::string> bases_;
  bool literal_ = false;
  bool absolute_ = false;
};

}  // namespace skald::agent
