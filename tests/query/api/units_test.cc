// The parts of the API that need no store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "proto/base/text_code.h"
#include "proto/net/http_client.h"
#include "query/api/auth.h"
#include "query/api/field_detect.h"
#include "query/api/json_out.h"
#include "query/api/level_detect.h"
#include "query/api/params.h"
#include "query/api/pattern_miner.h"
#include "query/api/query_limits.h"
#include "query/api/result_json.h"
#include "query/api/tenant_limits.h"

namespace skald::query::api {
namespace {

TEST(ParseTime, TellsSecondsFromNanosecondsByLength) {
  const struct {
    const char* text;
    std::int64_t ns;
  } cases[] = {{"4000000000", 4'000'000'000'000'000'000},
               {"1700000000", 1'700'000'000'000'000'000},
               {"1700000000000000000", 1'700'000'000'000'000'000},
               {"17000000000", 17'000'000'000},
               {"1700000000.5", 1'700'000'000'500'000'000},
               {"2023-11-14T22:13:20Z", 1'700'000'000'000'000'000},
               {"2023-11-14T23:13:20.123456789+01:00", 1'700'000'000'123'456'789},
               {"9999999999", INT64_MAX - (std::int64_t{1} << 61)},
               {"-5", 0}};
  for (const auto& c : cases) {
    const auto time = parse_time(c.text);
    ASSERT_TRUE(time.ok()) << c.text;
    EXPECT_EQ(*time, c.ns) << c.text;
  }
  for (const char* bad : {"", "x", "2023-11-14", "1.5.5", "99999999999999999999"})
    EXPECT_FALSE(parse_time(bad).ok()) << bad;
}

TEST(ParseStep, ReadsFloatsAndDurations) {
  for (const auto& [text, ns] :
       std::initializer_list<std::pair<const char*, std::int64_t>>{{"15", 15'000'000'000},
                                                                   {"0.5", 500'000'000},
                                                                   {"15000ms", 15'000'000'000},
                                                                   {"1m0s", 60'000'000'000},
                                                                   {"1h30m", 5'400'000'000'000},
                                                                   {"1d", 86'400'000'000'000}}) {
    const auto step = parse_step(text, "step");
    ASSERT_TRUE(step.ok()) << text;
    EXPECT_EQ(*step, ns) << text;
  }
  EXPECT_FALSE(parse_step("soon", "step").ok());
}

TEST(ParseDirection, IgnoresCase) {
  EXPECT_EQ(*parse_direction("FORWARD"), model::Direction::kForward);
  EXPECT_EQ(*parse_direction(""), model::Direction::kBackward);
  EXPECT_FALSE(parse_direction("up").ok());
}

TEST(Json, EscapesAndReplacesWhatIsNotUtf8) {
  std::string out;
  append_json_string(out, std::string("a\"\\\n\x01\xff\xc3\xa9", 8));
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\xEF\xBF\xBD\xC3\xA9\"");
}

TEST(Json, WritesNumbersAsPrometheusDoes) {
  const auto value = [](double v) {
    std::string out;
    append_sample_value(out, v);
    return out;
  };
  EXPECT_EQ(value(1), "1");
  EXPECT_EQ(value(0.1), "0.1");
  EXPECT_EQ(value(1e21), "1000000000000000000000");
  EXPECT_EQ(value(NAN), "NaN");
  EXPECT_EQ(value(-INFINITY), "-Inf");
  std::string out;
  append_seconds(out, 1'700'000'000'120);
  append_seconds(out, -1500);
  EXPECT_EQ(out, "1700000000.12-1.5");
}

TEST(FoldLabels, RegroupsAndKeepsOrder) {
  std::vector<LogStream> streams(2);
  streams[0].labels = {{"a", "1"}};
  streams[0].entries = {{30, "x", {{"m", "1"}}, {}}, {20, "y", {}, {{"p", "q"}}}};
  streams[1].labels = {{"a", "1"}, {"m", "1"}};
  streams[1].entries = {{40, "z", {}, {}}, {10, "w", {}, {}}};
  const auto folded = fold_labels(streams, model::Direction::kBackward);
  ASSERT_EQ(folded.size(), 2U);
  EXPECT_EQ(folded[0].labels().to_string(), R"({a="1", m="1"})");
  ASSERT_EQ(folded[0].entries.size(), 3U);
  EXPECT_EQ(folded[0].entries[0]->line, "z");
  EXPECT_EQ(folded[0].entries[1]->line, "x");
  EXPECT_EQ(folded[1].labels().to_string(), R"({a="1", p="q"})");
}

class PieceSink final : public net::BodySink {
 public:
  base::Status write(std::string_view bytes) override {
    largest = std::max(largest, bytes.size());
    total += bytes.size();
    return {};
  }
  std::size_t largest = 0, total = 0;
};

TEST(WriteResult, LeavesInPiecesWhateverItsSize) {
  constexpr std::size_t kPieceMax = 40U << 10;  // a buffer of 32 KiB and what fills it
  Streams streams;
  streams.streams.emplace_back();
  for (int i = 0; i < 10'000; ++i)
    streams.streams[0].entries.push_back({i, std::string(500, 'a'), {}, {}});
  Series series;
  for (int i = 0; i < 200'000; ++i) series.samples.push_back({i * 1000, i / 7.0});
  std::vector<Series> many(20'000);
  for (Series& one : many) one.samples.push_back({1000, 1});
  std::vector<QueryResult> results(3);
  results[0].data = std::move(streams);
  results[1].data = Matrix{{series}};
  results[2].data = Vector{std::move(many)};
  for (QueryResult& result : results) {
    PieceSink sink;
    ASSERT_TRUE(write_result(result, false, model::Direction::kForward, sink).ok());
    EXPECT_GT(sink.total, 500'000U);
    EXPECT_LT(sink.largest, kPieceMax);
  }
}

TEST(DetectLevel, FollowsLokisRules) {
  const std::vector<std::string> fields = TenantLimits().log_level_fields;
  const struct {
    const char* line;
    const char* level;
  } cases[] = {{R"({"level":"INFO"})", "info"},
               {R"({"a":{"severity":"wrn"}})", "warn"},
               {R"({"a":{"b":{"level":"error"}}})", "error"},  // found as a word, not as a key
               {R"({"level":5,"msg":"all fine"})", "unknown"},
               {R"({"level":"odd","msg":"error here"})", "error"},
               {"ts=1 Level=debug x=\"y z\"", "debug"},
               {"lvl=\"TRACE\"", "trace"},
               {"[ERROR] it broke", "error"},
               {"misc:error", "unknown"},
               {"terror strikes", "unknown"},
               {"info then error", "info"},
               {"", "unknown"}};
  for (const auto& c : cases) EXPECT_EQ(detect_level(c.line, fields), c.level) << c.line;
  EXPECT_EQ(level_of_severity("9"), "info");
  EXPECT_EQ(level_of_severity("0"), "unknown");
  EXPECT_EQ(normalize_level("NOTICE"), "NOTICE");
}

TEST(DetectType, TriesTheNarrowestFirst) {
  const struct {
    const char* value;
    const char* type;
  } cases[] = {{"1", "int"},      {"1.5", "float"}, {"true", "boolean"}, {"5ms", "duration"},
               {"10KB", "bytes"}, {"x", "string"},  {"", "string"}};
  for (const auto& c : cases) EXPECT_EQ(detect_type(c.value), c.type) << c.value;
}

TEST(PatternMiner, FindsTemplates) {
  PatternMiner miner;
  for (int i = 0; i < 100; ++i) {
    miner.count(miner.add("user u" + std::to_string(i) + " logged in from web"), 0, 1);
    miner.count(miner.add("query took " + std::to_string(i * 7) + "ms"), 10'000, 1);
  }
  std::vector<std::string> texts;
  for (const auto& cluster : miner.clusters()) texts.push_back(cluster.text());
  EXPECT_THAT(texts,
              ::testing::UnorderedElementsAre("user <_> logged in from web", "query took <_>"));
  EXPECT_EQ(miner.clusters()[0].lines, 100U);
}

TEST(Authenticator, ChecksPasswordsTokensScopesAndTenants) {
  AuthSettings settings;
  // crypt(3) of "secret", SHA-512 (fast enough for a test).
  settings.users.push_back(
      {"ann",
       "$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY"
       "/x8v0/crpIjl8NJSAqXV/",
       "",
       kQuery,
       {"t1"}});
  settings.users.push_back({"", "", sha256_hex("token-1"), kPush, {}});
  Authenticator authenticator;
  const auto check = [&](const char* header, Scope scope, const char* tenant) {
    net::ServerRequest request;
    if (header != nullptr) request.headers.emplace_back("authorization", header);
    return authenticator.check(settings, request, scope, {tenant}).code();
  };
  using base::Code;
  EXPECT_EQ(check(nullptr, kQuery, "t1"), Code::kUnauthenticated);
  EXPECT_EQ(check(nullptr, kOpen, "t1"), Code::kOk);
  EXPECT_EQ(check("Bearer token-1", kPush, "t9"), Code::kOk);
  EXPECT_EQ(check("bearer token-1", kQuery, "t9"), Code::kPermissionDenied);
  EXPECT_EQ(check("Bearer token-2", kPush, "t9"), Code::kUnauthenticated);
  EXPECT_EQ(check("Basic YW5uOnNlY3JldA==", kQuery, "t1"), Code::kOk);  // ann:secret
  EXPECT_EQ(check("Basic YW5uOnNlY3JldA==", kQuery, "t1"), Code::kOk);  // remembered
  EXPECT_EQ(check("Basic YW5uOnNlY3JldA==", kQuery, "t2"), Code::kPermissionDenied);
  EXPECT_EQ(check("Basic YW5uOnNlY3JldA==", kAdmin, "t1"), Code::kPermissionDenied);
  EXPECT_EQ(check("Basic YW5uOndyb25n", kQuery, "t1"), Code::kUnauthenticated);  // ann:wrong
  EXPECT_EQ(check("Basic bm9ib2R5OnNlY3JldA==", kQuery, "t1"), Code::kUnauthenticated);  // nobody
  EXPECT_EQ(check("Basic !!!!", kQuery, "t1"), Code::kUnauthenticated);
}

TEST(Authenticator, ChecksArgon2AndBcryptHashes) {
  AuthSettings settings;
  for (const auto& [name, hash] : {
           std::pair("argon2", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$ksyymBktxhBPob64O6We0Q"),
           std::pair("bcrypt", "$2b$04$1hWsTOtKjDAnTg1yglsp7us/ic87CJw6XZwwcAdwuSlKavPFbNssW"),
       })
    settings.users.push_back({name, hash, "", kQuery, {}});
  Authenticator authenticator;
  const auto check = [&](const std::string& credentials) {
    net::ServerRequest request;
    request.headers.emplace_back("authorization", "Basic " + base::base64_encode(credentials));
    return authenticator.check(settings, request, kQuery, {"t"}).code();
  };
  for (const std::string name : {"argon2", "bcrypt"}) {
    EXPECT_EQ(check(name + ":secret"), base::Code::kOk) << name;
    EXPECT_EQ(check(name + ":wrong"), base::Code::kUnauthenticated) << name;
    EXPECT_EQ(check(name + ":"), base::Code::kUnauthenticated) << name;
  }
}

TEST(QueryLimits, TheHeaderNarrowsAndNeverWidens) {
  QueryLimits limits;
  limits.entries = 100;
  limits.length_ns = 3600 * base::kNsPerSecond;
  narrow(limits, R"({"maxEntriesLimitPerQuery": 5000, "maxQueryLength": "30m", "maxQueryTime": "5s",
                     "maxQueryInterval": "1h", "maxQueryLookback": "1d", "maxQueryBytesRead": "2kB",
                     "requiredLabels": ["app", 7], "minimumLabelsNumber": 2, "unknown": {}})");
  EXPECT_EQ(limits.entries, 100U);
  EXPECT_EQ(limits.length_ns, 1800 * base::kNsPerSecond);
  EXPECT_EQ(limits.timeout_ns, 5 * base::kNsPerSecond);
  EXPECT_EQ(limits.range_ns, 3600 * base::kNsPerSecond);
  EXPECT_EQ(limits.lookback_ns, 86400 * base::kNsPerSecond);
  EXPECT_EQ(limits.bytes_read, 2000U);
  EXPECT_EQ(limits.required_labels, std::vector<std::string>{"app"});
  EXPECT_EQ(limits.minimum_labels, 2U);
  for (const char* nonsense : {"", "{", "[]", "7", R"({"maxQueryLength": 5, "maxQueryTime": "x"})",
                               R"({"maxEntriesLimitPerQuery": -1})"}) {
    QueryLimits same;
    same.entries = 100;
    narrow(same, nonsense);
    EXPECT_EQ(same.entries, 100U) << nonsense;
    EXPECT_EQ(same.length_ns + same.timeout_ns, 0) << nonsense;
  }
}

}  // namespace
}  // namespace skald::query::api
