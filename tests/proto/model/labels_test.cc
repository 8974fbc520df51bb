#include "proto/model/labels.h"

#include <gtest/gtest.h>

#include "proto/model/matcher.h"

namespace skald::model {
namespace {

TEST(Labels, AreSortedUniqueAndWithoutEmptyValues) {
  const Labels labels{{"b", "2"}, {"a", "1"}, {"b", "3"}, {"c", ""}};
  EXPECT_EQ(labels.to_string(), R"({a="1", b="3"})");
  EXPECT_EQ(labels.get("b"), "3");
  EXPECT_EQ(labels.get("c"), "");
}

TEST(Labels, HashSeparatesNameFromValue) {
  EXPECT_NE((Labels{{"ab", "c"}}.hash()), (Labels{{"a", "bc"}}.hash()));
  EXPECT_EQ((Labels{{"a", "1"}, {"b", "2"}}.hash()), (Labels{{"b", "2"}, {"a", "1"}}.hash()));
}

TEST(ParseLabels, ReadsWhatClientsSend) {
  EXPECT_EQ(parse_labels(R"({a="b", c = `d"e`,})").value().to_string(), R"({a="b", c="d\"e"})");
  EXPECT_EQ(parse_labels("{}").value().size(), 0U);
  EXPECT_EQ(parse_labels(R"({a="tab\t\u00e9\x41"})").value().get("a"), "tab\t\u00e9A");
}

TEST(ParseLabels, RefusesMalformedTextNamingTheColumn) {
  for (const char* bad : {"", "{", "{a}", "{a=}", "{a=b}", "{a=\"b}", "{a=\"b\" c=\"d\"}",
                          "{a=\"b\"} x", "{1a=\"b\"}", "{a=\"b\",a=\"c\"}", "{a=\"\\q\"}"}) {
    EXPECT_EQ(parse_labels(bad).status().code(), base::Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(parse_labels("{a=b}").status().message(),
            "column 4: expected a quoted value for label 'a'");
}

TEST(GoQuote, ComesBackThroughUnquote) {
  const std::string odd("a\"\\\n\x01\x7f\xff\u00e9\u2028\U0001F600", 16);
  EXPECT_EQ(go_unquote(go_quote(odd)).value(), odd);
  EXPECT_EQ(go_quote("\x01\n\xff\u2028"), R"("\x01\n\xff\u2028")");
}

TEST(Matcher, IsAnchoredAndTreatsAbsentAsEmpty) {
  const auto make = [](Matcher::Op op, const char* value) {
    return Matcher::create("a", op, value).value();
  };
  EXPECT_TRUE(make(Matcher::Op::kRegex, "fo.").matches("foo"));
  EXPECT_FALSE(make(Matcher::Op::kRegex, "fo.").matches("xfoo"));
  EXPECT_TRUE(make(Matcher::Op::kRegex, "foo|bar").matches("bar"));
  EXPECT_FALSE(make(Matcher::Op::kRegex, "foo|bar").matches("foobar"));
  EXPECT_TRUE(make(Matcher::Op::kNotEqual, "x").matches(Labels{}));
  EXPECT_TRUE(make(Matcher::Op::kRegex, "a.c").matches("a\nc"));
  EXPECT_EQ(Matcher::create("a", Matcher::Op::kRegex, "(").status().code(),
            base::Code::kInvalidArgument);
}

}  // namespace
}  // namespace skald::model
