// Relabelling, targets, label sets.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "agent/label/label_set.h"
#include "agent/label/relabel.h"
#include "agent/label/target.h"

namespace skald::agent {
namespace {

using ::testing::HasSubstr;

RelabelConfig rule(std::vector<std::string> sources, std::string target, std::string regex,
                   std::string replacement = "$1", RelabelAction action = RelabelAction::kReplace) {
  RelabelConfig config;
  config.source_labels = std::move(sources);
  config.target_label = std::move(target);
  config.regex = std::move(regex);
  config.replacement = std::move(replacement);
  config.action = action;
  return config;
}

std::string apply(const RelabelConfig& config, model::Labels labels) {
  auto built = RelabelRule::create(config);
  if (!built.ok()) return "error: " + std::string(built.status().message());
  return built->apply(labels) ? labels.to_string() : "dropped";
}

TEST(Relabel, Replace) {
  const model::Labels labels{{"a", "foo"}, {"b", "bar"}};
  EXPECT_EQ(apply(rule({"a", "b"}, "c", "(f.*);(.*)", "$2-${1}"), labels),
            R"({a="foo", b="bar", c="bar-foo"})");
  EXPECT_EQ(apply(rule({"a"}, "c", "o", "x"), labels), R"({a="foo", b="bar"})");       // anchored
  EXPECT_EQ(apply(rule({"a"}, "c", "(.*)", "$1x"), labels), R"({a="foo", b="bar"})");  // group 1x
  EXPECT_EQ(apply(rule({"a"}, "b", "(.*)", ""), labels), R"({a="foo"})");  // empty deletes
  EXPECT_EQ(apply(rule({"a"}, "c", "(?P<n>f)oo", "${n}$$"), labels),
            R"({a="foo", b="bar", c="f$"})");
  EXPECT_EQ(apply(rule({"a"}, "x_$1", "(f)oo", "v"), labels), R"({a="foo", b="bar", x_f="v"})");
  EXPECT_EQ(apply(rule({}, "c", "(.*)", "fixed"), labels), R"({a="foo", b="bar", c="fixed"})");
  EXPECT_EQ(apply(rule({"a"}, "c", "f.o", "m"), {{"a", "f\no"}}), "{a=\"f\\no\", c=\"m\"}");
}

TEST(Relabel, OtherActions) {
  const model::Labels labels{{"a", "Foo"}, {"b_x", "1"}, {"b_y", "2"}};
  using A = RelabelAction;
  EXPECT_EQ(apply(rule({"a"}, "", "F.*", "$1", A::kKeep), labels), labels.to_string());
  EXPECT_EQ(apply(rule({"a"}, "", "f.*", "$1", A::kKeep), labels), "dropped");
  EXPECT_EQ(apply(rule({"a"}, "", "Foo", "$1", A::kDrop), labels), "dropped");
  EXPECT_EQ(apply(rule({"a"}, "c", "(.*)", "$1", A::kLowercase), labels),
            R"({a="Foo", b_x="1", b_y="2", c="foo"})");
  EXPECT_EQ(apply(rule({"a"}, "c", "(.*)", "$1", A::kUppercase), labels),
            R"({a="Foo", b_x="1", b_y="2", c="FOO"})");
  EXPECT_EQ(apply(rule({}, "", "b_(.)", "$1", A::kLabelMap), labels),
            R"({a="Foo", b_x="1", b_y="2", x="1", y="2"})");
  EXPECT_EQ(apply(rule({}, "", "b_.*", "$1", A::kLabelDrop), labels), R"({a="Foo"})");
  EXPECT_EQ(apply(rule({}, "", "b_.*", "$1", A::kLabelKeep), labels), R"({b_x="1", b_y="2"})");
  EXPECT_EQ(apply(rule({"b_x"}, "b_y", "(.*)", "$1", A::kKeepEqual), labels), "dropped");
  EXPECT_EQ(apply(rule({"b_x"}, "b_y", "(.*)", "$1", A::kDropEqual), labels), labels.to_string());
}

TEST(Relabel, HashModIsTheLowHalfOfMd5) {
  RelabelConfig config = rule({"a"}, "h", "(.*)", "$1", RelabelAction::kHashMod);
  config.modulus = 1000;
  // md5("foo") = acbd18db4cc2f85cedef654fccc4a4d8; 0xedef654fccc4a4d8 mod 1000
  const std::uint64_t expected = 0xedef654fccc4a4d8U % 1000;
  EXPECT_EQ(apply(config, {{"a", "foo"}}), "{a=\"foo\", h=\"" + std::to_string(expected) + "\"}");
}

TEST(Relabel, RefusesWhatPrometheusRefuses) {
  using A = RelabelAction;
  EXPECT_THAT(apply(rule({"a"}, "", "(.*)"), {}), HasSubstr("target_label"));
  EXPECT_THAT(apply(rule({"a"}, "a-b", "(.*)"), {}), HasSubstr("not a label name"));
  EXPECT_THAT(apply(rule({"a"}, "h", "(.*)", "$1", A::kHashMod), {}), HasSubstr("modulus"));
  EXPECT_THAT(apply(rule({"a"}, "", "x", "$1", A::kLabelDrop), {}), HasSubstr("takes only"));
  EXPECT_THAT(apply(rule({"a"}, "b", "(", "$1"), {}), HasSubstr("regex"));
}

TEST(KubernetesPath, ReadsBothLayouts) {
  struct Case {
    const char* path;
    const char* expected;  // namespace pod uid container kind controller
  };
  const std::string hex(64, 'a');
  const std::string container = "/var/log/containers/web-0_prod_app-" + hex + ".log";
  const Case cases[] = {
      {"/var/log/pods/prod_web-5d4f8c7b9-x2k4p_uid-1/app/0.log",
       "prod web-5d4f8c7b9-x2k4p uid-1 app ReplicaSet web-5d4f8c7b9"},
      {"/host/var/log/pods/kube-system_agent-x2k4p_u/c/0.log.20251124-150000",
       "kube-system agent-x2k4p u c DaemonSet agent"},
      {container.c_str(), "prod web-0  app StatefulSet web"},
      {"/var/log/pods/ns_standalone_u/c/1.log", "ns standalone u c  "},
  };
  for (const Case& c : cases) {
    KubernetesPath path;
    ASSERT_TRUE(parse_kubernetes_path(c.path, path)) << c.path;
    EXPECT_EQ(path.namespace_name + " " + path.pod + " " + path.uid + " " + path.container + " " +
                  path.controller_kind + " " + path.controller_name,
              c.expected);
  }
  KubernetesPath path;
  for (const char* other : {"/var/log/app.log", "/var/log/pods/x/y/0.log",
                            "/var/log/containers/a_b.log", "/var/log/pods/a_b_c", ""}) {
    EXPECT_FALSE(parse_kubernetes_path(other, path)) << other;
  }
}

base::Result<std::vector<TargetGroup>> parse_lines(std::string_view text, std::string_view) {
  if (text.starts_with("bad")) return base::invalid_argument("bad file");
  TargetGroup group;
  group.labels.set("__path__", text.substr(0, text.find('\n')));
  return std::vector<TargetGroup>{group};
}

std::unique_ptr<TargetDiscovery> discover(TargetConfig config) {
  config.job_name = "j";
  auto made = TargetDiscovery::create(std::move(config), {"host1"}, parse_lines);
  EXPECT_TRUE(made.ok());
  return std::move(made).value();
}

TargetGroup group(std::initializer_list<model::Labels::Pair> labels) {
  TargetGroup out;
  out.labels = model::Labels(labels);
  return out;
}

TEST(TargetDiscovery, StaticGroupsAndWhyTargetsAreDropped) {
  TargetConfig config;
  config.static_configs = {group({{"__path__", "/a/*.log"}, {"app", "a"}, {"__meta", "x"}}),
                           group({{"__path__", "/a/*.log"}, {"app", "a"}}),
                           group({{"app", "b"}}),
                           group({{"__path__", "/c"}, {"__host__", "other"}}),
                           group({{"__path__", "/d"}, {"__host__", "host1"}}),
                           group({{"__path__", "/e"}, {"app", "no"}})};
  config.relabel_configs = {rule({"app"}, "", "no", "$1", RelabelAction::kDrop)};
  auto discovery = discover(config);
  const TargetList& list = discovery->poll();
  ASSERT_EQ(list.targets.size(), 2U);
  EXPECT_EQ(list.targets[0].labels.to_string(), R"({app="a"})");
  EXPECT_EQ(list.targets[1].path, "/d");
  std::string reasons;
  for (const auto& dropped : list.dropped) reasons += dropped.reason + " ";
  EXPECT_EQ(reasons, "exists no_path wrong_host relabel_configs[0] ");
  EXPECT_TRUE(discovery->changed());
  discovery->poll();
  EXPECT_FALSE(discovery->changed());
}

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/target_test.XXXXXX";
    root_ = mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + "/" + name).parent_path());
    std::ofstream(root_ + "/" + name) << text;
  }
  std::string root_;
};

TEST_F(Files, FileSdIsReadAgainOnChangeAndKeepsItsLastGoodGroups) {
  write("t-1.yaml", "/one\n");
  TargetConfig config;
  config.file_sd_configs = {{{root_ + "/t-*.yaml"}, 1}};
  auto discovery = discover(config);
  ASSERT_EQ(discovery->poll().targets.size(), 1U);
  EXPECT_EQ(discovery->poll().targets[0].discovered.get("__meta_filepath"), root_ + "/t-1.yaml");
  write("t-1.yaml", "/other\n");
  write("t-2.yaml", "/two\n");
  EXPECT_EQ(discovery->poll().targets.size(), 2U);
  EXPECT_TRUE(discovery->changed());
  write("t-1.yaml", "bad bad\n");
  const TargetList& list = discovery->poll();
  EXPECT_EQ(list.targets.size(), 2U);
  EXPECT_EQ(list.targets[0].path, "/other");
  ASSERT_EQ(list.warnings.size(), 1U);
  EXPECT_THAT(list.warnings[0], HasSubstr("bad file"));
  std::filesystem::remove(root_ + "/t-1.yaml");
  EXPECT_EQ(discovery->poll().targets.size(), 1U);
}

TEST_F(Files, KubernetesPodsBecomeTargets) {
  write("pods/prod_web-5d4f8c7b9-x2k4p_uid-1/app/0.log", "x");
  write("pods/other_db-0_uid-2/pg/0.log", "x");
  TargetConfig config;
  config.kubernetes_sd_configs = {{"pod", {"prod"}, root_ + "/pods", 0}};
  RelabelConfig job =
      rule({"__meta_kubernetes_namespace", "__meta_kubernetes_pod_controller_name"}, "job", "(.*)");
  job.separator = "/";
  config.relabel_configs = {job,
                            rule({"__meta_kubernetes_pod_container_name"}, "container", "(.*)")};
  auto discovery = discover(config);
  const TargetList& list = discovery->poll();
  ASSERT_EQ(list.targets.size(), 1U);
  EXPECT_EQ(list.targets[0].labels.to_string(), R"({container="app", job="prod/web-5d4f8c7b9"})");
  EXPECT_EQ(list.targets[0].path, root_ + "/pods/prod_web-5d4f8c7b9-x2k4p_uid-1/app/*.log");
}

TEST(FileLabels, AddsFilenameAndPathLabels) {
  Target target;
  target.labels = {{"pod", "mine"}};
  target.kubernetes_path_labels = true;
  EXPECT_EQ(
      file_labels(target, "/var/log/pods/ns_p_u/c/0.log").to_string(),
      R"({container="c", filename="/var/log/pods/ns_p_u/c/0.log", namespace="ns", pod="mine"})");
}

TEST(LabelSetTable, InternsPinsAndCollects) {
  LabelSetTable table;
  const LabelSet* a = table.intern({{"x", "1"}, {"__tenant_id__", "t"}});
  EXPECT_EQ(a, table.intern({{"x", "1"}, {"__tenant_id__", "t"}}));
  EXPECT_EQ(a->tenant(), "t");
  EXPECT_EQ(a->labels().to_string(), R"({x="1"})");
  LabelSetRef pin(a);
  table.intern({{"y", "2"}});
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(table.collect(), 0U);
  EXPECT_EQ(table.collect(), 1U);
  EXPECT_EQ(table.size(), 1U);
  LabelSetRef copy = pin;
  pin = LabelSetRef();
  table.collect();
  table.collect();
  EXPECT_EQ(table.size(), 1U);  // `copy` still pins it
  copy = LabelSetRef();
  table.collect();
  table.collect();
  EXPECT_EQ(table.size(), 0U);
}

}  // namespace
}  // namespace skald::agent
