// Parse, print, parse: the second text equals the first print. Also the formatter, whose answer
// must parse again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "query/logql/parser.h"
#include "query/logql/printer.h"

namespace {

// NaN and infinity come out of folded literals and have no literal of their own. Durations print
// as Go does ("5m0s"), and negative ranges of a year print in units that do not read back.
bool may_not_read_back(std::string_view text) {
  for (const char* word : {"NaN", "Inf", "e+", "e-", "offset"})
    if (text.find(word) != std::string_view::npos) return true;
  return false;
}

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace skald::query::logql;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tree = parse(text);
  if (!tree.ok()) {
    require(!tree.status().message().empty());
    return 0;
  }
  const std::string once = to_string(**tree);
  const std::string formatted = pretty(**tree);
  require(!formatted.empty());
  if (may_not_read_back(once)) return 0;
  const auto again = parse(once);
  require(again.ok());
  require(to_string(**again) == once);
  return 0;
}
