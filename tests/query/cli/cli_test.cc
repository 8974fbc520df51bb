#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "query/cli/answer.h"
#include "query/cli/client.h"
#include "query/cli/commands.h"
#include "query/cli/options.h"

namespace skald::query::cli {
namespace {

constexpr std::int64_t kNow = 1'763'611'200'000'000'000;

base::Result<Options> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "skaldctl");
  const base::ManualClock clock(kNow);
  return parse_options(static_cast<int>(arguments.size()), arguments.data(), clock);
}

// A Loki of a few entries: answers query_range as the contract says, newest or oldest first.
class FakeServer final : public net::HttpTransport {
 public:
  std::vector<std::pair<std::int64_t, std::string>> entries;  // sorted by time
  std::vector<net::HttpRequest> requests;
  std::deque<net::HttpResponse> canned;  // used first

  base::Result<net::HttpResponse> exchange(const net::HttpRequest& request) override {
    requests.push_back(request);
    if (!canned.empty()) {
      net::HttpResponse response = canned.front();
      canned.pop_front();
      return response;
    }
    const std::int64_t start = parameter(request.url, "start");
    const std::int64_t end = parameter(request.url, "end");
    const auto limit = static_cast<std::size_t>(parameter(request.url, "limit"));
    const bool forward = request.url.find("direction=FORWARD") != std::string::npos;
    auto order = entries;
    if (!forward) std::reverse(order.begin(), order.end());
    std::string values;
    std::size_t taken = 0;
    for (const auto& [time, line] : order) {
      if (time < start || time >= end || taken == limit) continue;
      ++taken;
      if (!values.empty()) values += ',';
      values += "[\"" + std::to_string(time) + "\",\"" + line + "\"]";
    }
    net::HttpResponse response;
    response.status = 200;
    response.body = R"({"status":"success","data":{"resultType":"streams","result":[)"
                    R"({"stream":{"job":"a"},"values":[)" +
                    values + "]}]}}";
    return response;
  }
  void cancel() override {}

 private:
  static std::int64_t parameter(const std::string& url, const std::string& name) {
    const std::size_t at = url.find(name + "=");
    return at == std::string::npos ? 0 : std::stoll(url.substr(at + name.size() + 1));
  }
};

struct Output {
  std::string out, err;
  Io io{[this](std::string_view text) { out += text; },
        [this](std::string_view text) { err += text; }};
};

TEST(Options, TimesComeFromSinceFromAndTo) {
  auto options = parse({"query", "{a=\"b\"}", "--since", "2h"});
  ASSERT_TRUE(options.ok()) << options.status().to_string();
  EXPECT_EQ(options->command, Command::kQuery);
  EXPECT_EQ(options->end_ns, kNow);
  EXPECT_EQ(options->start_ns, kNow - 7200 * base::kNsPerSecond);
  options = parse({"query", "{a=\"b\"}", "--from", "2025-11-20T03:00:00Z", "--to", "1763611199"});
  ASSERT_TRUE(options.ok()) << options.status().to_string();
  EXPECT_EQ(options->start_ns, kNow - 3600 * base::kNsPerSecond);
  EXPECT_EQ(options->end_ns, kNow - base::kNsPerSecond);
}

TEST(Options, GlobalFlagsMayFollowTheCommand) {
  const auto options =
      parse({"labels", "level", "--addr", "http://x:1/", "-o", "raw", "--org-id", "t"});
  ASSERT_TRUE(options.ok()) << options.status().to_string();
  EXPECT_EQ(options->addr, "http://x:1");
  EXPECT_EQ(options->output, OutputMode::kRaw);
  EXPECT_EQ(options->org_id, "t");
  EXPECT_EQ(options->name, "level");
}

TEST(Options, BadUsageSaysWhatIsWrong) {
  EXPECT_FALSE(parse({}).ok());
  EXPECT_FALSE(parse({"query"}).ok());
  EXPECT_FALSE(parse({"query", "{}", "--since", "soon"}).ok());
  EXPECT_FALSE(parse({"query", "{}", "--from", "2026-13-01"}).ok());
  EXPECT_FALSE(parse({"push", "f", "--label", "novalue"}).ok());
  const auto unknown = parse({"query", "{}", "--colour"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.status().message().find("--colour"), std::string_view::npos);
}

TEST(Options, TailIsAlsoAFlagOfQuery) {
  const auto options = parse({"query", "{a=\"b\"}", "-f"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->command, Command::kTail);
}

TEST(ParseTime, TellsUnitsByTheirDigits) {
  EXPECT_EQ(*parse_time("1763611200"), kNow);
  EXPECT_EQ(*parse_time("1763611200000"), kNow);
  EXPECT_EQ(*parse_time("1763611200000000000"), kNow);
  EXPECT_EQ(*parse_time("2025-11-20T04:00:00Z"), kNow);
  EXPECT_EQ(*parse_time("2025-11-20T05:00:00+01:00"), kNow);
  EXPECT_EQ(*parse_time("2025-11-20 04:00:00"), kNow);
  EXPECT_FALSE(parse_time("yesterday").ok());
}

// All entries come once and in order, however pages cut through equal timestamps.
TEST(Query, PagesMeetWithoutLossOrRepetition) {
  for (const bool forward : {true, false}) {
    FakeServer server;
    std::string expected;
    for (int i = 0; i < 23; ++i)
      server.entries.emplace_back(kNow - 100 + i / 3, "l" + std::to_string(i / 2));
    std::vector<std::string> lines;
    for (const auto& [time, line] : server.entries) lines.push_back(line + "\n");
    if (!forward) std::reverse(lines.begin(), lines.end());
    for (const std::string& line : lines) expected += line;
    auto options = parse({"query", "{job=\"a\"}", "-o", "raw", "--limit", "0", "--batch", "5"});
    ASSERT_TRUE(options.ok());
    options->forward = forward;
    Client client(*options, server);
    Output output;
    ASSERT_TRUE(run_query(*options, client, output.io).ok());
    EXPECT_EQ(output.out, expected);
    EXPECT_GT(server.requests.size(), 4U);
  }
}

TEST(Query, StopsAtTheLimit) {
  FakeServer server;
  for (int i = 0; i < 50; ++i) server.entries.emplace_back(kNow - 100 + i, "x");
  const auto options = parse({"query", "{job=\"a\"}", "-o", "raw", "--limit", "7", "--batch", "3"});
  Client client(*options, server);
  Output output;
  ASSERT_TRUE(run_query(*options, client, output.io).ok());
  EXPECT_EQ(output.out, "x\nx\nx\nx\nx\nx\nx\n");
}

TEST(Query, AServerErrorIsShownInFull) {
  FakeServer server;
  server.canned.push_back({400, {}, "parse error at line 1, col 2: syntax error\n"});
  const auto options = parse({"query", "{"});
  Client client(*options, server);
  Output output;
  const base::Status status = run_query(*options, client, output.io);
  EXPECT_EQ(status.code(), base::Code::kInvalidArgument);
  EXPECT_NE(status.message().find("parse error at line 1, col 2"), std::string_view::npos);
}

TEST(Answer, RefusesWhatIsNotAnAnswer) {
  for (const char* body :
       {"", "x", "[]", "{}", R"({"data":{}})",
        R"({"data":{"resultType":"streams","result":[{"values":[]}]}})",
        R"({"data":{"resultType":"streams","result":[{"stream":{},"values":[[1,"x"]]}]}})",
        R"({"data":{"resultType":"streams","result":[{"stream":{},"values":[["1x","x"]]}]}})"}) {
    EXPECT_FALSE(parse_answer(body).ok()) << body;
  }
}

TEST(Answer, EntryTextByMode) {
  Options options;
  const model::Labels labels{{"a", "b"}, {"job", "x"}}, common{{"job", "x"}};
  const auto text = [&](OutputMode mode) {
    options.output = mode;
    std::string out;
    append_entry_text(out, options, labels, common, kNow + 5, "say \"hi\"");
    return out;
  };
  EXPECT_EQ(text(OutputMode::kRaw), "say \"hi\"\n");
  EXPECT_EQ(text(OutputMode::kDefault), "2025-11-20T04:00:00.000000005Z {a=\"b\"} say \"hi\"\n");
  EXPECT_EQ(text(OutputMode::kJsonLines),
            "{\"labels\":{\"a\":\"b\",\"job\":\"x\"},\"line\":\"say \\\"hi\\\"\","
            "\"timestamp\":\"2025-11-20T04:00:00.000000005Z\"}\n");
}

TEST(Client, SendsWhoIsAsking) {
  Options options;
  options.org_id = "team";
  options.username = "ann";
  options.password = "pass";
  const Parameters headers = identity_headers(options);
  ASSERT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers[0].second, "team");
  EXPECT_EQ(headers[1].second, "Basic YW5uOnBhc3M=");
}

}  // namespace
}  // namespace skald::query::cli
