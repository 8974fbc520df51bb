#include <gtest/gtest.h>

#include "query/alert/ruler.h"

namespace skald::query::alert {
namespace {

TEST(RulerConfig, ReadsLokisBlock) {
  auto options = read_ruler_options(R"(
auth_enabled: false
ruler:
  external_url: https://grafana.example.com/
  external_labels: {cluster: eu, replica: a}
  evaluation_interval: 15s
  poll_interval: 5s
  storage: {type: local, local: {directory: /etc/skald/rules}}
  rule_path: /tmp/rules
  alertmanager_url: http://am-0:9093, http://user:p%40ss@am-1:9093/alert
  alertmanager_client: {type: Bearer, credentials: token, tls_ca_path: /ca.pem}
  notification_queue_capacity: 500
  notification_timeout: 3s
  for_outage_tolerance: 30m
  resend_delay: 2m
  remote_write:
    enabled: true
    clients:
      prom:
        url: http://prom:9090/api/v1/write
        basic_auth: {username: u, password: p}
        headers: {X-A: b, X-Scope-OrgID: evil}
        remote_timeout: 7s
        queue_config: {capacity: 5}
)",
                                    "/data");
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->rules_dir, "/etc/skald/rules");
  EXPECT_EQ(options->data_dir, "/data");
  EXPECT_EQ(options->external_url, "https://grafana.example.com");
  EXPECT_EQ(options->external_labels.get("cluster"), "eu");
  EXPECT_EQ(options->evaluation_interval_ns, 15 * base::kNsPerSecond);
  EXPECT_EQ(options->resend_delay_ns, 120 * base::kNsPerSecond);
  ASSERT_EQ(options->alertmanagers.size(), 2U);
  EXPECT_EQ(options->alertmanagers[0].url, "http://am-0:9093");
  EXPECT_EQ(options->alertmanagers[0].bearer_token, "token");
  EXPECT_EQ(options->alertmanagers[0].timeout_ns, 3 * base::kNsPerSecond);
  EXPECT_EQ(options->alertmanagers[0].tls.ca_file, "/ca.pem");
  EXPECT_EQ(options->alertmanagers[1].url, "http://am-1:9093/alert");
  EXPECT_EQ(options->alertmanagers[1].basic_user, "user");
  EXPECT_EQ(options->alertmanagers[1].basic_password, "p@ss");
  ASSERT_EQ(options->remote_write.size(), 1U);
  EXPECT_EQ(options->remote_write[0].name, "prom");
  EXPECT_EQ(options->remote_write[0].basic_user, "u");
  EXPECT_EQ(options->remote_write[0].timeout_ns, 7 * base::kNsPerSecond);
  ASSERT_EQ(options->remote_write[0].headers.size(), 1U);
  EXPECT_EQ(options->notification_queue_capacity, 500U);
}

TEST(RulerConfig, AbsentBlockIsTheDefaults) {
  auto options = read_ruler_options("server: {}\n", "/data");
  ASSERT_TRUE(options.ok());
  EXPECT_TRUE(options->alertmanagers.empty());
  EXPECT_EQ(options->evaluation_interval_ns, 60 * base::kNsPerSecond);
  EXPECT_TRUE(read_ruler_options("", "/data").ok());
  EXPECT_TRUE(read_ruler_options("ruler:\n", "/data").ok());
}

TEST(RulerConfig, NamesWhatIsWrong) {
  struct Case {
    const char* yaml;
    const char* message;
  };
  const Case cases[] = {
      {"ruler: 5", "line 1: ruler must be a map"},
      {"ruler:\n  evaluation_intervall: 1m",
       "line 2: field evaluation_intervall not found in ruler"},
      {"ruler:\n  evaluation_interval: soon",
       "line 2: ruler.evaluation_interval: not a duration: soon"},
      {"ruler:\n  enable_api: maybe", "line 2: ruler.enable_api must be true or false"},
      {"ruler:\n  storage: {type: s3}", "ruler.storage.type s3: rules lie in local files"},
      {"ruler:\n  alertmanager_url: 'ftp://x'", "ftp://x"},
      {"ruler:\n  remote_write: {enabled: true}", "no clients are configured"},
      {"ruler:\n  remote_write: {enabled: true, clients: {a: {}}}", "client a has no url"},
      {"ruler:\n  alert_relabel_configs: [{action: drop}]",
       "line 2: ruler.alert_relabel_configs is not supported"},
      {"ruler:\n  enable_alertmanager_discovery: true", "is not supported"},
      {"ruler:\n  external_labels: {a-b: c}", "names of labels"},
      {"ruler: [", "configuration: "},
  };
  for (const Case& c : cases) {
    auto options = read_ruler_options(c.yaml, "/data");
    ASSERT_FALSE(options.ok()) << c.yaml;
    EXPECT_NE(std::string(options.status().message()).find(c.message), std::string::npos)
        << options.status().message();
  }
}

}  // namespace
}  // namespace skald::query::alert
