#include "query/alert/rule_file.h"

#include <gtest/gtest.h>

namespace skald::query::alert {
namespace {

constexpr const char* kGood = R"(groups:
  - name: voice
    interval: 30s
    limit: 10
    labels:
      team: sales
    rules:
      - alert: Errors
        expr: |
          sum by (app) (rate({app="voice"} |= "error" [5m])) > 0.1
        for: 2m
        keep_firing_for: 5m
        labels:
          severity: critical
        annotations:
          summary: '{{ $labels.app }}: {{ $value | humanize }} errors/s'
      - record: app:errors:rate5m
        expr: sum by (app) (rate({app="voice"} |= "error" [5m]))
)";

TEST(RuleFile, ReadsEveryField) {
  const RuleFile file = parse_rule_file(kGood);
  ASSERT_TRUE(file.ok()) << file.errors[0].to_string();
  ASSERT_EQ(file.groups.size(), 1U);
  const RuleGroup& group = file.groups[0];
  EXPECT_EQ(group.name, "voice");
  EXPECT_EQ(group.interval_ns, 30'000'000'000);
  EXPECT_EQ(group.limit, 10);
  ASSERT_EQ(group.rules.size(), 2U);
  EXPECT_EQ(group.rules[0].for_ns, 120'000'000'000);
  EXPECT_EQ(group.rules[0].keep_firing_for_ns, 300'000'000'000);
  EXPECT_EQ(group.rules[0].labels.at("severity"), "critical");
  EXPECT_EQ(group.rules[0].line, 8);
  EXPECT_EQ(group.rules[1].record, "app:errors:rate5m");
}

TEST(RuleFile, WritesWhatItReadsBack) {
  const RuleFile file = parse_rule_file(kGood);
  const std::string text = rule_file_to_yaml(file.groups);
  const RuleFile again = parse_rule_file(text);
  ASSERT_TRUE(again.ok()) << text << again.errors[0].to_string();
  EXPECT_EQ(rule_file_to_yaml(again.groups), text);
  EXPECT_EQ(again.groups[0].rules[0].expr, file.groups[0].rules[0].expr);
  EXPECT_EQ(again.groups[0].rules[0].labels.at("team"), "sales");  // folded into the rules
}

TEST(RuleFile, EmptyTextHasNoGroups) {
  EXPECT_TRUE(parse_rule_file("").ok());
  EXPECT_TRUE(parse_rule_file("groups:\n").ok());
  EXPECT_TRUE(parse_rule_file("groups: []").groups.empty());
}

struct BadFile {
  const char* yaml;
  const char* finding;
};

TEST(RuleFile, NamesLineAndReasonOfEachMistake) {
  const BadFile cases[] = {
      {"groups: [", "1:1: "},
      {"group: []", "1:1: field group not found in rule file"},
      {"groups: 5", "1:9: groups must be a list"},
      {"groups:\n- name: a\n  name: b\n", "3:3: mapping key \"name\" already defined"},
      {"groups:\n- name: a\n  intervall: 1m\n", "3:3: field intervall not found in rule group"},
      {"groups:\n- name: a\n  interval: 1x\n", "3:13: unknown unit \"x\" in duration \"1x\""},
      {"groups:\n- name: a\n  limit: many\n", "3:10: limit must be a whole number"},
      {"groups:\n- name: ''\n", "2: Groupname must not be empty"},
      {"groups:\n- name: a\n- name: a\n", "3: groupname: \"a\" is repeated in the same file"},
      {"groups:\n- name: a\n  rules:\n  - expr: vector(1)\n",
       "4: group \"a\", rule 1, \"\": one of 'record' or 'alert' must be set"},
      {"groups:\n- name: a\n  rules:\n  - {alert: x, record: y, expr: vector(1)}\n",
       "4: group \"a\", rule 1, \"x\": only one of 'record' and 'alert' must be set"},
      {"groups:\n- name: a\n  rules:\n  - alert: x\n",
       "4: group \"a\", rule 1, \"x\": field 'expr' must be set in rule"},
      {"groups:\n- name: a\n  rules:\n  - alert: x\n    expr: sum(\n",
       "4: group \"a\", rule 1, \"x\": could not parse expression for alert 'x' in group 'a': "
       "parse error"},
      {"groups:\n- name: a\n  rules:\n  - alert: x\n    expr: '{a=\"b\"}'\n",
       "4: group \"a\", rule 1, \"x\": expression for alert 'x' in group 'a' selects log lines"},
      {"groups:\n- name: a\n  rules:\n  - {record: x, expr: vector(1), for: 1m}\n",
       "invalid field 'for' in recording rule"},
      {"groups:\n- name: a\n  rules:\n  - {record: x, expr: vector(1), annotations: {a: b}}\n",
       "invalid field 'annotations' in recording rule"},
      {"groups:\n- name: a\n  rules:\n  - {record: 'a b', expr: vector(1)}\n",
       "invalid recording rule name: a b"},
      {"groups:\n- name: a\n  rules:\n  - {alert: x, expr: vector(1), labels: {a-b: c}}\n",
       "invalid label name: a-b"},
      {"groups:\n- name: a\n  rules:\n  - {alert: x, expr: vector(1), labels: {__name__: c}}\n",
       "invalid label name: __name__"},
      {"groups:\n- name: a\n  rules:\n  - {alert: x, expr: vector(1), annotations: {s: '{{ x'}}\n",
       "annotation \"s\": template: __alert_x:1: function \"x\" not defined"},
      {"groups:\n- name: a\n  rules:\n  - {alert: x, expr: vector(1), severity: high}\n",
       "field severity not found in rule"},
      {"groups:\n- name: a\n  rules: 1\n", "3:10: rules must be a list"},
      {"groups:\n- 5\n", "2:3: rule group must be a map of fields"},
      {"[]", "1:1: rule file must be a map of fields"},
  };
  for (const BadFile& bad : cases) {
    const RuleFile file = parse_rule_file(bad.yaml);
    ASSERT_FALSE(file.ok()) << bad.yaml;
    EXPECT_NE(file.errors[0].to_string().find(bad.finding), std::string::npos)
        << bad.yaml << "\n"
        << file.errors[0].to_string();
  }
}

TEST(RuleGroupBody, SpeaksLokisErrors) {
  auto bad = parse_rule_group("]");
  EXPECT_EQ(bad.status().message(), "unable to decoded rule group");
  EXPECT_EQ(parse_rule_group("name: x\nnope: 1").status().message(),
            "unable to decoded rule group");
  auto invalid = parse_rule_group(
      "rules:\n- {alert: a, expr: ''}\n- {record: r, expr: vector(1), "
      "for: 1m}");
  EXPECT_EQ(invalid.status().message(),
            "group 0: Groupname must not be empty, field 'expr' must be set in rule, invalid field "
            "'for' in recording rule");
  auto good = parse_rule_group("name: g\nrules:\n- alert: a\n  expr: vector(1)\n");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(group_to_yaml(*good), "name: g\nrules:\n    - alert: a\n      expr: vector(1)\n");
}

std::string alerts(int count, const std::string& annotation) {
  std::string out = "name: g\nrules:\n";
  for (int i = 0; i < count; ++i)
    out += "- {alert: a, expr: vector(1), annotations: {x: '" + annotation + "'}}\n";
  return out;
}

TEST(RuleGroupBody, MayBeOneMebibyte) {
  const auto long_one = parse_rule_group(alerts(1, std::string(2 << 20, 'x')));
  EXPECT_EQ(long_one.status().message(), "rule group is longer than 1048576 bytes; use several");
}

TEST(RuleGroupBody, ItsTemplatesAreBoundedTogether) {
  const std::string usual = "{{ $labels.app }} has {{ $value | humanize }} errors";
  EXPECT_TRUE(parse_rule_group(alerts(2'000, usual)).ok());
  std::string wide;
  for (int i = 0; i < 1'000; ++i) wide += "{{ .a }}";
  EXPECT_TRUE(parse_rule_group(alerts(1, wide)).ok());
  EXPECT_EQ(parse_rule_group(alerts(100, wide)).status().message(),
            "the templates of the group have more than 100000 parts together; use several groups");
}

TEST(RuleGroupBody, AnAliasCountsWithWhatItStandsFor) {
  std::string body = alerts(1, std::string(100'000, 'x'));
  body.replace(body.find("- {alert"), 2, "- &rule ");
  for (int i = 0; i < 200; ++i) body += "- *rule\n";
  EXPECT_EQ(parse_rule_group(body).status().message(),
            "the texts of the rules are longer than 8388608 bytes together");
}

TEST(RuleGroupBody, ManyValuesAreRefusedBeforeTheyAreATree) {
  const auto error_of = [](std::string_view value, int times, std::string_view begin,
                           std::string_view end) {
    std::string text(begin);
    for (int i = 0; i < times; ++i) text += value;
    const RuleFile file = parse_rule_file(text.append(end));
    return file.errors.size() == 1 ? file.errors[0].message : "no error";
  };
  EXPECT_EQ(error_of("a,", 300'000, "groups: [", "]"), "more than 250000 values in brackets");
  EXPECT_EQ(error_of("- a\n", 300'000, "groups:\n", ""), "more than 250000 values");
  std::string group = "name: a\nrules: []\nlabels:\n";
  for (int i = 0; i < 60'000; ++i) group += "  a" + std::to_string(i) + ": b\n";
  EXPECT_EQ(parse_rule_group(group).status().message(), "unable to decoded rule group");
}

TEST(RuleYaml, QuotesWhatWouldReadAsAnotherType) {
  RuleGroup group;
  group.name = "yes";
  Rule rule;
  rule.alert = "1.5";
  rule.expr = "count_over_time({a=\"b\"} |~ `x: y` [1m]) > 0";
  rule.annotations = {{"a", "two\nlines"},  {"b", ""},      {"c", "- x"},
                      {"d", "caf\xC3\xA9"}, {"e", "a # b"}, {"f", "{{ $value }}"}};
  group.rules.push_back(rule);
  const std::string text = rule_file_to_yaml({group});
  const RuleFile again = parse_rule_file(text);
  ASSERT_TRUE(again.ok()) << text << again.errors[0].to_string();
  EXPECT_EQ(again.groups[0].name, "yes");
  EXPECT_EQ(again.groups[0].rules[0].alert, "1.5");
  EXPECT_EQ(again.groups[0].rules[0].expr, rule.expr);
  EXPECT_EQ(again.groups[0].rules[0].annotations, rule.annotations);
}

}  // namespace
}  // namespace skald::query::alert
