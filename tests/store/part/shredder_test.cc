// A shape is what RFC 8259 says an object is, and joining its pieces gives the line back.

#include "store/part/shredder.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include "store/part/limits.h"
#include "tests/store/part/line_makers.h"

namespace skald::store::part {
namespace {

std::string rebuilt(const JsonShape& shape, const std::string& line,
                    const std::vector<ValueSpan>& spans) {
  std::string out = shape.pieces.literals[0];
  for (std::size_t i = 0; i < spans.size(); ++i)
    out += line.substr(spans[i].offset, spans[i].size) + shape.pieces.literals[i + 1];
  return out;
}

bool is_json(const std::string& line) { return parse_json_shape(line, nullptr).has_value(); }

TEST(Shredder, AcceptsWhatJsonAccepts) {
  for (const char* line :
       {"{}", " { } ", "{\"a\":1}", "{\"a\":-0}", "{\"a\":0.5e-7}", "{\"a\":1E+3}", "{\"\":\"\"}",
        "{\"a\":[],\"b\":{}}", "{\"a\":[1,\"x\",null,[true,false]]}", "{\"a\":1,\"a\":2}",
        "{\"a\":\"\\u00e9\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "{\"a\":\"\\ud83d\\ude00\"}",
        "\t{\"a\"\n:\r\"b\"}", "{\"a\":\"\xc3\xa9\"}", "{\"\xf0\x9f\x98\x80\":1}"})
    EXPECT_TRUE(is_json(line)) << line;
}

TEST(Shredder, RefusesWhatJsonRefuses) {
  for (const char* line : {"",
                           "{",
                           "}",
                           "[]",
                           "1",
                           "null",
                           "\"a\"",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{,}",
                           "{\"a\":01}",
                           "{\"a\":+1}",
                           "{\"a\":1.}",
                           "{\"a\":.5}",
                           "{\"a\":1e}",
                           "{\"a\":-}",
                           "{\"a\":nul}",
                           "{\"a\":True}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\\u12g4\"}",
                           "{\"a\":\"\t\"}",
                           "{\"a\":\"}",
                           "{\"a\":1}{}",
                           "{\"a\":1} x",
                           "{'a':1}",
                           "{\"a\":[1,]}",
                           "{\"a\":[}",
                           "{\"a\":\"\xc3\x28\"}",
                           "{\"a\":\"\xed\xa0\x80\"}",
                           "{\"\xff\":1}",
                           "{\"a\":NaN}",
                           "{\"a\":\"\\ud83d\"}",
                           "{\"a\":\"\\ude00\"}"})
    EXPECT_FALSE(is_json(line)) << line;
}

TEST(Shredder, RefusesDepthAndWidthBeyondTheLimits) {
  std::string deep =
      "{\"a\":" + std::string(kJsonDepthMax - 1, '[') + std::string(kJsonDepthMax - 1, ']') + "}";
  EXPECT_TRUE(is_json(deep));
  deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_FALSE(is_json(deep));
  std::string wide = "{\"a\":[0";
  for (std::uint32_t i = 1; i < kShapeFieldsMax; ++i) wide += ",0";
  EXPECT_TRUE(is_json(wide + "]}"));
  EXPECT_FALSE(is_json(wide + ",0]}"));
}

TEST(Shredder, NamesPathsInOrder) {
  const auto shape =
      parse_json_shape("{\"a\": {\"b\": [\"x\", {\"c\": 1}]}, \"d\": null}", nullptr);
  ASSERT_TRUE(shape);
  const auto& fields = shape->shape.fields;
  ASSERT_EQ(fields.size(), 3U);
  EXPECT_EQ(fields[0].path, (std::vector<PathSegment>{{"a", -1}, {"b", -1}, {"", 0}}));
  EXPECT_EQ(fields[1].path, (std::vector<PathSegment>{{"a", -1}, {"b", -1}, {"", 1}, {"c", -1}}));
  EXPECT_EQ(fields[2].path, (std::vector<PathSegment>{{"d", -1}}));
  EXPECT_EQ(fields[0].syntax, Field::Syntax::kString);
  EXPECT_EQ(fields[2].syntax, Field::Syntax::kToken);
}

// The tree of known shapes and the full parse must agree, on good lines and on spoilt ones; and
// both must agree with another parser about what is JSON.
TEST(Shredder, AgreesWithAFullParseAndWithSimdjson) {
  LineMaker maker(41);
  auto shredder = std::make_unique<Shredder>();
  simdjson::dom::parser other;
  for (int i = 0; i < 20'000; ++i) {
    if (i % 100 == 0) shredder = std::make_unique<Shredder>();  // before its limits are met
    std::string line = maker.below(4) == 0 ? maker.line(i) : maker.json(i);
    if (maker.below(3) == 0 && !line.empty())
      line[maker.below(line.size())] = "\"{}[],:0\\e \x80-.x"[maker.below(16)];
    std::vector<ValueSpan> spans, expected;
    const std::uint32_t number = shredder->shred(line, spans);
    const auto shape = parse_json_shape(line, &expected);
    ASSERT_EQ(number != Shredder::kNoShape, shape.has_value()) << line;
    if (shape) {
      ASSERT_EQ(shredder->shape(number).shape.id, shape->shape.id) << line;
      ASSERT_EQ(rebuilt(shredder->shape(number), line, spans), line);
      ASSERT_EQ(spans.size(), expected.size());
    }
    simdjson::dom::element element;
    const simdjson::error_code error = other.parse(line).get(element);
    // Its numbers must fit its types, and lone surrogates are no error to it.
    if (error == simdjson::NUMBER_ERROR || line.find("\\u") != std::string::npos) continue;
    const bool object = error == simdjson::SUCCESS && element.is_object();
    ASSERT_EQ(object, shape.has_value()) << line;
  }
}

}  // namespace
}  // namespace skald::store::part
