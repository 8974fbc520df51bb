// "stages YAML \0 lines": every byte of every line is told once, in an entry or as dropped.

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/parse/pipeline.h"

namespace {

class Sink final : public skald::agent::EntrySink {
 public:
  void on_entry(const skald::agent::EntryOut& entry) override {
    if (entry.labels == nullptr) std::abort();
    for (char c : entry.line) sum += static_cast<unsigned char>(c);  // every view must be readable
    for (const auto& [name, value] : entry.metadata) sum += name.size() + value.size();
    lines += 1;
  }
  void on_dropped(const skald::agent::SourceRange&) override { lines += 1; }
  std::uint64_t sum = 0, lines = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace skald::agent;  // NOLINT
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = input.find('\0');
  if (zero == std::string_view::npos || size > 64U << 10) return 0;
  auto stages = parse_yaml(input.substr(0, zero), "fuzz");
  if (!stages.ok()) return 0;
  LabelSetTable sets;
  StageMetrics metrics;
  LabelPolicy policy({2, {}, 100});
  Pipeline::Environment environment;
  environment.sets = &sets;
  environment.metrics = &metrics;
  environment.policy = &policy;
  auto pipeline = Pipeline::build(*stages, "fuzz", environment);
  if (!pipeline.ok()) return 0;
  const LabelSetRef labels(sets.intern({{"job", "fuzz"}}));
  Sink sink;
  LineIn in;
  in.labels = labels.get();
  in.read_ns = 1'764'000'000'000'000'000;
  for (std::size_t start = zero + 1; start < input.size();) {
    const std::size_t end = std::min(input.find('\n', start), input.size());
    in.line = input.substr(start, end - start);
    in.range = {1 + (end % 2), start, end + 1};
    in.read_ns += 1'000'000'000;
    (*pipeline)->process(in, sink);
    (*pipeline)->flush(in.read_ns, sink);
    start = end + 1;
  }
  (*pipeline)->flush_source(1, in.read_ns, sink);
  (*pipeline)->flush_all(in.read_ns, sink);
  if ((*pipeline)->held_from(1) || (*pipeline)->held_from(2)) std::abort();
  if ((*pipeline)->held_bytes() != 0) std::abort();
  std::string text;
  metrics.render(text, in.read_ns);
  static_cast<void>((*pipeline)->describe());
  return 0;
}
