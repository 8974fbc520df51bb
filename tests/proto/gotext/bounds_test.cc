#include <gtest/gtest.h>

#include <string>

#include "proto/gotext/functions.h"
#include "proto/gotext/strings.h"
#include "proto/gotext/template.h"

namespace skald::gotext {
namespace {

base::Status executed(const std::string& text, ExecHost* host = nullptr) {
  const auto parsed = Template::parse("t", text, logql_functions());
  if (!parsed.ok()) return parsed.status();
  std::string out;
  ExecOptions options;
  options.host = host;
  return parsed->execute(Value(), out, options);
}

struct CountingHost final : ExecHost {
  bool take(std::uint64_t bytes) noexcept override {
    if (held + bytes > memory) return false;
    held += bytes;
    most = std::max(most, held);
    return true;
  }
  void give_back(std::uint64_t bytes) noexcept override { held -= bytes; }
  base::Status check() override {
    return ++checks >= stop_at ? base::deadline_exceeded("enough") : base::Status();
  }
  std::uint64_t memory = UINT64_MAX, held = 0, most = 0;
  std::uint64_t checks = 0, stop_at = UINT64_MAX;
};

std::string variables(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += "{{ $v" + std::to_string(i) + " := repeat 4000000 \"x\" }}";
  return text;
}

TEST(TemplateBounds, StringsInVariablesAreBoundedTogether) {
  EXPECT_TRUE(executed(variables(5)).ok());
  EXPECT_EQ(executed(variables(8)).code(), base::Code::kResourceExhausted);
}

TEST(TemplateBounds, ALoopThatBuildsStringsEnds) {
  EXPECT_EQ(executed(R"({{ range 10000000 }}{{ $v := repeat 100 "x" }}{{ end }})").code(),
            base::Code::kResourceExhausted);
}

TEST(TemplateBounds, TheHostIsAskedForWhatFunctionsMakeAndGetsItBack) {
  CountingHost host;
  EXPECT_TRUE(executed(variables(3), &host).ok());
  EXPECT_GE(host.most, 12'000'000U);
  EXPECT_EQ(host.held, 0U);
  host.memory = 10'000'000;
  EXPECT_EQ(executed(variables(3), &host).code(), base::Code::kResourceExhausted);
  EXPECT_LE(host.most, 12'000'000U + host.memory);
  EXPECT_EQ(host.held, 0U);
}

TEST(TemplateBounds, ManySmallTextsAreChargedToo) {
  CountingHost host;
  EXPECT_TRUE(executed(R"({{ range 10000 }}{{ $v := repeat 100 "x" }}{{ end }})", &host).ok());
  EXPECT_GE(host.most, 900'000U);
  EXPECT_EQ(host.held, 0U);
}

TEST(TemplateBounds, ATreeIsChargedBeforeItIsMade) {
  const std::string tree = R"({{ $v := fromJson (printf "[%s1]" (repeat 150000 "1,")) }})";
  CountingHost host;
  EXPECT_TRUE(executed(tree, &host).ok());
  EXPECT_GE(host.most, 150'000 * sizeof(Value));
  EXPECT_EQ(host.held, 0U);
  host.memory = 7'000'000;
  EXPECT_EQ(executed(tree, &host).code(), base::Code::kResourceExhausted);
  EXPECT_EQ(host.held, 0U);
}

TEST(TemplateBounds, WorkThatGivesNothingBackIsNotCharged) {
  CountingHost host;
  host.memory = 4'000'000;
  EXPECT_TRUE(executed(R"({{ $v := repeat 100000 "x" }}{{ range 20 }}{{ count "x" $v }})"
                       R"({{ $w := alignLeft 1 $v }}{{ end }})",
                       &host)
                  .ok());
  EXPECT_EQ(host.held, 0U);
}

TEST(TemplateBounds, TheHostEndsALoop) {
  for (const char* loop :
       {R"({{ range 1000000000 }}{{ end }})", R"({{ range 5000000 }}x{{ end }})",
        R"({{ define "r" }}{{ range 50000 }}{{ template "s" }}{{ end }}{{ end }})"
        R"({{ define "s" }}{{ range 50000 }}{{ end }}{{ end }}{{ template "r" }})"}) {
    CountingHost host;
    host.stop_at = 3;
    EXPECT_EQ(executed(loop, &host).code(), base::Code::kDeadlineExceeded) << loop;
    EXPECT_EQ(host.checks, 3U);
  }
}

TEST(TemplateBounds, TheHostIsAskedBetweenCallsThatReadLongTexts) {
  CountingHost host;
  EXPECT_TRUE(
      executed(R"({{ $v := repeat 1000000 "x" }}{{ range 10 }}{{ count "y" $v }}{{ end }})", &host)
          .ok());
  EXPECT_GE(host.checks, 11U);
}

TEST(TemplateBounds, TheHostIsAskedWheneverAnExpressionIsCompiled) {
  CountingHost host;
  EXPECT_TRUE(
      executed(R"({{ range $i := 10 }}{{ count (printf "host asked %d" $i) "z" }}{{ end }})", &host)
          .ok());
  EXPECT_GE(host.checks, 10U);
  const std::uint64_t before = host.checks;
  EXPECT_TRUE(executed(R"({{ range 10 }}{{ count "host asked 1" "z" }}{{ end }})", &host).ok());
  EXPECT_EQ(host.checks, before) << "a compiled one, and a short text";
}

TEST(TemplateBounds, TheHostIsAskedBetweenMatches) {
  CountingHost host;
  host.stop_at = 20;
  EXPECT_EQ(executed(R"({{ regexReplaceAll "x" (repeat 300000 "x") "y" }})", &host).code(),
            base::Code::kDeadlineExceeded);
}

TEST(TemplateBounds, CutsetsAndNeedlesMayBeAsLongAsTheText) {
  // Minutes, were the work of each the product of the lengths.
  EXPECT_TRUE(
      executed(R"({{ $x := repeat 2000000 "x" }}{{ $y := printf "%sx" (repeat 2000000 "y") }})"
               R"({{ len (Trim $x $y) }})")
          .ok());
  EXPECT_TRUE(
      executed(R"({{ $x := repeat 2000000 "x" }}{{ $y := printf "%sy" (repeat 999999 "x") }})"
               R"({{ contains $y $x }}{{ Replace $x $y "" -1 | len }})")
          .ok());
}

TEST(TemplateBounds, TheEmptyTextIsFoundInEveryText) {
  for (const std::string_view text : {std::string_view(), std::string_view("ab")}) {
    for (std::size_t from = 0; from <= text.size(); ++from) EXPECT_EQ(find(text, {}, from), from);
    EXPECT_EQ(find(text, {}, text.size() + 1), std::string_view::npos);
    EXPECT_EQ(find(text, "abc"), std::string_view::npos);
  }
}

TEST(TemplateBounds, ExactDecimalsHaveABoundedNumberOfDigits) {
  std::string text = "{{ divf 1.5e308";
  for (int i = 0; i < 5000; ++i) text += " 1.5e-300";
  const base::Status status = executed(text + " }}");
  EXPECT_EQ(status.code(), base::Code::kResourceExhausted);
  EXPECT_EQ(status.message(), "decimal number has too many digits");
}

TEST(TemplateBounds, AnExpressionTooLargeForItsTextIsRefused) {
  const base::Status status = executed(R"({{ count "[ab].{0,900}[xyz]q" (repeat 100000 "a") }})");
  EXPECT_EQ(status.code(), base::Code::kResourceExhausted);
  EXPECT_NE(status.message().find("too large for a text of 100000 bytes"), std::string::npos)
      << status.message();
}

TEST(TemplateBounds, AnExpressionOfManyBytesIsRefused) {
  const base::Status status = executed(R"({{ count (repeat 100000 "a") "a" }})");
  EXPECT_EQ(status.code(), base::Code::kInvalidArgument);
  EXPECT_NE(status.message().find("over the limit"), std::string::npos) << status.message();
}

TEST(TemplateBounds, ATreeOfManyNodesIsRefused) {
  std::string text;
  for (int i = 0; i < 6000; ++i) text += "{{.a}}";
  const base::Status status = executed(text);
  EXPECT_EQ(status.code(), base::Code::kInvalidArgument);
  EXPECT_EQ(status.message(), "template: t:1: template has more than 20000 parts");
}

TEST(TemplateBounds, AReplacementThatRepeatsItsGroupEndsEarly) {
  const std::string text =
      R"x({{ regexReplaceAll "(.*)" (repeat 10000 "x") (repeat 20000 "$1") }})x";
  EXPECT_EQ(executed(text).code(), base::Code::kResourceExhausted);
}

TEST(TemplateBounds, AnExpressionThatIsTooLargeIsRefused) {
  EXPECT_EQ(executed(R"({{ regexReplaceAll "\\pL{500}" "y" "z" }})").code(),
            base::Code::kInvalidArgument);
}

}  // namespace
}  // namespace skald::gotext
