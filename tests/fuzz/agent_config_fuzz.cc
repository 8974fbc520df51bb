// promtail.yaml from anybody: loading never crashes, and what loads explains itself and can be
// written and read again.

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "agent/parse/config.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size > 64U << 10) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> warnings;
  static_cast<void>(skald::agent::expand_env(
      text, [](const char*) -> const char* { return "value"; }, warnings));
  skald::agent::LoadOptions options;
  options.serves_push_api = options.serves_syslog = options.serves_journal = true;
  auto config = skald::agent::load_config(text, "fuzz.yaml", options);
  if (!config.ok()) return 0;
  if (skald::agent::explain(*config).empty()) std::abort();
  if (!skald::agent::parse_yaml(skald::agent::to_yaml(config->document), "again").ok())
    std::abort();
  return 0;
}
