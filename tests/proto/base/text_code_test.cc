#include "proto/base/text_code.h"

#include <gtest/gtest.h>

namespace skald::base {
namespace {

TEST(TextCode, HexHasTwoDigitsForEveryByte) {
  EXPECT_EQ(hex_encode(""), "");
  EXPECT_EQ(hex_encode(std::string_view("\x00\x0f\xa0\xff", 4)), "000fa0ff");
  std::string upper;
  append_hex(upper, '\xAB', kUpperHexDigits);
  EXPECT_EQ(upper, "AB");
}

// The vectors of RFC 4648, section 10.
TEST(TextCode, Base64IsPaddedToFourDigits) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {"\xff\xfe", "//4="}};
  for (const auto& [bytes, text] : cases) EXPECT_EQ(base64_encode(bytes), text) << bytes;
}

TEST(TextCode, JsonStringsAreEscapedAndAlwaysValid) {
  const std::pair<std::string_view, const char*> cases[] = {
      {"", R"("")"},
      {"plain é 日本", "\"plain é 日本\""},
      {"a\"b\\c/", R"("a\"b\\c/")"},
      {"\n\r\t", R"("\n\r\t")"},
      {std::string_view("\0\x1f\x7f", 3), "\"\\u0000\\u001f\x7f\""},
      {"x\xffy\xc3(", "\"x\xEF\xBF\xBDy\xEF\xBF\xBD(\""},
      {"\xed\xa0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},  // a surrogate half
  };
  for (const auto& [text, json] : cases) {
    std::string out;
    append_json_string(out, text);
    EXPECT_EQ(out, json);
  }
}

}  // namespace
}  // namespace skald::base
