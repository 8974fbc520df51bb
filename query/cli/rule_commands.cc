// rules: list asks the server; check and test work on files alone.

#include <string>

#include "query/cli/answer.h"
#include "query/cli/commands.h"

namespace skald::query::cli {

base::Status run_rules(const Options& options, Client& client, const Io& io) {
  if (options.command == Command::kRulesList) {
    SKALD_TRY_ASSIGN(const std::string body, client.get("/prometheus/api/v1/rules", {}));
    SKALD_TRY_ASSIGN(const std::string text, parse_member(body, "data"));
    io.out(text + "\n");
    return {};
  }
  return base::unsupported("rules check and test");
}

}  // namespace skald::query::cli
