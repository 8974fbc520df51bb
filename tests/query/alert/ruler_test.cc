#include "query/alert/ruler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <snappy.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <mutex>

#include "proto/base/bytes.h"

namespace skald::query::alert {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kSecond = base::kNsPerSecond;

// Remembers what was sent; answers what the test says.
struct Wire {
  std::mutex mutex;
  std::vector<std::pair<std::string, std::string>> posts;  // url, body
  std::vector<std::vector<std::pair<std::string, std::string>>> headers;
  int status = 200;
  int failures_left = 0;
  std::string dead_url_part = "none";
  std::size_t count(const std::string& url_part) {
    const std::lock_guard lock(mutex);
    std::size_t n = 0;
    for (const auto& [url, body] : posts) n += url.find(url_part) != std::string::npos ? 1 : 0;
    return n;
  }
  std::string last(const std::string& url_part) {
    const std::lock_guard lock(mutex);
    for (auto at = posts.rbegin(); at != posts.rend(); ++at)
      if (at->first.find(url_part) != std::string::npos) return at->second;
    return {};
  }
};

class FakeTransport final : public net::HttpTransport {
 public:
  explicit FakeTransport(Wire& wire) : wire_(wire) {}
  base::Result<net::HttpResponse> exchange(const net::HttpRequest& request) override {
    const std::lock_guard lock(wire_.mutex);
    const bool dead = request.url.find(wire_.dead_url_part) != std::string::npos;
    if (wire_.failures_left > 0 || dead) {
      if (!dead) --wire_.failures_left;
      return base::unavailable("connection refused");
    }
    wire_.posts.emplace_back(request.url, std::string(request.body));
    wire_.headers.push_back(request.headers);
    net::HttpResponse response;
    response.status = wire_.status;
    return response;
  }
  void cancel() override {}

 private:
  Wire& wire_;
};

class RulerTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() /
           ("skald_ruler_" + std::to_string(::getpid()) + "_" +
            testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_ / "rules" / "fake");
    options_.rules_dir = dir_ / "rules";
    options_.data_dir = dir_ / "data";
    options_.evaluation_interval_ns = 15 * kSecond;
    options_.external_url = "http://grafana/base";
    options_.external_labels = {{"cluster", "eu"}};
    Target alertmanager;
    alertmanager.url = "http://am:9093/";
    options_.alertmanagers = {alertmanager};
    Target writer;
    writer.url = "http://prom:9090/api/v1/write";
    options_.remote_write = {writer};
    clock_.set_wall_ns(1'700'000'000 * kSecond);
  }
  void TearDown() override {
    ruler_.reset();
    std::filesystem::remove_all(dir_);
  }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / "rules" / "fake" / name) << text;
  }

  void open() {
    RulerDeps deps;
    deps.clock = &clock_;
    deps.transport = [this](const net::HttpClientOptions&) {
      return std::make_unique<FakeTransport>(wire_);
    };
    deps.query = [this](const std::string&, const std::string& text,
                        model::TimestampNs) -> base::Result<std::vector<RuleSample>> {
      ++queries_;
      if (query_error_) return base::invalid_argument("boom");
      last_query_ = text;
      return result_;
    };
    if (ask_together_)
      deps.queries = [this](const std::string&, const std::vector<std::string>& texts,
                            model::TimestampNs) {
        together_.push_back(texts);
        return RuleAnswers{{texts.size(), result_}, {texts.size(), 1}};
      };
    auto ruler = Ruler::create(options_, std::move(deps));
    ASSERT_TRUE(ruler.ok());
    ruler_ = std::move(ruler).value();
  }

  // Moves time on in steps of a second, evaluating what is due.
  void pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      clock_.advance_ns(kSecond);
      ruler_->run_due();
    }
    EXPECT_TRUE(ruler_->flush(5 * kSecond));
  }

  net::ServerResponse ask(const std::string& method, const std::string& target,
                          const std::string& body = "") {
    net::ServerRequest request;
    request.method = method;
    request.target = target;
    request.body = body;
    return ruler_->handle(request, "fake");
  }

  std::filesystem::path dir_;
  RulerOptions options_;
  base::ManualClock clock_;
  Wire wire_;
  std::vector<RuleSample> result_;
  bool query_error_ = false;
  int queries_ = 0;
  bool ask_together_ = false;
  std::vector<std::vector<std::string>> together_;  // each time, what was asked
  std::string last_query_;
  std::unique_ptr<Ruler> ruler_;
};

constexpr const char* kAlertFile = R"(groups:
- name: g
  rules:
  - alert: Errors
    expr: sum by (app) (rate({app="a"} |= "error" [1m])) > 0.5
    labels: {severity: critical}
    annotations: {summary: "{{ $labels.app }} at {{ $value }}"}
)";

const std::vector<RuleSample> kHigh = {{{{"app", "a"}}, 0.75}};

TEST_F(RulerTest, FiresWithinOneIntervalAndResolves) {
  write("r.yaml", kAlertFile);
  open();
  pass(20);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 0U);
  result_ = kHigh;
  pass(15);
  ASSERT_EQ(wire_.count("http://am:9093/api/v2/alerts"), 1U);
  const std::string fired = wire_.last("/api/v2/alerts");
  EXPECT_THAT(fired, HasSubstr("{\"labels\":{\"alertname\":\"Errors\",\"app\":\"a\",\"cluster\":"
                               "\"eu\",\"severity\":\"critical\"}"));
  EXPECT_THAT(fired, HasSubstr("\"annotations\":{\"summary\":\"a at 0.75\"}"));
  EXPECT_THAT(fired, HasSubstr("\"generatorURL\":\"http://grafana/base/explore?left="));
  result_.clear();
  pass(15);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 2U);
  // The comparison was taken off and done here.
  EXPECT_EQ(last_query_, R"(sum by (app)(rate({app="a"} |= "error"[1m])))");
}

TEST_F(RulerTest, TellsAgainEveryMinute) {
  write("r.yaml", kAlertFile);
  result_ = kHigh;
  open();
  pass(15);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 1U);
  pass(60);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 1U);
  pass(15);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 2U);
}

TEST_F(RulerTest, RetriesUntilTheAlertmanagerAnswers) {
  write("r.yaml", kAlertFile);
  result_ = kHigh;
  wire_.failures_left = 2;
  open();
  pass(15);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 1U);
  std::string metrics;
  ruler_->append_metrics(metrics);
  EXPECT_THAT(metrics, HasSubstr("loki_prometheus_notifications_sent_total{alertmanager="
                                 "\"http://am:9093/api/v2/alerts\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("loki_prometheus_rule_evaluations_total{user=\"fake\",rule_group="
                                 "\"r.yaml;g\"} 1\n"));
}

TEST_F(RulerTest, OneDeadAlertmanagerHoldsUpNoOther) {
  write("r.yaml", kAlertFile);
  result_ = kHigh;
  Target other;
  other.url = "http://am2:9093";
  options_.alertmanagers.push_back(other);
  options_.drain_timeout_ns = 0;
  wire_.dead_url_part = "am:9093";
  open();
  clock_.advance_ns(15 * kSecond);
  ruler_->run_due();
  for (int i = 0; i < 500 && wire_.count("am2:9093") == 0; ++i) ::usleep(20'000);
  EXPECT_EQ(wire_.count("http://am2:9093/api/v2/alerts"), 1U);
  EXPECT_EQ(wire_.count("http://am:9093"), 0U);
  ruler_->stop();
}

TEST_F(RulerTest, ForSurvivesARestart) {
  write("r.yaml", R"(groups:
- name: g
  rules:
  - {alert: A, expr: 'count_over_time({app="a"}[1m]) > 0', for: 10m}
)");
  result_ = kHigh;
  options_.for_grace_period_ns = 0;
  open();
  pass(9 * 60);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 0U);
  ruler_->stop();
  ruler_.reset();
  clock_.advance_ns(120 * kSecond);  // nobody watches for two minutes
  open();
  EXPECT_THAT(ask("GET", "/prometheus/api/v1/rules").body, HasSubstr("\"state\":\"pending\""));
  pass(45);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 0U);
  pass(60);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 1U);
}

TEST_F(RulerTest, ARestoredAlertWaitsTheGracePeriodAsInPrometheus) {
  write("r.yaml", R"(groups:
- name: g
  rules:
  - {alert: A, expr: 'count_over_time({app="a"}[1m]) > 0', for: 20m}
)");
  result_ = kHigh;
  open();
  pass(19 * 60);
  ruler_->stop();
  ruler_.reset();
  open();
  pass(9 * 60);  // one minute was left of `for`; the grace period of ten minutes is longer
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 0U);
  pass(2 * 60);
  EXPECT_GE(wire_.count("/api/v2/alerts"), 1U);
}

TEST_F(RulerTest, DamagedStateIsSetAsideAndReported) {
  write("r.yaml", kAlertFile);
  std::filesystem::create_directories(dir_ / "data");
  std::ofstream(dir_ / "data" / "ruler.state") << "SKALDRULnonsense-nonsense-nonsense-nonsense";
  open();
  EXPECT_TRUE(std::filesystem::exists(dir_ / "data" / "ruler.state.damaged"));
  std::string metrics;
  ruler_->append_metrics(metrics);
  EXPECT_THAT(metrics, HasSubstr("loki_ruler_state_failures_total 1\n"));
}

TEST_F(RulerTest, CountsMissedIntervals) {
  write("r.yaml", kAlertFile);
  open();
  pass(15);
  clock_.advance_ns(300 * kSecond);
  ruler_->run_due();
  std::string metrics;
  ruler_->append_metrics(metrics);
  EXPECT_THAT(metrics, HasSubstr("iterations_missed_total{user=\"fake\",rule_group=\"r.yaml;g\"} "
                                 "19\n"));
  EXPECT_THAT(metrics, HasSubstr("rule_group_iterations_total{user=\"fake\",rule_group=\"r.yaml;g\""
                                 "} 21\n"));
}

TEST_F(RulerTest, FileThatDoesNotLoadIsReportedAndTheGoodOneGoesOn) {
  write("r.yaml", kAlertFile);
  open();
  write("r.yaml", "groups:\n- name: g\n  rules:\n  - alert: x\n");
  const auto status = ruler_->reload();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("r.yaml: 4: group \"g\", rule 1"));
  const std::string rules = ask("GET", "/prometheus/api/v1/rules").body;
  EXPECT_THAT(rules, HasSubstr("\"name\":\"Errors\""));
  EXPECT_THAT(rules, HasSubstr("\"warnings\":[\""));
  std::string metrics;
  ruler_->append_metrics(metrics);
  EXPECT_THAT(metrics, HasSubstr("loki_ruler_config_last_reload_successful{user=\"fake\"} 0\n"));
  EXPECT_FALSE(ruler_->reload().ok());  // and it stays reported
  write("r.yaml", kAlertFile);
  EXPECT_TRUE(ruler_->reload().ok());
  EXPECT_THAT(ask("GET", "/prometheus/api/v1/rules").body, Not(HasSubstr("warnings")));
}

TEST_F(RulerTest, ReloadKeepsTheStateOfUnchangedRules) {
  write("r.yaml", kAlertFile);
  result_ = kHigh;
  open();
  pass(15);
  write("r.yaml", std::string(kAlertFile) + "  - {record: x, expr: vector(1)}\n");
  ASSERT_TRUE(ruler_->reload().ok());
  EXPECT_THAT(ask("GET", "/prometheus/api/v1/alerts").body, HasSubstr("\"state\":\"firing\""));
}

TEST_F(RulerTest, QueryErrorIsTheRulesLastError) {
  write("r.yaml", kAlertFile);
  query_error_ = true;
  open();
  pass(15);
  const std::string body = ask("GET", "/prometheus/api/v1/rules").body;
  EXPECT_THAT(body, HasSubstr("\"health\":\"err\",\"lastError\":\"boom\""));
}

TEST_F(RulerTest, SharesOneQueryBetweenThresholds) {
  write("r.yaml", R"(groups:
- name: g
  rules:
  - {alert: A, expr: 'sum(rate({a="b"}[1m])) > 1'}
  - {alert: B, expr: 'sum(rate({a="b"}[1m])) > 2'}
  - {alert: C, expr: '3 < sum(rate({a="b"}[1m]))'}
  - {record: d, expr: 'sum( rate( {a="b"} [1m] ) )'}
)");
  result_ = {{{}, 2.5}};
  open();
  pass(15);
  EXPECT_EQ(queries_, 1);
  const std::string body = ask("GET", "/prometheus/api/v1/alerts").body;
  EXPECT_THAT(body, HasSubstr("\"alertname\":\"A\""));
  EXPECT_THAT(body, HasSubstr("\"alertname\":\"B\""));
  EXPECT_THAT(body, Not(HasSubstr("\"alertname\":\"C\"")));
}

TEST_F(RulerTest, SharesOneQueryBetweenGroupsOverTheSameStreams) {
  for (const char* name : {"a.yaml", "b.yaml", "c.yaml"})
    write(name, "groups: [{name: g, rules: [{alert: A, expr: 'sum(rate({a=\"b\"}[1m])) > 1'}]}]\n");
  open();
  pass(15);
  EXPECT_EQ(queries_, 1);
}

TEST_F(RulerTest, AsksDifferentExpressionsOfGroupsOverTheSameStreamsTogether) {
  write("a.yaml", R"(groups:
- name: g
  rules:
  - {record: a, expr: 'sum(rate({a="b"} |= "error" [5m]))'}
  - {alert: B, expr: 'quantile_over_time(0.95, {a="b"} | json | unwrap duration [5m]) > 1'}
)");
  write("b.yaml", "groups: [{name: g, rules: [{record: c, expr: 'rate({a=\"b\"}[1m])'}]}]\n");
  write("c.yaml", "groups: [{name: g, rules: [{record: d, expr: 'rate({x=\"y\"}[1m])'}]}]\n");
  result_ = {{{}, 2.5}};
  ask_together_ = true;
  open();
  pass(15);
  EXPECT_EQ(queries_, 0);
  ASSERT_EQ(together_.size(), 2U);  // by the streams of the first rule
  if (together_[0].size() < together_[1].size()) std::swap(together_[0], together_[1]);
  EXPECT_THAT(together_[0], testing::UnorderedElementsAre(
                                "sum(rate({a=\"b\"} |= \"error\"[5m]))",
                                "quantile_over_time(0.95,{a=\"b\"} | json | unwrap duration[5m])",
                                "rate({a=\"b\"}[1m])"));
  EXPECT_THAT(together_[1], testing::ElementsAre("rate({x=\"y\"}[1m])"));
  std::string metrics;
  ruler_->append_metrics(metrics);
  EXPECT_THAT(metrics, HasSubstr("loki_ruler_scans_total{kind=\"asked\"} 4\n"));
  EXPECT_THAT(metrics, HasSubstr("loki_ruler_scans_total{kind=\"run\"} 2\n"));
  EXPECT_THAT(metrics, HasSubstr("loki_ruler_queries_total{kind=\"asked\"} 4\n"));
  EXPECT_THAT(metrics, HasSubstr("loki_ruler_queries_total{kind=\"shared\"} 0\n"));
  EXPECT_THAT(ask("GET", "/prometheus/api/v1/alerts").body, HasSubstr("\"alertname\":\"B\""));
  pass(15);
  EXPECT_EQ(together_.size(), 4U);  // the next instant is another
}

TEST_F(RulerTest, StaggersGroupsOverDifferentStreams) {
  std::string file = "groups:\n";
  for (int i = 0; i < 60; ++i)
    file += "- {name: g" + std::to_string(i) + ", rules: [{record: r, expr: 'rate({a=\"" +
            std::to_string(i) + "\"}[1m])'}]}\n";
  write("r.yaml", file);
  open();
  int busiest = 0;
  for (int second = 0; second < 15; ++second) {
    const int before = queries_;
    pass(1);
    busiest = std::max(busiest, queries_ - before);
  }
  EXPECT_EQ(queries_, 60);
  EXPECT_LE(busiest, 15);
}

TEST_F(RulerTest, SendsWhatIsQueuedBeforeItStops) {
  write("r.yaml", "groups: [{name: g, rules: [{record: r, expr: 'rate({a=\"b\"}[1m])'}]}]\n");
  result_ = kHigh;
  wire_.failures_left = 2;
  open();
  clock_.advance_ns(15 * kSecond);
  ruler_->run_due();
  ruler_->stop();
  EXPECT_EQ(wire_.count("/api/v1/write"), 1U);
}

TEST_F(RulerTest, StopsInTimeAndCountsWhatATargetDidNotTake) {
  write("r.yaml", "groups: [{name: g, rules: [{record: r, expr: 'rate({a=\"b\"}[1m])'}]}]\n");
  result_ = kHigh;
  wire_.failures_left = 1'000'000;
  options_.drain_timeout_ns = 50 * base::kNsPerMs;
  open();
  clock_.advance_ns(15 * kSecond);
  ruler_->run_due();
  ruler_->stop();
  std::string metrics;
  ruler_->append_metrics(metrics);
  EXPECT_THAT(metrics, HasSubstr("loki_ruler_remote_write_samples_dropped_total{remote_name=\""
                                 "http://prom:9090/api/v1/write\"} 1\n"));
}

// Reads a WriteRequest: "name=value,...@ms value" per sample.
std::vector<std::string> decode_write(const std::string& body) {
  std::string raw;
  EXPECT_TRUE(snappy::Uncompress(body.data(), body.size(), &raw));
  std::vector<std::string> out;
  base::ByteReader request(raw);
  while (!request.done() && !request.failed()) {
    EXPECT_EQ(request.read_varint(), 0x0AU);
    base::ByteReader series(request.read_bytes());
    std::string text;
    while (!series.done() && !series.failed()) {
      const auto tag = series.read_varint();
      base::ByteReader field(series.read_bytes());
      field.read_le<std::uint8_t>();
      if (tag == 0x0A) {
        text += std::string(field.read_bytes()) + "=";
        field.read_le<std::uint8_t>();
        text += std::string(field.read_bytes()) + ",";
      } else {
        const auto bits = field.read_le<std::uint64_t>();
        field.read_le<std::uint8_t>();
        text += "@" + std::to_string(field.read_varint()) + " ";
        text += bits == 0x7ff0000000000002 ? "stale" : std::to_string(std::bit_cast<double>(bits));
      }
    }
    out.push_back(text);
  }
  return out;
}

TEST_F(RulerTest, WritesRecordedSeriesAndTheirEnd) {
  write("r.yaml", R"(groups:
- name: g
  rules:
  - {record: 'app:errors', expr: 'sum by (app) (rate({app="a"}[1m]))', labels: {team: x}}
)");
  result_ = kHigh;
  open();
  pass(15);
  auto samples = decode_write(wire_.last("/api/v1/write"));
  ASSERT_EQ(samples.size(), 1U);
  EXPECT_THAT(samples[0], HasSubstr("__name__=app:errors,app=a,team=x,@1700000"));
  EXPECT_THAT(samples[0], HasSubstr(" 0.750000"));
  EXPECT_THAT(wire_.headers.back(), testing::Contains(testing::Pair("X-Scope-OrgID", "fake")));
  result_.clear();
  pass(15);
  samples = decode_write(wire_.last("/api/v1/write"));
  ASSERT_EQ(samples.size(), 1U);
  EXPECT_THAT(samples[0], HasSubstr("stale"));
}

TEST_F(RulerTest, WritesAlertsSeries) {
  write("r.yaml", kAlertFile);
  result_ = kHigh;
  open();
  pass(15);
  const auto samples = decode_write(wire_.last("/api/v1/write"));
  ASSERT_EQ(samples.size(), 2U);
  EXPECT_THAT(samples[0], HasSubstr("__name__=ALERTS_FOR_STATE,alertname=Errors,app=a,"));
  EXPECT_THAT(samples[1], HasSubstr("__name__=ALERTS,alertname=Errors,alertstate=firing,app=a,"));
}

TEST_F(RulerTest, ApiKeepsGroups) {
  open();
  EXPECT_EQ(ask("GET", "/loki/api/v1/rules").status, 404);
  EXPECT_EQ(ask("GET", "/loki/api/v1/rules").body, "no rule groups found\n");
  EXPECT_EQ(ask("GET", "/api/prom/rules/test/test").body, "group does not exist\n");
  const auto posted = ask("POST", "/loki/api/v1/rules/my%2Fspace%20x",
                          "name: g1\ninterval: 1m\nrules:\n- alert: A\n  expr: vector(1)\n");
  EXPECT_EQ(posted.status, 202);
  EXPECT_EQ(posted.body, R"({"status":"success","data":null,"errorType":"","error":""})");
  EXPECT_TRUE(posted.content_type.starts_with("application/json"));
  auto got = ask("GET", "/loki/api/v1/rules/my%2Fspace%20x/g1");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.content_type, "application/yaml");
  EXPECT_EQ(got.body, "name: g1\ninterval: 1m\nrules:\n    - alert: A\n      expr: vector(1)\n");
  EXPECT_THAT(ask("GET", "/api/prom/rules").body, HasSubstr("my/space x:\n    - name: g1\n"));
  ruler_->stop();
  ruler_.reset();
  open();  // durable
  EXPECT_EQ(ask("GET", "/loki/api/v1/rules/my%2Fspace%20x/g1").status, 200);
  EXPECT_EQ(ask("DELETE", "/loki/api/v1/rules/my%2Fspace%20x/g2").status, 404);
  EXPECT_EQ(ask("DELETE", "/loki/api/v1/rules/my%2Fspace%20x/g1").status, 202);
  EXPECT_EQ(ask("GET", "/loki/api/v1/rules").status, 404);
  EXPECT_EQ(ask("DELETE", "/loki/api/v1/rules/my%2Fspace%20x").body,
            "group namespace does not exist\n");
}

TEST_F(RulerTest, ApiRefusesWhatIsWrong) {
  write("r.yaml", kAlertFile);
  open();
  EXPECT_EQ(ask("POST", "/loki/api/v1/rules/n", "]").status, 400);
  EXPECT_EQ(ask("POST", "/loki/api/v1/rules/n", "]").body, "unable to decoded rule group\n");
  EXPECT_EQ(ask("POST", "/loki/api/v1/rules/%2E%2E", "name: g").status, 500);
  EXPECT_EQ(ask("POST", "/loki/api/v1/rules/r.yaml", "name: g\nrules: []").status, 403);
  EXPECT_EQ(ask("DELETE", "/loki/api/v1/rules/r.yaml/g").status, 403);
  EXPECT_EQ(ask("PUT", "/loki/api/v1/rules/n").status, 405);
  EXPECT_EQ(ask("GET", "/prometheus/api/v1/rules?type=x").status, 400);
  EXPECT_EQ(ask("GET", "/prometheus/api/v1/rules?type=x").body,
            R"({"status":"error","data":null,"errorType":"bad_data","error":"not supported value )"
            R"(\"x\""})");
  EXPECT_EQ(ask("GET", "/loki/api/v1/rules/a/b/c").status, 404);
}

TEST_F(RulerTest, StateApiFiltersAndEchoesTheQuery) {
  write("r.yaml", std::string(kAlertFile) + "  - {record: x, expr: vector(1)}\n");
  open();
  EXPECT_EQ(ask("GET", "/prometheus/api/v1/alerts").body,
            R"({"status":"success","data":{"alerts":[]},"errorType":"","error":""})");
  const std::string all = ask("GET", "/prometheus/api/v1/rules").body;
  EXPECT_THAT(all, HasSubstr(R"("query":"sum by (app) (rate({app=\"a\"} |= \"error\" [1m])) )"));
  EXPECT_THAT(all, HasSubstr(R"("health":"unknown")"));
  EXPECT_THAT(all, HasSubstr(R"("lastEvaluation":"0001-01-01T00:00:00Z")"));
  EXPECT_THAT(all, HasSubstr(R"("file":"r.yaml")"));
  const std::string records = ask("GET", "/prometheus/api/v1/rules?type=record").body;
  EXPECT_THAT(records, HasSubstr("\"type\":\"recording\""));
  EXPECT_THAT(records, Not(HasSubstr("alerting")));
  EXPECT_THAT(ask("GET", "/prometheus/api/v1/rules?rule_group=none").body,
              HasSubstr("\"groups\":[]"));
  EXPECT_THAT(ask("GET", "/prometheus/api/v1/rules?file=r.yaml&rule_name=x").body,
              HasSubstr("\"name\":\"x\""));
}

TEST_F(RulerTest, OtherTenantsDoNotSeeEachOther) {
  write("r.yaml", kAlertFile);
  open();
  net::ServerRequest request;
  request.method = "GET";
  request.target = "/prometheus/api/v1/rules";
  EXPECT_THAT(ruler_->handle(request, "other").body, HasSubstr("\"groups\":[]"));
}

TEST_F(RulerTest, ThreadsEvaluateOnTime) {
  write("r.yaml", kAlertFile);
  result_ = kHigh;
  options_.evaluation_interval_ns = 200 * base::kNsPerMs;
  RulerDeps deps;
  deps.transport = [this](const net::HttpClientOptions&) {
    return std::make_unique<FakeTransport>(wire_);
  };
  deps.query = [this](const std::string&, const std::string&,
                      model::TimestampNs) -> base::Result<std::vector<RuleSample>> {
    return result_;
  };
  auto ruler = Ruler::create(options_, std::move(deps));
  ASSERT_TRUE(ruler.ok());
  ruler_ = std::move(ruler).value();
  ruler_->start();
  for (int i = 0; i < 100 && wire_.count("/api/v2/alerts") == 0; ++i) ::usleep(20'000);
  EXPECT_EQ(wire_.count("/api/v2/alerts"), 1U);
  ruler_->stop();
}

}  // namespace
}  // namespace skald::query::alert
