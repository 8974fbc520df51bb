#include <gtest/gtest.h>

#include <string>

#include "proto/gotext/functions.h"
#include "proto/gotext/template.h"

namespace skald::gotext {
namespace {

base::Status executed(const std::string& text) {
  const auto parsed = Template::parse("t", text, logql_functions());
  if (!parsed.ok()) return parsed.status();
  std::string out;
  return parsed->execute(Value(), out);
}

std::string variables(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += "{{ $v" + std::to_string(i) + " := repeat 4000000 \"x\" }}";
  return text;
}

TEST(TemplateBounds, StringsInVariablesAreBoundedTogether) {
  EXPECT_TRUE(executed(variables(20)).ok());
  EXPECT_EQ(executed(variables(60)).code(), base::Code::kResourceExhausted);
}

TEST(TemplateBounds, ALoopThatBuildsStringsEnds) {
  EXPECT_EQ(executed(R"({{ range 10000000 }}{{ $v := repeat 8000000 "x" }}{{ end }})").code(),
            base::Code::kResourceExhausted);
}

}  // namespace
}  // namespace skald::gotext
