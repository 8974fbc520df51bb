#include "query/exec/engine.h"

#include <gtest/gtest.h>

#include "tests/query/exec/memory_store.h"

namespace skald::query {
namespace {

constexpr std::int64_t kSecond = base::kNsPerSecond;

class EngineTest : public ::testing::Test {
 protected:
  base::Result<QueryResult> run(std::string text, bool instant = true) {
    QueryRequest request;
    request.text = std::move(text);
    request.instant = instant;
    request.start_ns = 0;
    request.end_ns = 1000 * kSecond;
    request.step_ns = 100 * kSecond;
    return Engine(store_, base::Clock::system(), options_).run(request);
  }
  std::string show(const std::string& text) {
    const auto result = run(text);
    if (!result.ok()) return std::string(result.status().message());
    std::string out;
    if (const auto* vector = std::get_if<Vector>(&result->data))
      for (const Series& series : vector->series)
        out += series.labels.to_string() + " " + std::to_string(series.samples[0].value) + "\n";
    return out;
  }
  MemoryStore store_{10};
  EngineOptions options_;
};

TEST_F(EngineTest, FiltersUnwrappedValues) {
  store_.add({{"job", "a"}}, 990 * kSecond, "total=548 gauge=2.118 dur=1017ms");
  store_.add({{"job", "a"}}, 991 * kSecond, "total=5 gauge=-2 dur=1ms");
  EXPECT_EQ(show("quantile_over_time(0.5, {job=\"a\"} | logfmt | unwrap gauge | gauge > 0 [10m])"),
            "{dur=\"1017ms\", job=\"a\", total=\"548\"} 2.118000\n");
}

}  // namespace
}  // namespace skald::query
