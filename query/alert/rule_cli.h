#pragma once
// `skaldctl rules check|test|list`: rule files without a server.

#include <iosfwd>
#include <string>
#include <vector>

namespace skald::query::alert {

// Each path is a rule file, or a directory that is searched for *.yml and *.yaml. Findings go to
// `out` as "file:line:column: message", then a summary. Returns 0 when all files are good, 1 when
// a file has findings, 2 when a path cannot be read.
int check_rules(const std::vector<std::string>& paths, std::ostream& out);

// Each path is a file of unit tests (see RULER.md: promtool's shape with `input_streams` of log
// lines). Failures show what was expected and what came. Returns 0, 1 or 2 as above.
int test_rules(const std::vector<std::string>& paths, std::ostream& out);

// Groups and rules of the files, one line each.
int list_rules(const std::vector<std::string>& paths, std::ostream& out);

}  // namespace skald::query::alert
