// The promise of pipeline.h: in the common case a line costs no allocation.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/agent/parse/harness.h"

namespace {
std::size_t allocations = 0;  // of the whole test program; one thread
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace skald::agent {
namespace {

class NullSink final : public EntrySink {
 public:
  void on_entry(const EntryOut&) override { ++entries; }
  void on_dropped(const SourceRange&) override { ++entries; }
  std::size_t entries = 0;
};

std::size_t allocations_of(const char* stages, const std::vector<std::string>& lines) {
  Harness harness(stages, {{"job", "j"}, {"filename", "/var/log/app/api.log"}}, true);
  EXPECT_EQ(harness.error, "");
  NullSink sink;
  LineIn in;
  in.labels = harness.base.get();
  in.read_ns = kReadNs;
  const auto run = [&] {
    for (const auto& line : lines) {
      in.line = line;
      harness.pipeline->process(in, sink);
    }
  };
  for (int i = 0; i < 10; ++i) run();  // scratch grows, label sets are interned
  const std::size_t before = allocations;
  for (int i = 0; i < 100; ++i) run();
  return allocations - before;
}

TEST(Allocations, NoneForJsonLabelsTimestampMetadataMatchAndDrop) {
  EXPECT_EQ(allocations_of(R"(
- json: {expressions: {level: , timestamp: , event: , id: request_id, nested: pool.size}}
- labels: {level: , event: }
- timestamp: {source: timestamp, format: RFC3339Nano}
- structured_metadata: {id: }
- match: {selector: '{level="debug"} |= "x"', action: drop}
- drop: {source: nested, value: "20"}
)",
                           {R"({"level":"info","event":"a","request_id":"7d5c8dfc5eda92d8",)"
                            R"("timestamp":"2026-11-20T06:00:00.023970Z","pool":{"size":7}})",
                            R"({"level":"debug","event":"b","timestamp":"2026-11-20T06:00:00Z"})",
                            R"({"pool":{"size":20}})", "not json"}),
            0U);
}

TEST(Allocations, NoneForWholeCriLines) {
  EXPECT_EQ(allocations_of("- cri: {}\n- json: {expressions: {level: }}\n- labels: {level: }",
                           {R"(2025-11-24T15:00:00.123456789Z stderr F {"level":"info"})",
                            R"(2025-11-24T15:00:00.123456789Z stdout F {"level":"warn"})"}),
            0U);
}

}  // namespace
}  // namespace skald::agent
