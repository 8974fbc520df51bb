// rules: check and test work on files alone; list asks the server, or reads the files named.

#include <sstream>
#include <string>

#include "query/alert/rule_cli.h"
#include "query/cli/answer.h"
#include "query/cli/commands.h"

namespace skald::query::cli {

base::Status run_rules(const Options& options, Client& client, const Io& io) {
  if (options.command == Command::kRulesList && options.paths.empty()) {
    SKALD_TRY_ASSIGN(const std::string body, client.get("/prometheus/api/v1/rules", {}));
    SKALD_TRY_ASSIGN(const std::string text, parse_member(body, "data"));
    io.out(text + "\n");
    return {};
  }
  std::ostringstream text;
  const int code = options.command == Command::kRulesCheck ? alert::check_rules(options.paths, text)
                   : options.command == Command::kRulesTest
                       ? alert::test_rules(options.paths, text)
                       : alert::list_rules(options.paths, text);
  io.out(text.str());
  if (code == 0) return {};
  return base::invalid_argument(code == 1 ? "the rules are not right" : "a file cannot be read");
}

}  // namespace skald::query::cli
