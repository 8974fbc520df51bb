#include "query/exec/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <thread>

#include "tests/query/exec/memory_store.h"

namespace skald::query {
namespace {

constexpr std::int64_t kSecond = base::kNsPerSecond;

class EngineTest : public ::testing::Test {
 protected:
  base::Result<QueryResult> run(const QueryRequest& request) {
    return Engine(store_, base::Clock::system(), options_).run(request);
  }
  static QueryRequest instant(std::string text) {
    QueryRequest request;
    request.text = std::move(text);
    request.instant = true;
    request.end_ns = 1000 * kSecond;
    return request;
  }
  static QueryRequest logs(std::string text) {
    QueryRequest request = instant(std::move(text));
    request.instant = false;
    return request;
  }
  // One line per series or entry: labels, then the value or the line.
  std::string show(const QueryRequest& request) {
    const auto result = run(request);
    if (!result.ok()) return std::string(result.status().message());
    std::string out;
    if (const auto* vector = std::get_if<Vector>(&result->data))
      for (const Series& series : vector->series)
        out += series.labels.to_string() + " " +
               std::to_string(static_cast<int>(series.samples[0].value)) + "\n";
    if (const auto* streams = std::get_if<Streams>(&result->data))
      for (const LogStream& stream : streams->streams)
        for (const LogEntry& entry : stream.entries)
          out += stream.labels.to_string() + entry.metadata.to_string() + entry.parsed.to_string() +
                 " " + entry.line + "\n";
    return out;
  }
  void add(std::string line, std::int64_t second = 990, model::Labels metadata = {}) {
    store_.add({{"job", "a"}}, second * kSecond, std::move(line), std::move(metadata));
  }
  MemoryStore store_{10};
  EngineOptions options_;
};

TEST_F(EngineTest, FiltersUnwrappedValues) {
  add("total=548 gauge=2.118 dur=1017ms");
  add("total=5 gauge=-2 dur=1ms");
  EXPECT_EQ(show(instant("sum_over_time({job=\"a\"} | logfmt | unwrap gauge | gauge > 0 [10m])")),
            "{dur=\"1017ms\", job=\"a\", total=\"548\"} 2\n");
}

TEST_F(EngineTest, KeepsTheThreeKindsOfLabelsApart) {
  add("{\"job\":\"b\",\"user\":\"c\",\"x\":{\"y z\":1}}", 990, {{"user", "u1"}});
  EXPECT_EQ(show(logs("{job=\"a\"} | json")),
            "{job=\"a\"}{user=\"u1\"}{job_extracted=\"b\", user_extracted=\"c\", x_y_z=\"1\"} "
            "{\"job\":\"b\",\"user\":\"c\",\"x\":{\"y z\":1}}\n");
}

// Neither the line nor the metadata has the name.
TEST_F(EngineTest, MetadataThatClashesWithTheStreamIsFoundByItsNewName) {
  add("one", 990, {{"job", "m"}});
  add("two", 991);
  EXPECT_EQ(show(logs("{job=\"a\"} | job_extracted=\"m\"")),
            "{job=\"a\"}{job_extracted=\"m\"}{} one\n");
  EXPECT_EQ(show(instant("sum by (job_extracted) (count_over_time({job=\"a\"} [10m]))")),
            "{} 1\n{job_extracted=\"m\"} 1\n");
  EXPECT_EQ(show(instant("sum(count_over_time({job=\"a\"} | job_extracted!=\"\" [10m]))")),
            "{} 1\n");
}

TEST_F(EngineTest, KeepWithAConditionKeepsTheLabelWithoutAName) {
  add(R"({"":{"":"e"},"x":"1"})");
  const auto parsed = [&](const std::string& stages) {
    const auto result = run(logs("{job=\"a\"} | json | " + stages));
    return std::get<Streams>(result->data).streams.at(0).entries.at(0).parsed.pairs();
  };
  using Pairs = std::vector<model::Labels::Pair>;
  EXPECT_EQ(parsed("keep x"), (Pairs{{"x", "1"}}));
  EXPECT_EQ(parsed("keep x=~\"2\""), (Pairs{{"", "e"}}));
}

// Unlike in a selector.
TEST_F(EngineTest, ADotOfALabelFilterIsNoLineFeed) {
  add("m=\"one\\ntwo\"");
  const auto count = [&](const std::string& filter) {
    return show(instant("sum(count_over_time({job=\"a\"} | logfmt | " + filter + " [10m]))"));
  };
  EXPECT_EQ(count("m=~\"o.*e.two\""), "");
  EXPECT_EQ(count("m!~\"[o].*[o]\""), "{} 1\n");
  EXPECT_EQ(count("m=~\"(?s)[o].*[o]\""), "{} 1\n");
  EXPECT_EQ(count("m=~\".*tw.*\""), "{} 1\n");
}

TEST_F(EngineTest, AnEmptyErrorOfALineIsOne) {
  add("__error__= x=1");
  EXPECT_EQ(show(instant("count_over_time({job=\"a\"} | logfmt --keep-empty [10m])")).substr(0, 34),
            "pipeline error: '' for series: '{_");
}

// The suffix joins the last key before the keys become a name.
TEST_F(EngineTest, ANestedBlankKeyThatClashesKeepsItsPlace) {
  add("{\"job\":{\"\":54}}");
  EXPECT_EQ(show(logs("{job=\"a\"} | json")),
            "{job=\"a\"}{}{job__extracted=\"54\"} {\"job\":{\"\":54}}\n");
}

TEST_F(EngineTest, TemplatesSeeOneErrorLabel) {
  add("__error__=x y=1 z");
  EXPECT_EQ(show(logs("{job=\"a\"} | logfmt | line_format \"{{ .__error__ }} {{ . }}\"")),
            "{job=\"a\"}{}{__error__=\"x\", y=\"1\"} x map[__error__:x job:a y:1]\n");
  EXPECT_EQ(show(logs("{job=\"a\"} | logfmt | y>1s | line_format \"{{ .__error__ }}!\" | "
                      "drop __error__, __error_details__")),
            "{job=\"a\"}{}{__error__=\"x\", y=\"1\"} LabelFilterErr!\n");
}

// Recorded from Loki 3.7.6, where the sort of all labels decides.
TEST_F(EngineTest, AFieldWithTheNameOfAnErrorIsOneLabelWithIt) {
  const std::string fields = R"("__error__":"x","__error_details__":"y")";
  const std::string nine = R"("a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9})";
  const auto errors = [&](const std::string& line) {
    MemoryStore store;
    store.add({{"job", "a"}}, 990 * kSecond, line, {});
    const auto result =
        Engine(store, base::Clock::system(), {}).run(logs("{job=\"a\"} | json | job > 1"));
    const model::Labels& parsed =
        std::get<Streams>(result->data).streams.at(0).entries.at(0).parsed;
    return std::string(parsed.get("__error__")) + " " +
           std::string(parsed.get("__error_details__"));
  };
  const std::string details = "strconv.ParseFloat: parsing \"a\": invalid syntax";
  EXPECT_EQ(errors("{" + fields + "}"), "LabelFilterErr " + details);
  EXPECT_EQ(errors("{" + fields + "," + nine), "x " + details);
  EXPECT_EQ(errors(R"({"n":0,"m":1,"l":1,"k":1,"j":1,)" + fields + "," + nine), "x y");
}

TEST_F(EngineTest, AnEmptyAlternativeOfALineFilterGivesWayToOthers) {
  add("one");
  add("two");
  EXPECT_EQ(show(instant("sum(count_over_time({job=\"a\"} |= \"\" or \"one\" [10m]))")), "{} 1\n");
  EXPECT_EQ(show(instant("sum(count_over_time({job=\"a\"} |= \"\" or \"\" [10m]))")), "{} 2\n");
}

TEST_F(EngineTest, BothSidesOfAnAndInsideAnOrAreAsked) {
  store_.add({{"job", "a"}, {"level", "info"}}, 990 * kSecond, "x");
  const std::string text = show(
      instant("sum(count_over_time({job=\"a\"} | ((a=\"x\" and level>=48) or b=\"\") [10m]))"));
  EXPECT_NE(text.find("LabelFilterErr"), std::string::npos) << text;
}

TEST_F(EngineTest, AnAndSeesTheErrorOfItsLeftSide) {
  store_.add({{"job", "a"}, {"level", "info"}}, 990 * kSecond, "x");
  EXPECT_NE(show(logs("{job=\"a\"} | level>=48 and __error__!=\"\"")), "");
}

TEST_F(EngineTest, AParserAsksLaterConditionsAtOnce) {
  add("{\"user\": \"x\"}");
  EXPECT_NE(show(logs("{job=\"a\"} | json | __error__!=\"\" | user>=232")), "");
}

TEST_F(EngineTest, ALabelNamedTwiceInAGroupingIsOne) {
  add("user=x");
  EXPECT_EQ(show(instant("sum by (user,user) (count_over_time({job=\"a\"} | logfmt [10m]))")),
            "{user=\"x\"} 1\n");
}

TEST_F(EngineTest, ADotTakesBytesThatAreNoUtf8) {
  add("a\xff"
      "b");
  EXPECT_EQ(show(instant("sum(count_over_time({job=\"a\"} |~ \"a.b\" [10m]))")), "{} 1\n");
}

TEST_F(EngineTest, RunsLineFiltersBeforeDecolorize) {
  add("\x1b[31mred\x1b[0m text");
  EXPECT_EQ(show(logs("{job=\"a\"} | decolorize |= \"red text\"")), "");
  EXPECT_EQ(show(logs("{job=\"a\"} | decolorize")), "{job=\"a\"}{}{} red text\n");
}

TEST_F(EngineTest, TreatsSimpleLabelRegexesAsSearches) {
  add("p=/api/v1/x");
  EXPECT_NE(show(logs("{job=\"a\"} | logfmt | p=~\"v1.*\"")), "");
  EXPECT_EQ(show(logs("{job=\"a\"} | logfmt | p=~\"v[0-9].*\"")), "");
}

TEST_F(EngineTest, StopsReadingOnceItHasTheLabels) {
  add("{\"a\":1,\"b\":2,broken");
  EXPECT_EQ(show(instant("sum(count_over_time({job=\"a\"} | json [10m]))")), "{} 1\n");
  EXPECT_EQ(show(instant("sum by (a) (count_over_time({job=\"a\"} | json [10m]))")),
            "{a=\"1\"} 1\n");
  EXPECT_EQ(show(instant("count_over_time({job=\"a\"} | json [10m])")).substr(0, 32),
            "pipeline error: 'JSONParserErr' ");
}

TEST_F(EngineTest, KeepsEmptyLabelsWhereLokiDoes) {
  add("{\"a\":1}");
  EXPECT_EQ(show(instant("count_over_time({job=\"a\"} | json a=\"a\", b=\"b\" [10m])")),
            "{a=\"1\", b=\"\", job=\"a\"} 1\n");
  EXPECT_EQ(show(instant("max without (job) (count_over_time({job=\"a\"} | json b=\"b\" [10m]))")),
            "{} 1\n");
}

TEST_F(EngineTest, AFieldNamedAsTheErrorLabelIsAnError) {
  add(R"({"__error__": "mine", "a": "b"})");
  EXPECT_TRUE(show(instant("count_over_time({job=\"a\"} | json [10m])"))
                  .starts_with("pipeline error: 'mine' for series: '{__error__=\"mine\", a=\"b\", "
                               "job=\"a\"}'"));
  EXPECT_EQ(show(instant("sum by (a) (count_over_time({job=\"a\"} | json [10m]))")),
            "{a=\"b\"} 1\n");
}

TEST_F(EngineTest, BehindUnwrapAWrongAddressRefusesEveryRow) {
  add("a=10.0.0.1 v=1");
  const std::string range = "{job=\"a\"} | logfmt | unwrap v | a=ip(\"10.0.0.300\") [10m]";
  EXPECT_EQ(show(instant("sum_over_time(" + range + ")")), "");
  EXPECT_EQ(show(logs("{job=\"a\"} | logfmt | a=ip(\"10.0.0.300\")")),
            "parse error : stage '| a=ip(\"10.0.0.300\")' : ip: invalid pattern: \"10.0.0.300\"");
}

TEST_F(EngineTest, LinesThatMeanNothingToAParserAreCountedAllTheSame) {
  add("no pair");
  add("level=x pair");
  add("\"quoted\" level=\"a\\u00e9\" other=\"\\x\"");
  EXPECT_EQ(show(instant("sum by (level) (count_over_time({job=\"a\"} | logfmt [10m]))")),
            "{} 1\n{level=\"a\u00e9\"} 1\n{level=\"x\"} 1\n");
  EXPECT_EQ(show(instant("sum by (level) (bytes_over_time({job=\"a\"} | logfmt [10m]))")),
            "{} 7\n{level=\"a\u00e9\"} 35\n{level=\"x\"} 12\n");
  EXPECT_EQ(
      show(instant("sum by (x) (count_over_time({job=\"a\"} | regexp `(?P<x>l)evel` [10m]))")),
      "{} 1\n{x=\"l\"} 2\n");
}

TEST_F(EngineTest, ADeadlineOrALeavingClientEndsATemplateUnderWay) {
  add("one line");
  std::string formats;  // a second each
  for (int i = 0; i < 60; ++i)
    formats += (i == 0 ? "l" : ",l") + std::to_string(i) +
               "=`{{ range 3000 }}{{ range 3000 }}{{ end }}{{ end }}`";
  QueryRequest late = instant("count_over_time({job=\"a\"} | label_format " + formats + " [10m])");
  late.timeout_ns = base::kNsPerMs;
  EXPECT_EQ(run(late).status().code(), base::Code::kDeadlineExceeded);
  late.timeout_ns = 0;
  std::atomic<bool> cancelled{false};
  late.cancelled = &cancelled;
  std::thread leaving([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    cancelled = true;
  });
  const base::Code code = run(late).status().code();
  leaving.join();
  EXPECT_EQ(code, base::Code::kCancelled);
}

TEST_F(EngineTest, HoldsItsBounds) {
  for (int i = 0; i < 5000; ++i) add("id=" + std::to_string(i), 500 + i / 100);
  const std::string wide = "count_over_time({job=\"a\"} | logfmt [10m])";
  options_.memory_max = 256U << 10;
  EXPECT_EQ(run(instant(wide)).status().code(), base::Code::kResourceExhausted);
  options_ = {};
  QueryRequest late = instant(wide);
  late.timeout_ns = 1;
  EXPECT_EQ(run(late).status().code(), base::Code::kDeadlineExceeded);
  const std::atomic<bool> cancelled{true};
  QueryRequest gone = instant(wide);
  gone.cancelled = &cancelled;
  EXPECT_EQ(run(gone).status().code(), base::Code::kCancelled);
  options_.series_max = 100;
  EXPECT_EQ(run(instant(wide)).status().code(), base::Code::kInvalidArgument);
  options_ = {};
  QueryRequest fine = instant("rate({job=\"a\"}[1m])");
  fine.instant = false;
  fine.step_ns = kSecond / 100;
  EXPECT_EQ(run(fine).status().code(), base::Code::kInvalidArgument);  // too many points
  EXPECT_EQ(run(instant("{job=\"a\"}")).status().code(), base::Code::kInvalidArgument);
}

TEST_F(EngineTest, LinesCountAgainstTheMemoryAsLongAsTheyAreHeld) {
  options_.memory_max = 1U << 20;
  const std::string refused =
      "the query needs more than its 1 MiB of memory; select fewer streams, a shorter range, a "
      "larger step or fewer groups";
  // Batches of 300 KB, one after the other.
  for (int i = 0; i < 100; ++i) add("k=" + std::string(30'000, 'v') + std::to_string(i));
  EXPECT_EQ(
      show(instant(
          "count(count_over_time({job=\"a\"} |= \"v\" | logfmt | k!=\"x\" | keep job [10m]))")),
      "{} 1\n");
  // All of them in an answer; then one that is too large by itself.
  EXPECT_EQ(show(logs("{job=\"a\"}")), refused);
  add("k=" + std::string(2'000'000, 'w'));
  EXPECT_EQ(show(instant("sum(count_over_time({job=\"a\"} | logfmt | k!=\"x\" [10m]))")), refused);
}

TEST_F(EngineTest, AggregatesLiterals) {
  EXPECT_EQ(show(instant("sum(vector(1))")), "{} 1\n");
  EXPECT_EQ(show(instant("sum(label_replace(vector(2), \"a\", \"b\", \"\", \"\")) + 1")), "{} 3\n");
  EXPECT_NE(show(instant("sum(1)")).find("unexpected expr type"), std::string::npos);
  EXPECT_NE(show(instant("rate({job=\"a\"}[290y] offset 290y)")).find("73 years"),
            std::string::npos);
}

TEST_F(EngineTest, EndsEarlyAtTheLimit) {
  for (int i = 0; i < 500; ++i) add("line " + std::to_string(i), 100 + i);
  QueryRequest request = logs("{job=\"a\"}");
  request.limit = 2;
  EXPECT_EQ(show(request), "{job=\"a\"}{}{} line 499\n{job=\"a\"}{}{} line 498\n");
  EXPECT_LE(store_.blocks_visited(), 2U);
  request.direction = model::Direction::kForward;
  request.interval_ns = 10 * kSecond;
  EXPECT_EQ(show(request), "{job=\"a\"}{}{} line 0\n{job=\"a\"}{}{} line 10\n");
}

// ---- windows against the definition ----

struct Point {
  std::int64_t time;
  double value;
};

double naive(const std::string& op, const std::vector<Point>& points, double range_seconds) {
  double sum = 0, low = points[0].value, high = low;
  for (const Point& p : points) {
    sum += p.value;
    low = std::min(low, p.value);
    high = std::max(high, p.value);
  }
  const auto n = static_cast<double>(points.size());
  double squares = 0;
  for (const Point& p : points) squares += (p.value - sum / n) * (p.value - sum / n);
  if (op == "sum") return sum;
  if (op == "avg") return sum / n;
  if (op == "min") return low;
  if (op == "max") return high;
  if (op == "stdvar") return squares / n;
  if (op == "stddev") return std::sqrt(squares / n);
  if (op == "first") return points.front().value;
  if (op == "last") return points.back().value;
  if (op == "rate") return sum / range_seconds;
  std::vector<double> values;
  for (const Point& p : points) values.push_back(p.value);
  std::sort(values.begin(), values.end());
  const double rank = 0.9 * (n - 1);
  const auto i = static_cast<std::size_t>(rank);
  const double next = values[std::min(i + 1, values.size() - 1)];
  return values[i] + (next - values[i]) * (rank - std::floor(rank));
}

TEST_F(EngineTest, WindowsAreWhatTheirDefinitionSays) {
  std::mt19937 random(11);
  std::vector<Point> all;
  for (int i = 0; i < 400; ++i) {
    const std::int64_t time =
        (100 + static_cast<std::int64_t>(random() % 800)) * kSecond + i;  // all different
    const double value = static_cast<double>(random() % 10'000) / 16;
    all.push_back({time, value});
    store_.add({{"job", "a"}}, time, "v=" + std::to_string(value));
  }
  std::sort(all.begin(), all.end(), [](const Point& a, const Point& b) { return a.time < b.time; });
  for (const std::string op :
       {"sum", "avg", "min", "max", "stdvar", "stddev", "first", "last", "rate", "quantile"}) {
    for (const auto& [range, step, offset] : std::vector<std::array<int, 3>>{
             {60, 60, 0}, {300, 20, 0}, {20, 100, 0}, {90, 70, 30}, {700, 10, -50}}) {
      QueryRequest request = logs("");
      request.start_ns = 0;
      request.end_ns = 1000 * kSecond;
      request.step_ns = step * kSecond;
      request.text = (op == "rate" ? op : op + "_over_time") + "(" +
                     (op == "quantile" ? "0.9, " : "") + "{job=\"a\"} | logfmt | unwrap v [" +
                     std::to_string(range) + "s]" +
                     (offset == 0 ? "" : " offset " + std::to_string(offset) + "s") + ")";
      const auto result = run(request);
      ASSERT_TRUE(result.ok()) << request.text << result.status().to_string();
      const auto& series = std::get<Matrix>(result->data).series;
      ASSERT_EQ(series.size(), 1U);
      std::size_t next = 0;
      for (std::int64_t t = 0; t <= 1000 + step; t += step) {
        if (t > 1000 && (1000 % step == 0 || t - step >= 1000)) break;
        std::vector<Point> inside;
        for (const Point& p : all)
          if (p.time > (t - offset - range) * kSecond && p.time <= (t - offset) * kSecond)
            inside.push_back(p);
        if (inside.empty()) continue;
        ASSERT_LT(next, series[0].samples.size()) << request.text;
        EXPECT_EQ(series[0].samples[next].timestamp_ms, t * 1000) << request.text;
        EXPECT_NEAR(series[0].samples[next].value, naive(op, inside, range), 1e-6) << request.text;
        ++next;
      }
      EXPECT_EQ(next, series[0].samples.size()) << request.text;
    }
  }
}

}  // namespace
}  // namespace skald::query
