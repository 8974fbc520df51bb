#include <gmock/gmock.h>

#include <limits>

#include "proto/net/http_client.h"
#include "proto/wire/push_encoder.h"
#include "tests/query/api/fixture.h"

namespace skald::query::api {
namespace {

using testing::Answer;
using ::testing::HasSubstr;

class Push : public testing::ApiFixture {
 protected:
  std::string lines(const std::string& query) {
    return get("/loki/api/v1/query_range?start=" + std::to_string(kNow - 3'600'000'000'000) +
               "&end=" + std::to_string(kNow + 1) + "&query=" + query)
        .body;
  }
};

TEST_F(Push, AcceptsWith204AndNoBody) {
  const Answer answer = push_line(R"({"job":"a"})", "hello");
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.body, "");
  EXPECT_THAT(lines("%7Bjob=%22a%22%7D"), HasSubstr("hello"));
}

TEST_F(Push, AnswersRepeatsAndEmptyStreamsWith204ButNoStreamsWith422) {
  EXPECT_EQ(push_line(R"({"job":"a"})", "hello").status, 204);
  EXPECT_EQ(push_line(R"({"job":"a"})", "hello").status, 204);
  EXPECT_EQ(push_json(R"({"streams":[{"stream":{"job":"a"},"values":[]}]})").status, 204);
  const Answer none = push_json(R"({"streams":[]})");
  EXPECT_EQ(none.status, 422);
  EXPECT_THAT(none.body, HasSubstr("error at least one valid stream is required for ingestion"));
}

TEST_F(Push, KeepsTheGoodEntriesAndNamesTheBad) {
  settings_->limits.max_line_size = 10;
  const Answer answer = push_json(
      R"({"streams":[{"stream":{"job":"a"},"values":[["1763999999000000000","short"],)"
      R"(["1763999999000000001","much longer than ten"]]},{"stream":{},"values":[["1","x"]]}]})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("max entry size '10' bytes exceeded for stream '{job=\"a\""));
  EXPECT_THAT(answer.body, HasSubstr("error at least one label pair is required per stream"));
  EXPECT_THAT(lines("%7Bjob=%22a%22%7D"), HasSubstr("short"));
}

TEST_F(Push, NamesTheLimitOfEachRefusal) {
  TenantLimits& limits = settings_->limits;
  limits.max_label_names_per_series = 2;
  limits.max_label_name_length = 10;
  limits.max_label_value_length = 10;
  limits.max_structured_metadata_entries_count = 1;
  limits.max_structured_metadata_size = 20;
  limits.reject_old_samples = true;
  const struct {
    const char* labels;
    int seconds;
    const char* metadata;
    const char* text;
  } cases[] = {
      {R"({"a":"1","b":"2","c":"3"})", 60, "", "has 3 label names; limit 2"},
      {R"({"abcdefghijkl":"1"})", 60, "", "label name too long: 'abcdefghijkl'"},
      {R"({"a":"abcdefghijkl"})", 60, "", "label value too long: 'abcdefghijkl'"},
      {R"({"a":"1"})", 60, R"({"x":"1","y":"2"})", "max_structured_metadata_entries_count"},
      {R"({"a":"1"})", 60, R"({"x":"aaaaaaaaaaaaaaaaaaaaaaaaaaa"})",
       "max_structured_metadata_size"},
      {R"({"a":"1"})", 8 * 86400, "",
       "has timestamp too old: 2025-11-16T16:00:00Z, oldest "
       "acceptable timestamp is: 2025-11-17T16:00:00Z"},
      {R"({"a":"1"})", -3600, "", "has timestamp too new: 2025-11-24T17:00:00Z"},
  };
  for (const auto& c : cases) {
    const Answer answer = push_line(c.labels, "x", c.seconds, c.metadata);
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.body, HasSubstr(c.text));
  }
}

TEST_F(Push, ManyNewStreamsAreRefusedWhileKnownOnesGoOn) {
  settings_->limits.max_global_streams_per_user = 3;
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(push_line("{\"n\":\"" + std::to_string(i) + "\"}", "x").status, 204);
  for (int i = 3; i < 100; ++i) {
    const Answer answer = push_line("{\"n\":\"" + std::to_string(i) + "\"}", "x");
    ASSERT_EQ(answer.status, 429);
    ASSERT_THAT(answer.body, HasSubstr("maximum active stream limit exceeded"));
  }
  EXPECT_EQ(push_line(R"({"n":"1"})", "still").status, 204);
}

TEST_F(Push, KnownStreamsStayActiveOverARestart) {
  EXPECT_EQ(push_line(R"({"n":"1"})", "x").status, 204);
  api_.reset();
  engine_.reset();
  store_.reset();
  settings_->limits.max_global_streams_per_user = 1;
  start();
  EXPECT_EQ(push_line(R"({"n":"2"})", "x").status, 429);
  EXPECT_EQ(push_line(R"({"n":"1"})", "y").status, 204);
}

TEST_F(Push, AFullDiskIs507WithRetryAfterAndQueriesGoOn) {
  EXPECT_EQ(push_line(R"({"job":"a"})", "before").status, 204);
  const auto restart = [this](std::uint64_t disk_free_min) {
    api_.reset();
    engine_.reset();
    store_.reset();
    disk_free_min_ = disk_free_min;
    start();
  };
  restart(std::numeric_limits<std::uint64_t>::max());
  const Answer answer = push_line(R"({"job":"a"})", "after");
  EXPECT_EQ(answer.status, 507);
  EXPECT_THAT(answer.headers, ::testing::Contains(::testing::Pair("Retry-After", "30")));
  EXPECT_THAT(answer.body, HasSubstr("free"));
  EXPECT_THAT(lines("%7Bjob=%22a%22%7D"), HasSubstr("before"));
  restart(0);
  EXPECT_EQ(push_line(R"({"job":"a"})", "after").status, 204);
}

TEST_F(Push, HoldsTenantAndStreamToTheirRates) {
  settings_->limits.ingestion_rate_mb = 0.001;
  settings_->limits.ingestion_burst_size_mb = 0.001;
  const std::string kilobyte(900, 'x');
  EXPECT_EQ(push_line(R"({"n":"1"})", kilobyte, 1).status, 204);
  const Answer answer = push_line(R"({"n":"1"})", kilobyte, 2);
  EXPECT_EQ(answer.status, 429);
  EXPECT_THAT(answer.body, HasSubstr("ingestion rate limit exceeded for user fake"));
  clock_.advance_ns(1'000'000'000);
  EXPECT_EQ(push_line(R"({"n":"1"})", kilobyte, 2).status, 204);
  settings_->limits.ingestion_rate_mb = 0;
  settings_->limits.per_stream_rate_limit = 1000;
  settings_->limits.per_stream_rate_limit_burst = 1000;
  EXPECT_EQ(push_line(R"({"n":"1"})", kilobyte, 3).status, 204);
  EXPECT_EQ(push_line(R"({"n":"1"})", kilobyte, 4).status, 429);
  EXPECT_EQ(push_line(R"({"n":"2"})", kilobyte, 4).status, 204);
}

TEST_F(Push, DiscoversServiceNameAndLevel) {
  EXPECT_EQ(push_line(R"({"app":"web"})", R"({\"level\":\"WARNING\"})").status, 204);
  EXPECT_EQ(push_line(R"({"x":"y"})", "lvl=err msg=boo").status, 204);
  EXPECT_EQ(push_line(R"({"z":"y","level":"Fatal"})", "plain").status, 204);
  const std::string all = lines("%7Bservice_name=~%22.%2B%22%7D");
  EXPECT_THAT(all, HasSubstr(R"({"app":"web","detected_level":"warn","service_name":"web"})"));
  EXPECT_THAT(all,
              HasSubstr(R"({"detected_level":"error","service_name":"unknown_service","x":"y"})"));
  EXPECT_THAT(all, HasSubstr(R"("detected_level":"fatal")"));
  settings_->limits.discover_service_name.clear();
  settings_->limits.discover_log_levels = false;
  EXPECT_EQ(push_line(R"({"bare":"1"})", "info").status, 204);
  EXPECT_THAT(lines("%7Bbare=%221%22%7D"), HasSubstr(R"("stream":{"bare":"1"})"));
}

TEST_F(Push, AnswersOtlpErrorsAsStatusMessages) {
  const Answer bad = ask("POST", "/otlp/v1/logs", {{"content-type", "application/json"}}, "{");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.type, "application/x-protobuf");
  EXPECT_EQ(bad.body[0], '\x12');
  const Answer empty = ask("POST", "/otlp/v1/logs", {{"content-type", "application/json"}}, "{}");
  EXPECT_EQ(empty.status, 422);
  const Answer good = ask(
      "POST", "/otlp/v1/logs", {{"content-type", "application/json"}},
      R"({"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},)"
      R"("scopeLogs":[{"logRecords":[{"timeUnixNano":"1763999999000000000","body":{"stringValue":"otlp line"}}]}]}]})");
  EXPECT_EQ(good.status, 204) << good.body;
  EXPECT_THAT(lines("%7Bservice_name=%22s%22%7D"), HasSubstr("otlp line"));
}

TEST_F(Push, ABatchWithMarksIsStoredOnceAndConflictsAreToldWithTheMarks) {
  const auto send = [&](std::uint64_t start, std::uint64_t end, const std::string& line) {
    model::PushBatch batch;
    batch.streams.push_back({{{"job", "m"}}, {{kNow - 5, line, nullptr}}});
    batch.marks.push_back({"agent", "file", start, end});
    std::string body, packed;
    wire::append_batch(body, batch);
    EXPECT_TRUE(wire::ZstdCompressor().compress(body, packed).ok());
    return ask("POST", "/loki/api/v1/push",
               {{"content-type", "application/x-protobuf"}, {"content-encoding", "zstd"}}, packed);
  };
  EXPECT_EQ(send(0, 10, "one").status, 204);
  EXPECT_EQ(send(0, 10, "one").status, 204);
  EXPECT_EQ(get("/skald/v1/marks?agent=agent").body, R"([{"file_id":"file","end_offset":10}])");
  const Answer gap = send(20, 30, "two");
  EXPECT_EQ(gap.status, 409);
  EXPECT_EQ(gap.body, R"([{"file_id":"file","end_offset":10}])");
  const std::string all = lines("%7Bjob=%22m%22%7D");
  EXPECT_EQ(all.find("\"one\""), all.rfind("\"one\""));
  EXPECT_EQ(all.find("two"), std::string::npos);
}

TEST_F(Push, TenantsDoNotSeeEachOther) {
  settings_->auth_enabled = true;
  EXPECT_EQ(push_line(R"({"job":"a"})", "x").status, 401);
  EXPECT_EQ(
      push_json(R"({"streams":[{"stream":{"j":"1"},"values":[["1763999999000000000","secret"]]}]})",
                {{"x-scope-orgid", "t1"}})
          .status,
      204);
  const std::string query = "/loki/api/v1/query_range?query=%7Bj=%221%22%7D";
  EXPECT_THAT(get(query, {{"x-scope-orgid", "t1"}}).body, HasSubstr("secret"));
  EXPECT_EQ(get(query, {{"x-scope-orgid", "t2"}}).body.find("secret"), std::string::npos);
  EXPECT_THAT(get(query, {{"x-scope-orgid", "t1|t2"}}).body, HasSubstr(R"("__tenant_id__":"t1")"));
  EXPECT_EQ(get(query).status, 401);
  EXPECT_EQ(get(query, {{"x-scope-orgid", "a/b"}}).status, 400);
  EXPECT_EQ(push_json(R"({"streams":[]})", {{"x-scope-orgid", "t1|t2"}}).status, 400);
}

// Lines of two tenants: one of t1, two of t2, all with job="a".
class SeveralTenants : public testing::ApiFixture {
 protected:
  void load() {
    settings_->auth_enabled = true;
    int seconds = 3;
    for (const char* tenant : {"t1", "t2", "t2"}) {
      const std::string time = std::to_string(kNow - seconds * base::kNsPerSecond);
      EXPECT_EQ(push_json(R"({"streams":[{"stream":{"job":"a"},"values":[[")" + time +
                              R"(","line )" + std::to_string(seconds--) + R"("]]}]})",
                          {{"x-scope-orgid", tenant}})
                    .status,
                204);
    }
  }
  std::string ask(const std::string& route, const std::string& query) {
    return get("/loki/api/v1/" + route + "&query=" + net::percent_encode(query),
               {{"x-scope-orgid", "t1|t2"}})
        .body;
  }
  std::string instant(const std::string& query) {
    return ask("query?time=" + std::to_string(kNow), query);
  }
};

TEST_F(SeveralTenants, AggregateAsOne) {
  load();
  EXPECT_THAT(instant(R"(sum(count_over_time({job="a"}[1m])))"),
              HasSubstr(R"("result":[{"metric":{},"value":[1764000000,"3"]}])"));
  const std::string by = instant(R"(sum by (__tenant_id__) (count_over_time({job="a"}[1m])))");
  EXPECT_THAT(by, HasSubstr(R"({"metric":{"__tenant_id__":"t1"},"value":[1764000000,"1"]})"));
  EXPECT_THAT(by, HasSubstr(R"({"metric":{"__tenant_id__":"t2"},"value":[1764000000,"2"]})"));
}

TEST_F(SeveralTenants, HaveTheirPatternsInCommon) {
  load();
  const std::string range =
      "patterns?step=3600s&start=" + std::to_string(kNow - 60 * base::kNsPerSecond) +
      "&end=" + std::to_string(kNow);
  EXPECT_THAT(ask(range, R"({job="a"})"), HasSubstr(R"({"pattern":"line <_>","level":)"));
  EXPECT_THAT(ask(range, R"({job="a"})"), HasSubstr(",3]]}"));
}

TEST_F(SeveralTenants, AMatcherChoosesAmongThem) {
  load();
  EXPECT_THAT(instant(R"(sum(count_over_time({job="a", __tenant_id__="t2"}[1m])))"),
              HasSubstr(R"("2"]}])"));
  EXPECT_THAT(instant(R"(sum(count_over_time({job="a", __tenant_id__!~"t.*"}[1m])))"),
              HasSubstr(R"("result":[])"));
}

TEST_F(SeveralTenants, TheLimitCountsEntriesOfAll) {
  load();
  const std::string range =
      "query_range?limit=2&start=" + std::to_string(kNow - 60 * base::kNsPerSecond) +
      "&end=" + std::to_string(kNow);
  const std::string newest = ask(range, R"({job="a"})");
  EXPECT_THAT(newest, HasSubstr("line 1"));
  EXPECT_THAT(newest, HasSubstr("line 2"));
  EXPECT_EQ(newest.find("line 3"), std::string::npos);
  const std::string oldest = ask(range + "&direction=forward", R"({job="a"})");
  EXPECT_THAT(oldest, HasSubstr("line 3"));
  EXPECT_EQ(oldest.find("line 1\""), std::string::npos);
}

TEST_F(SeveralTenants, TheStrictestLimitHolds) {
  load();
  settings_->overrides["t2"] = settings_->limits;
  settings_->overrides["t2"].max_query_length_ns = base::kNsPerSecond;
  EXPECT_THAT(ask("query_range?since=1h", R"({job="a"})"),
              HasSubstr("the query time range exceeds the limit"));
}

TEST_F(Push, QueryLimitsOfTheHeaderAreHeldTo) {
  EXPECT_EQ(push_line(R"({"job":"a"})", std::string(2000, 'x')).status, 204);
  const std::string base =
      "/loki/api/v1/query_range?start=" + std::to_string(kNow - 3'600'000'000'000) + "&query=";
  const struct {
    const char* header;
    const char* query;
    const char* text;
  } cases[] = {
      {R"({"maxQueryLength":"30m"})", R"({job="a"})", "the query time range exceeds the limit"},
      {R"({"maxEntriesLimitPerQuery":10})", R"({job="a"})", "max entries limit per query exceeded"},
      {R"({"maxQueryInterval":"1m"})", R"(rate({job="a"}[5m]))",
       "[interval] value exceeds limit: [5m] > [1m]"},
      {R"({"requiredLabels":["app"]})", R"({job="a"})",
       "stream selector is missing required matchers [app], labels present in the query were "
       "[job]"},
      {R"({"minimumLabelsNumber":2})", R"({job="a"})", "less label matchers than required"},
      {R"({"maxQueryBytesRead":"1kB"})", R"({job="a"})",
       "the query would read too many bytes (query: 2kB, limit: 1kB)"},
  };
  for (const auto& c : cases) {
    const std::string target = base + net::percent_encode(c.query);
    EXPECT_EQ(get(target).status, 200) << c.query;
    const Answer refused = get(target, {{"x-loki-query-limits", c.header}});
    EXPECT_EQ(refused.status, 400) << c.header;
    EXPECT_THAT(refused.body, HasSubstr(c.text)) << c.header;
  }
}

}  // namespace
}  // namespace skald::query::api
