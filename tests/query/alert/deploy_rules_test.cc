// The rules and Alertmanager routes that deploy/ ships: all load, all are tested, all are routed.
#include <gtest/gtest.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "query/alert/rule_cli.h"
#include "query/alert/rule_file.h"
#include "query/alert/rule_test_file.h"

namespace skald::query::alert {
namespace {

namespace fs = std::filesystem;
const std::string kRules = std::string(SKALD_SOURCE_DIR) + "/deploy/rules";

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> files_in(const std::string& dir) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(dir)) out.push_back(entry.path());
  return out;
}

TEST(DeployRules, AllLoad) {
  std::ostringstream out;
  EXPECT_EQ(check_rules({kRules}, out), 0) << out.str();
}

TEST(DeployRules, UnitTestsPass) {
  std::ostringstream out;
  EXPECT_EQ(test_rules(files_in(kRules + "/tests"), out), 0) << out.str();
}

TEST(DeployRules, EveryAlertIsTestedAndHasSeveritySummaryAndRunbook) {
  std::set<std::string> tested;
  for (const auto& path : files_in(kRules + "/tests")) {
    auto tests = parse_rule_tests(read(path));
    ASSERT_TRUE(tests.ok()) << path << tests.status().message();
    for (const RuleTest& test : tests->tests)
      for (const AlertTest& alert : test.alerts)
        if (!alert.alerts.empty()) tested.insert(alert.alertname);
  }
  for (const auto& path : files_in(kRules + "/fake")) {
    for (const RuleGroup& group : parse_rule_file(read(path)).groups) {
      for (const Rule& rule : group.rules) {
        if (!rule.is_alert()) continue;
        EXPECT_TRUE(tested.contains(rule.alert)) << rule.alert << " has no unit test";
        EXPECT_TRUE(rule.labels.contains("severity")) << rule.alert;
        EXPECT_TRUE(rule.annotations.contains("summary")) << rule.alert;
        EXPECT_TRUE(rule.annotations.contains("runbook_url")) << rule.alert;
      }
    }
  }
}

TEST(DeployRules, FailingUnitTestSaysWhatCame) {
  const fs::path dir = fs::temp_directory_path() / ("skald_rt_" + std::to_string(::getpid()));
  fs::create_directories(dir);
  std::ofstream(dir / "r.yaml") << "groups: [{name: g, rules: [{alert: A, expr: 'count_over_time("
                                   "{a=\"b\"}[1m]) > 0'}]}]\n";
  std::ofstream(dir / "t.yaml") << R"(rule_files: [r.yaml]
tests:
- input_streams: [{labels: '{a="b"}', entries: [{at: 30s, line: x}]}]
  alert_rule_test: [{eval_time: 1m, alertname: A}]
)";
  std::ostringstream out;
  EXPECT_EQ(test_rules({(dir / "t.yaml").string()}, out), 1);
  EXPECT_NE(out.str().find("alert A at 1m0s\n    expected: none\n    got:\n      {a=\"b\"} {}"),
            std::string::npos)
      << out.str();
  std::ostringstream unreadable;
  EXPECT_EQ(test_rules({(dir / "none.yaml").string()}, unreadable), 2);
  fs::remove_all(dir);
}

TEST(DeployAlertmanager, EverySeverityHasARouteToAReceiver) {
  const YAML::Node config =
      YAML::Load(read(std::string(SKALD_SOURCE_DIR) + "/deploy/alertmanager/alertmanager.yaml"));
  std::set<std::string> receivers, kinds;
  for (const auto& receiver : config["receivers"]) {
    receivers.insert(receiver["name"].as<std::string>());
    for (const auto& entry : receiver) kinds.insert(entry.first.as<std::string>());
  }
  EXPECT_TRUE(kinds.contains("email_configs") && kinds.contains("slack_configs") &&
              kinds.contains("pagerduty_configs"));
  EXPECT_TRUE(receivers.contains(config["route"]["receiver"].as<std::string>()));
  std::string matchers;
  for (const auto& route : config["route"]["routes"]) {
    EXPECT_TRUE(receivers.contains(route["receiver"].as<std::string>()));
    for (const auto& matcher : route["matchers"]) matchers += matcher.as<std::string>();
  }
  EXPECT_NE(matchers.find("critical"), std::string::npos);
  EXPECT_NE(matchers.find("warning"), std::string::npos);
}

}  // namespace
}  // namespace skald::query::alert
