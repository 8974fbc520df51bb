// What clients rely on, case by case: tests/data/clients/README.md.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <fstream>
#include <set>

#include "tests/query/api/fixture.h"
#include "tests/query/api/shape.h"

namespace skald::query::api {
namespace {

namespace dom = simdjson::dom;
using testing::Answer;

// Items whose test is elsewhere: 22, the rule API: RulerTest.ApiKeepsGroups and
// ApiRefusesWhatIsWrong. (23, of which frames, pings and close codes are in tail_test.cc, and 16,
// where a failing store answers 503, have more tests than the cases.)
const std::set<std::int64_t> kElsewhere = {22};

std::string text_of(dom::element object, const char* key) {
  std::string_view value;
  return object[key].get_string().get(value) == simdjson::SUCCESS ? std::string(value)
                                                                  : std::string();
}

std::string from_base64(std::string_view text) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0, count = 0;
  for (const char c : text) {
    const auto digit = kDigits.find(c);
    if (digit == std::string_view::npos) break;
    bits = bits << 6 | static_cast<unsigned>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return out;
}

class Checklist : public testing::ApiFixture {
 protected:
  void apply(dom::element settings) {
    bool discover = true;
    if (settings["discover"].get_bool().get(discover) == simdjson::SUCCESS && !discover) {
      settings_->limits.discover_service_name.clear();
      settings_->limits.discover_log_levels = false;
    }
    std::uint64_t series = 0;
    if (settings["max_query_series"].get_uint64().get(series) == simdjson::SUCCESS)
      settings_->limits.max_query_series = series;
    double rate = 0;
    if (settings["ingestion_rate_mb"].get_double().get(rate) == simdjson::SUCCESS)
      settings_->limits.ingestion_rate_mb = settings_->limits.ingestion_burst_size_mb = rate;
  }

  Answer send(dom::element step) {
    std::vector<std::pair<std::string, std::string>> headers;
    dom::object named;
    if (step["headers"].get_object().get(named) == simdjson::SUCCESS)
      for (const auto member : named) {
        std::string_view value;
        EXPECT_EQ(member.value.get_string().get(value), simdjson::SUCCESS);
        headers.emplace_back(member.key, value);
      }
    std::string body = text_of(step, "body");
    if (body.empty()) body = from_base64(text_of(step, "body_base64"));
    return ask(text_of(step, "method"), text_of(step, "target"), headers, body);
  }

  static void check(dom::element step, const Answer& answer);
  static void check_texts(dom::element step, const Answer& answer);
  static void check_fields(dom::object fields, const Answer& answer);
};

void Checklist::check(dom::element step, const Answer& answer) {
  std::int64_t status = 0;
  ASSERT_EQ(step["status"].get_int64().get(status), simdjson::SUCCESS);
  ASSERT_EQ(answer.status, status) << answer.body;
  if (const std::string type = text_of(step, "type"); !type.empty()) {
    EXPECT_EQ(answer.type, type);
  }
  check_texts(step, answer);
  dom::element shape;
  if (step["shape"].get(shape) == simdjson::SUCCESS) {
    dom::parser parser;
    dom::element body;
    ASSERT_EQ(parser.parse(answer.body).get(body), simdjson::SUCCESS) << answer.body;
    EXPECT_EQ(testing::differs(shape, body, ""), "") << answer.body.substr(0, 2000);
  }
  dom::object fields;
  if (step["fields"].get_object().get(fields) == simdjson::SUCCESS) check_fields(fields, answer);
}

void Checklist::check_texts(dom::element step, const Answer& answer) {
  std::string_view text;
  if (step["exact"].get_string().get(text) == simdjson::SUCCESS) {
    EXPECT_EQ(answer.body, text);
  }
  if (step["contains"].get_string().get(text) == simdjson::SUCCESS) {
    EXPECT_NE(answer.body.find(text), std::string::npos) << answer.body;
  }
  dom::array texts;
  std::size_t at = 0;
  if (step["order"].get_array().get(texts) == simdjson::SUCCESS)
    for (const dom::element one : texts) {
      ASSERT_EQ(one.get_string().get(text), simdjson::SUCCESS);
      const std::size_t found = answer.body.find(text);
      ASSERT_NE(found, std::string::npos) << text << " in " << answer.body;
      EXPECT_GE(found, at) << text;
      at = found;
    }
  if (step["without"].get_array().get(texts) == simdjson::SUCCESS)
    for (const dom::element one : texts) {
      ASSERT_EQ(one.get_string().get(text), simdjson::SUCCESS);
      EXPECT_EQ(answer.body.find(text), std::string::npos) << answer.body;
    }
  if (step["count"].get_array().get(texts) == simdjson::SUCCESS) {
    std::int64_t want = 0, got = 0;
    ASSERT_EQ(texts.at(0).get_string().get(text), simdjson::SUCCESS);
    ASSERT_EQ(texts.at(1).get_int64().get(want), simdjson::SUCCESS);
    for (at = answer.body.find(text); at != std::string::npos; at = answer.body.find(text, at + 1))
      ++got;
    EXPECT_EQ(got, want) << text << " in " << answer.body;
  }
}

void Checklist::check_fields(dom::object fields, const Answer& answer) {
  dom::parser parser;
  dom::array found;
  ASSERT_EQ(parser.parse(answer.body)["fields"].get_array().get(found), simdjson::SUCCESS);
  for (const auto wanted : fields) {
    std::string got = "missing";
    for (const dom::element field : found) {
      if (text_of(field, "label") != wanted.key) continue;
      dom::element parsers, path;
      got = "[\"" + text_of(field, "type") + "\"";
      got +=
          "," + (field["parsers"].get(parsers) == simdjson::SUCCESS ? simdjson::to_string(parsers)
                                                                    : std::string("no parsers"));
      got += "," + (field["jsonPath"].get(path) == simdjson::SUCCESS ? simdjson::to_string(path)
                                                                     : std::string("null"));
      got += "]";
    }
    EXPECT_EQ(got, simdjson::to_string(wanted.value)) << wanted.key;
  }
}

TEST_F(Checklist, EveryItemHoldsAndHasACase) {
  std::ifstream file(SKALD_SOURCE_DIR "/tests/data/clients/checklist.jsonl");
  std::set<std::int64_t> seen = kElsewhere;
  for (std::string line; std::getline(file, line);) {
    dom::parser parser;
    dom::element one, settings;
    ASSERT_EQ(parser.parse(line).get(one), simdjson::SUCCESS);
    std::int64_t item = 0;
    ASSERT_EQ(one["item"].get_int64().get(item), simdjson::SUCCESS);
    seen.insert(item);
    TearDown();
    SetUp();
    if (one["settings"].get(settings) == simdjson::SUCCESS) apply(settings);
    dom::array steps;
    ASSERT_EQ(one["steps"].get_array().get(steps), simdjson::SUCCESS);
    int number = 0;
    for (const dom::element step : steps) {
      SCOPED_TRACE(std::to_string(item) + ": " + text_of(one, "name") + ", step " +
                   std::to_string(++number) + ": " + text_of(step, "target"));
      check(step, send(step));
    }
  }
  for (std::int64_t item = 1; item <= 25; ++item) EXPECT_TRUE(seen.contains(item)) << item;
}

}  // namespace
}  // namespace skald::query::api
