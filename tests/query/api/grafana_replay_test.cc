// Grafana's requests as data: tests/data/grafana/README.md.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <fstream>

#include "tests/query/api/fixture.h"
#include "tests/query/api/shape.h"

namespace skald::query::api {
namespace {

namespace dom = simdjson::dom;
using testing::differs;

class GrafanaReplay : public testing::ApiFixture {
 protected:
  void load() {
    const char api[] = R"({"service_name":"api","pod":"api-0","level":"info"})";
    for (int i = 1; i <= 20; ++i) {
      const std::string n = std::to_string(i);
      ASSERT_EQ(push_line(api,
                          R"({\"msg\":\"line )" + n + R"(\",\"status\":)" +
                              (i % 4 == 0 ? "500" : "200") + R"(,\"took\":)" + n + "}",
                          60 * i, R"({"trace_id":"t)" + n + "\"}")
                    .status,
                204);
    }
    ASSERT_EQ(push_line(R"({"service_name":"web"})", "GET / 200", 30).status, 204);
  }
};

TEST_F(GrafanaReplay, EveryRequestGetsTheShapeItNeeds) {
  load();
  std::ifstream file(SKALD_SOURCE_DIR "/tests/data/grafana/requests.jsonl");
  int count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    dom::parser cases, answers;
    dom::element request;
    ASSERT_EQ(cases.parse(line).get(request), simdjson::SUCCESS);
    const auto text = [&](const char* key) {
      std::string_view value;
      return request[key].get_string().get(value) == simdjson::SUCCESS ? std::string(value)
                                                                       : std::string();
    };
    SCOPED_TRACE(text("name"));
    std::vector<std::pair<std::string, std::string>> headers;
    dom::object named;
    ASSERT_EQ(request["headers"].get_object().get(named), simdjson::SUCCESS);
    for (const auto member : named) {
      std::string_view value;
      ASSERT_EQ(member.value.get_string().get(value), simdjson::SUCCESS);
      headers.emplace_back(member.key, value);
    }
    const testing::Answer answer = ask(text("method"), text("target"), headers, text("body"));
    std::int64_t status = 0;
    ASSERT_EQ(request["status"].get_int64().get(status), simdjson::SUCCESS);
    EXPECT_EQ(answer.status, status) << answer.body;
    if (!text("type").empty()) {
      EXPECT_EQ(answer.type, text("type"));
    }
    dom::element shape;
    ASSERT_EQ(request["shape"].get(shape), simdjson::SUCCESS);
    std::string_view contains;
    if (shape.get_string().get(contains) == simdjson::SUCCESS) {
      EXPECT_NE(answer.body.find(contains.substr(1)), std::string::npos) << answer.body;
      continue;
    }
    dom::element body;
    ASSERT_EQ(answers.parse(answer.body).get(body), simdjson::SUCCESS) << answer.body;
    EXPECT_EQ(differs(shape, body, ""), "") << answer.body.substr(0, 2000);
    const std::size_t flags = answer.body.find("\"encodingFlags\"");
    if (flags != std::string::npos) {
      EXPECT_LT(answer.body.find("\"resultType\""), flags);
      EXPECT_LT(flags, answer.body.find("\"result\":"));
      EXPECT_LT(flags, answer.body.find("\"stats\""));
    }
  }
  EXPECT_GT(count, 40);
}

TEST_F(GrafanaReplay, SeriesOverflowIsAnErrorButPartialForDrilldown) {
  load();
  settings_->limits.max_query_series = 1;
  const std::string target =
      "/loki/api/v1/query?query=count_over_time(%7Bservice_name=~%22.%2B%22%7D%5B1h%5D)";
  const testing::Answer refused = get(target);
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("maximum number of series (1) reached"), std::string::npos);
  const testing::Answer partial = get(target, {{"x-query-tags", "Source=grafana-lokiexplore-app"}});
  EXPECT_EQ(partial.status, 200);
  EXPECT_NE(partial.body.find("\"warnings\":[\"maximum number of series (1) reached for a single "
                              "query; returning partial results\"]"),
            std::string::npos);
}

TEST_F(GrafanaReplay, DeletesAreCreatedListedAndCancelled) {
  load();
  const std::string window = "&start=1763990000&end=1763999999";
  const testing::Answer made = ask(
      "POST", "/loki/api/v1/delete?query=%7Bservice_name=%22api%22%7D%7C=%22line+7%22" + window);
  ASSERT_EQ(made.status, 204) << made.body;
  const std::string id = made.header("X-Delete-Request-ID");
  ASSERT_FALSE(id.empty());
  const testing::Answer list = get("/loki/api/v1/delete");
  EXPECT_NE(list.body.find("\"request_id\":\"" + id + "\",\"start_time\":1763990000,"),
            std::string::npos)
      << list.body;
  const testing::Answer left =
      get("/loki/api/v1/"
          "query_range?start=1763990000&end=1764000000&query=%7Bservice_name=%22api%22%7D");
  EXPECT_EQ(left.body.find("line 7"), std::string::npos);
  EXPECT_NE(left.body.find("line 6"), std::string::npos);
  EXPECT_EQ(ask("DELETE", "/loki/api/v1/delete?request_id=" + id).status, 204);
  EXPECT_EQ(ask("DELETE", "/loki/api/v1/delete?request_id=nope").status, 404);
  EXPECT_EQ(ask("POST", "/loki/api/v1/delete?query=%7Ba=%22b%22%7D%7Cjson" + window).status, 400);
}

}  // namespace
}  // namespace skald::query::api
