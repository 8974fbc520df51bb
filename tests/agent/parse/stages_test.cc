// What each stage does to a line: one case per rule of the contract.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/parse/harness.h"

namespace skald::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Case {
  const char* name;
  const char* stages;
  const char* line;
  const char* expected;
};

// `static_labels`-like views of the extracted map: labels and structured metadata show it.
constexpr Case kCases[] = {
    // ---- json
    {"JsonTakesFields",
     "- json: {expressions: {level: , msg: message}}\n- labels: {level: , msg: }",
     R"({"level":"info","message":"hi"})",
     R"({job="j", level="info", msg="hi"} {"level":"info","message":"hi"})"},
    {"JsonMissingFieldIsNullAndNoLabel", "- json: {expressions: {level: }}\n- labels: {level: }",
     R"({"a":1})", R"({job="j"} {"a":1})"},
    {"JsonNullKeepsAnOldLabel",
     "- static_labels: {level: old}\n- json: {expressions: {level: }}\n- labels: {level: }",
     R"({"level":null})", R"({job="j", level="old"} {"level":null})"},
    {"JsonNumbersInPlainDecimal",
     "- json: {expressions: {a: , b: , c: , d: , e: }}\n"
     "- labels: {a: , b: , c: , d: , e: }",
     R"({"a":1e3,"b":1.50,"c":9007199254740993,"d":-0.25,"e":1.5e-7})",
     R"({a="1000", b="1.5", c="9007199254740992", d="-0.25", e="0.00000015", job="j"} )"
     R"({"a":1e3,"b":1.50,"c":9007199254740993,"d":-0.25,"e":1.5e-7})"},
    {"JsonBooleans", "- json: {expressions: {a: , b: }}\n- labels: {a: , b: }",
     R"({"a":true,"b":false})", R"({a="true", b="false", job="j"} {"a":true,"b":false})"},
    {"JsonObjectsAndArraysAsCompactJson", "- json: {expressions: {a: , b: }}\n- labels: {a: , b: }",
     R"({"a": {"x": 1.0, "y": ["<b>", null]}, "b": [ 1 , 2 ]})",
     R"x({a="{\"x\":1,\"y\":[\"\\u003cb\\u003e\",null]}", b="[1,2]", job="j"} )x"
     R"x({"a": {"x": 1.0, "y": ["<b>", null]}, "b": [ 1 , 2 ]})x"},
    {"JsonNestedPath", "- json: {expressions: {a: x.y.z}}\n- labels: {a: }",
     R"({"x":{"q":1,"y":{"z":"deep"}}})", R"({a="deep", job="j"} {"x":{"q":1,"y":{"z":"deep"}}})"},
    {"JsonQuotedKey",
     "- json: {expressions: {a: '\"k8s.pod-name\"', b: '\"x.y\".z'}}\n"
     "- labels: {a: , b: }",
     R"({"k8s.pod-name":"p","x.y":{"z":"w"}})",
     R"({a="p", b="w", job="j"} {"k8s.pod-name":"p","x.y":{"z":"w"}})"},
    {"JsonIndicesAndPipes",
     "- json: {expressions: {a: 'list[0].id', b: 'list[-1] | id'}}\n"
     "- labels: {a: , b: }",
     R"({"list":[{"id":"x"},{"id":"y"}]})",
     R"({a="x", b="y", job="j"} {"list":[{"id":"x"},{"id":"y"}]})"},
    {"JsonEscapes", "- json: {expressions: {a: }}\n- labels: {a: }",
     R"({"a":"q\"\\\/\n\u00e9\ud83d\ude00\ud800"})",
     "{a=\"q\\\"\\\\/\\n\u00e9\U0001F600\uFFFD\", job=\"j\"} "
     R"({"a":"q\"\\\/\n\u00e9\ud83d\ude00\ud800"})"},
    {"JsonEscapedKey", "- json: {expressions: {ab: }}\n- labels: {ab: }", R"({"\u0061b":"x"})",
     R"({ab="x", job="j"} {"\u0061b":"x"})"},
    {"JsonLastDuplicateWins", "- json: {expressions: {a: , b: x.y}}\n- labels: {a: , b: }",
     R"({"a":"1","x":{"y":"old"},"a":"2","x":{"z":1}})",
     R"({a="2", job="j"} {"a":"1","x":{"y":"old"},"a":"2","x":{"z":1}})"},
    {"JsonSource",
     "- json: {expressions: {inner: }}\n- json: {expressions: {a: }, source: inner}\n"
     "- labels: {a: }",
     R"({"inner":"{\"a\":\"x\"}"})", R"x({a="x", job="j"} {"inner":"{\"a\":\"x\"}"})x"},
    {"JsonMalformedPassesByDefault", "- json: {expressions: {a: }}\n- labels: {a: }", "not json",
     R"({job="j"} not json)"},
    {"JsonTrailingBytesAreMalformed", "- json: {expressions: {a: }}\n- labels: {a: }",
     R"({"a":"x"} tail)", R"({job="j"} {"a":"x"} tail)"},
    {"JsonArrayIsMalformed", "- json: {expressions: {a: }, drop_malformed: true}", "[1]",
     "dropped"},
    {"JsonBareNullPasses", "- json: {expressions: {a: }, drop_malformed: true}", "null",
     R"({job="j"} null)"},
    {"JsonDropsMalformed", "- json: {expressions: {a: }, drop_malformed: true}", R"({"a":)",
     "dropped"},
    {"JsonSeesLabelsAsSources", "- labels: {copy: job}", "x", R"({copy="j", job="j"} x)"},
    // ---- logfmt
    {"Logfmt",
     "- logfmt: {mapping: {level: lvl, msg: , flag: }}\n- labels: {level: , msg: , flag: }",
     R"(lvl=warn msg="a \"b\"" flag)",
     R"x({job="j", level="warn", msg="a \"b\""} lvl=warn msg="a \"b\"" flag)x"},
    {"LogfmtLastDuplicateWins", "- logfmt: {mapping: {a: }}\n- labels: {a: }", "a=1 a=2",
     R"({a="2", job="j"} a=1 a=2)"},
    {"LogfmtStopsAtAnError", "- logfmt: {mapping: {a: , b: }}\n- labels: {a: , b: }",
     R"(a=1 "x=2 b=3)", R"({a="1", job="j"} a=1 "x=2 b=3)"},
    // ---- regex
    {"Regex", "- regex: {expression: '^(?P<a>\\w+) (?P<b>\\d+)?'}\n- labels: {a: , b: }",
     "hello 12", R"({a="hello", b="12", job="j"} hello 12)"},
    {"RegexUnmatchedGroupIsEmpty",
     "- regex: {expression: '(?P<a>x)|(?P<b>y)'}\n"
     "- template: {source: c, template: '[{{.a}}{{.b}}]'}\n- labels: {c: }",
     "y", R"({c="[y]", job="j"} y)"},
    {"RegexNoMatchChangesNothing", "- regex: {expression: '^(?P<a>\\d+)$'}\n- labels: {a: }", "x",
     R"({job="j"} x)"},
    {"RegexOnFilename",
     "- regex: {source: filename, expression: '/(?P<app>[^/]+)\\.log$'}\n"
     "- labels: {app: }",
     "x", R"({app="api", filename="/var/log/api.log", job="j"} x)"},
    // ---- template
    {"TemplateValue",
     "- json: {expressions: {level: }}\n"
     "- template: {source: level, template: '{{ ToUpper .Value }}'}\n- labels: {level: }",
     R"({"level":"warn"})", R"({job="j", level="WARN"} {"level":"warn"})"},
    {"TemplateCondition",
     "- json: {expressions: {l: }}\n"
     "- template: {source: l, template: '{{ if eq .Value \"WARNING\" }}warn{{ else }}{{ .Value "
     "}}{{ end }}'}\n"
     "- labels: {l: }",
     R"({"l":"WARNING"})", R"({job="j", l="warn"} {"l":"WARNING"})"},
    {"TemplateNewKeyFromEntry",
     "- template: {source: out, template: '<{{ .Entry }}>'}\n"
     "- output: {source: out}",
     "abc", R"({job="j"} <abc>)"},
    {"TemplateEmptyRemovesTheKey",
     "- static_labels: {a: old}\n- template: {source: a, template: ''}\n"
     "- labels: {b: a}",
     "x", R"({a="old", job="j"} x)"},
    {"TemplateRegexReplace",
     "- template: {source: o, template: '{{ regexReplaceAll \"[0-9]+\" .Entry \"N\" }}'}\n"
     "- output: {source: o}",
     "a1b22", R"({job="j"} aNbN)"},
    // ---- replace
    {"ReplaceGroups", "- replace: {expression: 'password=(\\S+)', replace: '***'}",
     "user=a password=b c password=d", R"({job="j"} user=a password=*** c password=***)"},
    {"ReplaceEmptyRemoves", "- replace: {expression: '(secret)'}", "a secret b",
     R"({job="j"} a  b)"},
    {"ReplaceWithoutGroupChangesNothing", "- replace: {expression: 'secret', replace: x}", "secret",
     R"({job="j"} secret)"},
    {"ReplaceValueAndNamedGroup",
     "- replace: {expression: '(?P<word>b+)', replace: '{{ .Value | ToUpper }}'}\n"
     "- labels: {word: }",
     "abba", R"({job="j", word="BB"} aBBa)"},
    {"ReplaceSource",
     "- json: {expressions: {m: }}\n- replace: {source: m, expression: '(x)', replace: y}\n"
     "- output: {source: m}",
     R"({"m":"axb"})", R"({job="j"} ayb)"},
    // ---- labels
    {"LabelDrop", "- labeldrop: [job, nope]", "x", "{} x"},
    {"LabelAllowAlsoRemovesFilename", "- labelallow: [job]", "x", R"({job="j"} x)"},
    {"StaticLabels", "- static_labels: {env: prod, empty: ''}", "x", R"({env="prod", job="j"} x)"},
    // ---- structured metadata
    {"StructuredMetadata",
     "- json: {expressions: {id: }}\n- structured_metadata: {id: , trace: id}", R"({"id":"7"})",
     R"({job="j"} {"id":"7"} [id=7 trace=7])"},
    {"StructuredMetadataMovesALabelOnce", "- structured_metadata: {job: }", "x", R"({} x [job=j])"},
    {"NonIndexedLabelsIsTheSame", "- non_indexed_labels: {job: }", "x", R"({} x [job=j])"},
    // ---- output, tenant, pack, decolorize
    {"Output", "- json: {expressions: {msg: }}\n- output: {source: msg}", R"({"msg":"hi"})",
     R"({job="j"} hi)"},
    {"OutputOfAMissingSourceChangesNothing", "- output: {source: nope}", "x", R"({job="j"} x)"},
    {"TenantFromSource", "- json: {expressions: {t: }}\n- tenant: {source: t}", R"({"t":"acme"})",
     R"({job="j"} tenant=acme {"t":"acme"})"},
    {"TenantFromLabel", "- tenant: {label: job}", "x", R"({job="j"} tenant=j x)"},
    {"TenantValue", "- tenant: {value: t1}", "x", R"({job="j"} tenant=t1 x)"},
    {"TenantEmptyChangesNothing", "- tenant: {source: nope}", "x", R"({job="j"} x)"},
    {"Pack", "- pack: {labels: [job, nope], ingest_timestamp: false}", R"(say "hi" <)",
     R"x({} {"job":"j","_entry":"say \"hi\" \u003c"})x"},
    {"Decolorize", "- decolorize:", "\x1b[31mred\x1b[0m \x1b[1;32mbold\x1b[m.",
     R"({job="j"} red bold.)"},
    // ---- match
    {"MatchRunsItsStages",
     "- match: {selector: '{job=\"j\"}', stages: [{static_labels: {hit: y}}]}", "x",
     R"({hit="y", job="j"} x)"},
    {"MatchAbsentLabelIsEmpty",
     "- match: {selector: '{app=\"\"}', stages: [{static_labels: {hit: y}}]}", "x",
     R"({hit="y", job="j"} x)"},
    {"MatchOfAnotherLabelPasses",
     "- match: {selector: '{job=\"k\"}', stages: [{static_labels: {hit: y}}]}\n"
     "- static_labels: {end: y}",
     "x", R"({end="y", job="j"} x)"},
    {"MatchRegexIsAnchored", "- match: {selector: '{job=~\"[a-i]\"}', action: drop}\n", "x",
     R"({job="j"} x)"},
    {"MatchLineFilters",
     "- match: {selector: '{job!=\"\"} |= \"err\" != \"ignore\" |~ \"E[0-9]\" !~ `E9`', action: "
     "drop}",
     "err E5", "dropped"},
    {"MatchLineFilterRefuses",
     "- match: {selector: '{job!=\"\"} |= \"err\" !~ `E9`', action: drop}", "err E9",
     R"({job="j"} err E9)"},
    {"MatchNests",
     "- match: {selector: '{job=\"j\"}', stages: [{match: {selector: '{x=\"y\"}', "
     "stages: [{static_labels: {a: '1'}}]}}, {static_labels: {b: '2'}}]}",
     "l", R"({b="2", job="j"} l)"},
    {"MatchCopiesLabelsToExtracted",
     "- template: {source: job, template: changed}\n"
     "- match: {selector: '{job=\"j\"}', stages: [{labels: {copy: job}}]}",
     "l", R"({copy="j", job="j"} l)"},
    // ---- drop
    {"DropByLineRegex", "- drop: {expression: 'health'}", "GET /healthz", "dropped"},
    {"DropBySourceValue", "- json: {expressions: {l: }}\n- drop: {source: l, value: debug}",
     R"({"l":"debug"})", "dropped"},
    {"DropValueIsAFullMatch", "- json: {expressions: {l: }}\n- drop: {source: l, value: debug}",
     R"({"l":"debugger"})", R"({job="j"} {"l":"debugger"})"},
    {"DropJoinsSources",
     "- json: {expressions: {a: , b: }}\n- drop: {source: [a, b], expression: '^x;y$'}",
     R"({"a":"x","b":"y"})", "dropped"},
    {"DropConditionsAreAnded", "- drop: {expression: a, longer_than: 10}", "a short",
     R"({job="j"} a short)"},
    {"DropLongerThan", "- drop: {longer_than: 4}", "12345", "dropped"},
    {"DropLongerThanExact", "- drop: {longer_than: 5}", "12345", R"({job="j"} 12345)"},
    {"DropPresenceCountsNull", "- json: {expressions: {a: }}\n- drop: {source: a}", "{}",
     "dropped"},
    {"DropPresenceNeedsEveryKey", "- json: {expressions: {a: }}\n- drop: {source: [a, zz]}", "{}",
     R"({job="j"} {})"},
    {"DropNullFailsAnExpression",
     "- json: {expressions: {a: }}\n- drop: {source: a, expression: '.*'}", "{}",
     R"({job="j"} {})"},
    {"DropOlderThan",
     "- json: {expressions: {t: }}\n- timestamp: {source: t, format: RFC3339}\n"
     "- drop: {older_than: 24h}",
     R"({"t":"2025-11-23T15:59:59Z"})", "dropped"},
    // ---- limit, sampling
    {"SamplingNone", "- sampling: {rate: 0}", "x", "dropped"},
    {"SamplingAll", "- sampling: {rate: 1}", "x", R"({job="j"} x)"},
    // ---- cri, docker
    {"Cri", "- cri: {}", "2025-11-24T15:00:00.123456789Z stderr F hello world",
     R"({job="j", stream="stderr"} @2025-11-24T15:00:00.123456789Z hello world)"},
    {"CriEmptyContent", "- cri: {}", "2025-11-24T15:00:00Z stdout F ",
     R"({job="j", stream="stdout"} @2025-11-24T15:00:00Z )"},
    {"CriOtherLinesPass", "- cri: {}", "plain text", R"({job="j"} plain text)"},
    {"Docker", "- docker: {}",
     R"({"log":"hi\n","stream":"stdout","time":"2025-11-24T15:00:00.5Z"})",
     R"({job="j", stream="stdout"} @2025-11-24T15:00:00.5Z hi)"},
};

class StageCase : public ::testing::TestWithParam<Case> {};

TEST_P(StageCase, ComesOutAsTheContractSays) {
  const Case& c = GetParam();
  model::Labels labels{{"job", "j"}};
  const std::string_view name = c.name;
  if (name == "RegexOnFilename" || name == "LabelAllowAlsoRemovesFilename") {
    labels.set("filename", "/var/log/api.log");
  }
  EXPECT_THAT(run_lines(c.stages, {c.line}, labels), ElementsAre(c.expected));
}

INSTANTIATE_TEST_SUITE_P(Stages, StageCase, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(MatchStage, KeepsTheOrderOfLines) {
  EXPECT_THAT(
      run_lines("- match: {selector: '{job=\"j\"} |= \"a\"', stages: [{static_labels: {x: y}}]}",
                {"a1", "b2", "a3"}),
      ElementsAre(R"({job="j", x="y"} a1)", R"({job="j"} b2)", R"({job="j", x="y"} a3)"));
}

TEST(DropStage, CountsByReasonAndWarnsAboutPresence) {
  Harness harness("- drop: {source: job, drop_counter_reason: noisy}");
  harness.line("x");
  EXPECT_EQ(harness.metrics.dropped_lines_total("noisy"), 1U);
  ASSERT_EQ(harness.warnings.size(), 1U);
  EXPECT_THAT(harness.warnings[0], HasSubstr("null counts"));
}

TEST(JsonStage, CountsWhatItDropsAsMalformed) {
  Harness harness("- json: {expressions: {a: }, drop_malformed: true}");
  harness.line("x");
  EXPECT_EQ(harness.metrics.dropped_lines_total("json_malformed"), 1U);
}

TEST(LimitStage, DropsAboveRateAndBurst) {
  Harness harness("- limit: {rate: 10, burst: 2, drop: true}");
  for (int i = 0; i < 4; ++i) harness.line("x");
  harness.line("y", kReadNs + 100'000'000);  // one token came back
  EXPECT_THAT(harness.take(), ElementsAre(R"({job="j"} x)", R"({job="j"} x)", "dropped", "dropped",
                                          R"({job="j"} y)"));
  EXPECT_EQ(harness.metrics.dropped_lines_total("ratelimit_drop_stage"), 2U);
}

TEST(LimitStage, WithoutDropAsksTheReaderToWait) {
  Harness harness("- limit: {rate: 10, burst: 1}");
  harness.line("x");
  EXPECT_LE(harness.pipeline->blocked_until_ns(), kReadNs);
  harness.line("y");
  EXPECT_EQ(harness.take().size(), 2U);
  EXPECT_EQ(harness.pipeline->blocked_until_ns(), kReadNs + 100'000'000);
}

TEST(LimitStage, ByLabelCountsPerValueAndPassesWhatHasNone) {
  Harness harness(
      "- json: {expressions: {app: }}\n- labels: {app: }\n"
      "- limit: {rate: 1, burst: 1, drop: true, by_label_name: app}");
  for (const char* line : {R"({"app":"a"})", R"({"app":"a"})", R"({"app":"b"})", "{}", "{}"}) {
    harness.line(line);
  }
  EXPECT_THAT(harness.take(), ElementsAre(R"({app="a", job="j"} {"app":"a"})", "dropped",
                                          R"({app="b", job="j"} {"app":"b"})", R"({job="j"} {})",
                                          R"({job="j"} {})"));
  std::string text;
  harness.metrics.render(text, kReadNs);
  EXPECT_THAT(
      text,
      HasSubstr(R"(logentry_dropped_lines_by_label_total{label_name="app",label_value="a"} 1)"));
}

TEST(SamplingStage, KeepsAboutItsShare) {
  Harness harness("- sampling: {rate: 0.25}");
  for (int i = 0; i < 10'000; ++i) harness.line("x");
  const auto out = harness.take();
  const auto kept =
      std::count_if(out.begin(), out.end(), [](const auto& s) { return s != "dropped"; });
  EXPECT_NEAR(static_cast<double>(kept), 2500, 200);
}

TEST(PackStage, TakesTheTimeOfReadingByDefault) {
  EXPECT_THAT(run_lines("- json: {expressions: {t: }}\n- timestamp: {source: t, format: RFC3339}\n"
                        "- pack: {labels: []}",
                        {R"({"t":"2020-01-01T00:00:00Z"})"}),
              ElementsAre(R"x({job="j"} {"_entry":"{\"t\":\"2020-01-01T00:00:00Z\"}"})x"));
}

TEST(MetricsStage, CountsSetsAndObserves) {
  Harness harness(R"y(
- json: {expressions: {ms: , level: , took: }}
- labels: {level: }
- metrics:
    lines_total: {type: Counter, description: all lines, config: {match_all: true, action: inc}}
    bytes_total: {type: Counter, config: {match_all: true, count_entry_bytes: true, action: add}}
    errors_total: {type: counter, source: level, config: {value: error, action: inc}}
    last_ms: {type: Gauge, source: ms, prefix: my_, config: {action: set}}
    took: {type: Histogram, config: {buckets: [0.1, 1]}}
)y");
  ASSERT_EQ(harness.error, "");
  harness.line(R"({"ms":5,"level":"info","took":"50ms"})");
  harness.line(R"({"ms":7.5,"level":"error","took":2})");
  std::string text;
  harness.metrics.render(text, kReadNs);
  for (const char* expected : {
           "# HELP promtail_custom_lines_total all lines",
           R"(promtail_custom_lines_total{job="j",level="info"} 1)",
           R"(promtail_custom_lines_total{job="j",level="error"} 1)",
           R"(promtail_custom_bytes_total{job="j",level="info"} 37)",
           R"(promtail_custom_errors_total{job="j",level="error"} 1)",
           R"(my_last_ms{job="j",level="error"} 7.5)",
           R"(promtail_custom_took_bucket{job="j",level="info",le="0.1"} 1)",
           R"(promtail_custom_took_bucket{job="j",level="error",le="+Inf"} 1)",
           R"(promtail_custom_took_sum{job="j",level="error"} 2)",
       }) {
    EXPECT_THAT(text, HasSubstr(expected));
  }
  EXPECT_THAT(text, ::testing::Not(HasSubstr(R"(errors_total{job="j",level="info"})")));
  text.clear();
  harness.metrics.render(text, kReadNs + 301'000'000'000);  // idle for more than 5m
  EXPECT_THAT(text, ::testing::Not(HasSubstr("promtail_custom_lines_total{")));
}

TEST(LabelGuard, DemotesNewValuesBeyondTheBudget) {
  Harness harness("- json: {expressions: {id: }}\n- labels: {id: }", {{"job", "j"}}, true);
  for (const char* id : {"1", "2", "3", "4", "2", "5"}) {
    harness.line(std::string(R"({"id":")") + id + "\"}");
  }
  EXPECT_THAT(harness.take(),
              ElementsAre(R"({id="1", job="j"} {"id":"1"})", R"({id="2", job="j"} {"id":"2"})",
                          R"({id="3", job="j"} {"id":"3"})", R"({job="j"} {"id":"4"} [id=4])",
                          R"({id="2", job="j"} {"id":"2"})", R"({job="j"} {"id":"5"} [id=5])"));
  ASSERT_EQ(harness.warnings.size(), 1U);
  EXPECT_THAT(harness.warnings[0], HasSubstr("label `id` has more than 3 values"));
  std::string text;
  harness.policy.render_metrics(text);
  EXPECT_THAT(text, HasSubstr(R"(skald_agent_label_demoted_entries_total{label="id"} 2)"));
}

TEST(LabelGuard, DoesNotCountTenantsOrTheFilesOwnLabels) {
  Harness harness("- tenant: {source: job}\n- json: {expressions: {t: }}\n- tenant: {source: t}",
                  {{"job", "j"}}, true);
  for (int i = 0; i < 10; ++i) harness.line(R"({"t":"t)" + std::to_string(i) + "\"}");
  EXPECT_EQ(harness.warnings.size(), 0U);
  EXPECT_EQ(harness.take()[9], R"({job="j"} tenant=t9 {"t":"t9"})");
}

TEST(Pipeline, SameLabelsAreTheSameSet) {
  Harness harness("- json: {expressions: {level: }}\n- labels: {level: }");
  struct Sink final : EntrySink {
    void on_entry(const EntryOut& entry) override { sets.push_back(entry.labels); }
    void on_dropped(const SourceRange&) override {}
    std::vector<const LabelSet*> sets;
  } sink;
  LineIn in;
  in.labels = harness.base.get();
  for (const char* line : {R"({"level":"a"})", R"({"level":"b"})", R"({"level":"a"})"}) {
    in.line = line;
    harness.pipeline->process(in, sink);
  }
  EXPECT_EQ(sink.sets[0], sink.sets[2]);
  EXPECT_NE(sink.sets[0], sink.sets[1]);
}

TEST(Pipeline, SurvivesCollectionOfUnusedSets) {
  Harness harness("- json: {expressions: {level: }}\n- labels: {level: }");
  harness.line(R"({"level":"a"})");
  EXPECT_EQ(harness.sets.collect(), 0U);
  EXPECT_EQ(harness.sets.collect(), 1U);  // {job, level}; the file's own set is pinned
  harness.line(R"({"level":"a"})");
  EXPECT_EQ(harness.take()[1], R"({job="j", level="a"} {"level":"a"})");
}

TEST(Pipeline, InspectorSeesEveryStage) {
  Harness harness("- json: {expressions: {level: }}\n- labels: {level: }\n- drop: {expression: x}");
  struct Inspector final : StageInspector {
    void on_stage(std::string_view name, const Snapshot& before, const Snapshot& after,
                  std::string_view outcome) override {
      text += format_stage_diff(name, before, after, outcome, false);
    }
    std::string text;
  } inspector;
  harness.pipeline->set_inspector(&inspector);
  harness.line(R"({"level":"x"})");
  EXPECT_EQ(inspector.text,
            "[inspect: json stage]:\nExtracted[\"level\"]:\n\t+: x\n"
            "[inspect: labels stage]:\nLabels[\"level\"]:\n\t+: x\n"
            "[inspect: drop stage]: dropped\n");
}

}  // namespace
}  // namespace skald::agent
