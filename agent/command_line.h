#pragma once
// Promtail's flags: single or double dash, `-name=value` or `-name value`, all of them accepted.
// Those that mean something change the configuration; precedence: defaults < file < flags.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/parse/config.h"
#include "proto/base/status.h"

namespace skald::agent {

struct CommandLine {
  std::string config_file;  // a comma list: the first that exists
  bool expand_env = false, check_syntax = false, dry_run = false, stdin_input = false;
  bool inspect = false, version = false, help = false, explain = false, print_config = false;
  // Flags that set configuration keys, in order: "client.url" and so on.
  std::vector<std::pair<std::string, std::string>> settings;
};

// kInvalidArgument names the flag.
base::Result<CommandLine> parse_command_line(int argc, const char* const* argv);
std::string usage();

// Applies `settings`. -client.url adds a client, as Promtail does.
base::Status apply_settings(const CommandLine& command_line, AgentConfig& config);

}  // namespace skald::agent
