// Stages made to take long: the query ends with an error of its own, not with its deadline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "query/exec/engine.h"
#include "tests/query/exec/memory_store.h"

namespace skald::query {
namespace {

class RowPaceTest : public ::testing::Test {
 protected:
  RowPaceTest() {
    for (int i = 0; i < 5'000; ++i)
      store_.add({{"job", "a"}}, (i + 1) * base::kNsPerMs,
                 R"({"user":"user-)" + std::to_string(i) + R"(","text":"some words and more"})");
  }
  base::Status ask(const std::string& text, bool instant) {
    const Engine engine(store_, base::Clock::system(), {});
    QueryRequest request;
    request.text = text;
    request.instant = instant;
    request.start_ns = 0;
    request.end_ns = 100 * base::kNsPerSecond;
    request.step_ns = base::kNsPerSecond;
    request.limit = 10'000;
    auto result = engine.run(request);
    return result.ok() ? base::Status() : std::move(result).status();
  }
  // As lines and as a number, for which lines count that somebody reads.
  void expect_refused(const std::string& stages) {
    for (const bool instant : {false, true}) {
      const std::string log = R"({job="a"})" + stages;
      const auto status = ask(instant ? "sum(count_over_time(" + log + "[100s]))" : log, instant);
      EXPECT_EQ(status.code(), base::Code::kResourceExhausted) << log.substr(0, 200);
      EXPECT_THAT(std::string(status.message()),
                  ::testing::StartsWith("the stages of the query take too long"));
    }
  }

  MemoryStore store_{1000};
};

TEST_F(RowPaceTest, ManyParsersOfFewLinesEnd) {
  std::string stages;
  for (int i = 0; i < 400; ++i) stages += R"q( | regexp "(?P<a>.*)u(?P<b>.*)")q";
  expect_refused(stages);
}

TEST_F(RowPaceTest, AnExpressionMadeOfEachLineEnds) {
  expect_refused(
      R"( | json | line_format `{{ regexReplaceAll (printf "\\pL{15}%s" .user) __line__ "x" }}` != "zz")");
}

TEST_F(RowPaceTest, ALoopOfEachLineEnds) {
  expect_refused(R"( | line_format `{{ range 100000 }}x{{ end }}` != "zz")");
}

TEST_F(RowPaceTest, UsualStagesAreAnswered) {
  const std::string stages =
      R"q( | json | label_format u=`{{ regexReplaceAll .user "id of user-1" "x" | upper }}`)q"
      R"q( | regexp "(?P<w>some [a-z]+)" | line_format `{{ .u }} {{ .w }}` |= "some")q";
  EXPECT_TRUE(ask(R"({job="a"})" + stages, false).ok());
  EXPECT_TRUE(ask(R"(sum(count_over_time({job="a"})" + stages + "[100s]))", true).ok());
}

}  // namespace
}  // namespace skald::query
