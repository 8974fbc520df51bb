#include "query/logql/regex.h"

#include <gtest/gtest.h>

namespace skald::query::logql {
namespace {

TEST(Regex, TakesBytesThatAreNoUtf8AsGoDoes) {
  struct Case {
    const char* regex;
    std::string_view text;
    bool found;
  };
  for (const Case& c : {Case{"a.b",
                             "a\xff"
                             "b",
                             true},
                        Case{"^a.{2}b$",
                             "a\xff\xfe"
                             "b",
                             true},
                        Case{"^.$", "\xe2\x82", false},  // a cut-off character is two
                        Case{"^..$", "\xe2\x82", true},
                        Case{"a[^x]b",
                             "a\x80"
                             "b",
                             true},
                        Case{"a\\x{FFFD}b",
                             "a\xff"
                             "b",
                             true},
                        Case{"a\\wb",
                             "a\xff"
                             "b",
                             false},
                        Case{"a.b",
                             "a\xc3\xa9"
                             "b",
                             true},
                        Case{"^.$", "\xc3\xa9", true}}) {
    const auto regex = compile_regex(c.regex);
    ASSERT_TRUE(regex.ok()) << c.regex;
    EXPECT_EQ(finds(**regex, c.text), c.found) << c.regex;
  }
}

TEST(Regex, GroupsOfBrokenTextAreItsBytes) {
  const auto regex = compile_regex("(?P<before>.*)=(?P<after>.+)|(?P<other>zz)");
  ASSERT_TRUE(regex.ok());
  const std::string_view text = "k\xff\xc3\xa9=v\xfe!";
  std::vector<std::string_view> groups(4);
  ASSERT_TRUE(finds(**regex, text, groups));
  EXPECT_EQ(groups[0], text);
  EXPECT_EQ(groups[1], "k\xff\xc3\xa9");
  EXPECT_EQ(groups[2], "v\xfe!");
  EXPECT_EQ(groups[3], "");
}

TEST(RegexScope, EqualExpressionsAreOneObjectWhileItLives) {
  const RegexScope outer;
  const auto first = compile_regex("a+b"), again = compile_regex("a+b");
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(*first, *again);
  EXPECT_NE(*first, *compile_regex("a+b", true));
  {
    const RegexScope inner;
    EXPECT_NE(*first, *compile_regex("a+b"));
  }
  EXPECT_EQ(*first, *compile_regex("a+b"));
  EXPECT_FALSE(compile_regex("(").ok());
  EXPECT_FALSE(compile_regex("(").ok());
}

}  // namespace
}  // namespace skald::query::logql
