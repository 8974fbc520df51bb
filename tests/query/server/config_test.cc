#include "query/server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skald::query::server {
namespace {

using ::testing::HasSubstr;

std::string error_of(const char* yaml) {
  const auto config = parse_config(yaml, "skald.yaml");
  return config.ok() ? "valid" : std::string(config.status().message());
}

TEST(Config, NeedsNothing) {
  const auto config = parse_config("", "none");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->http.listen, "127.0.0.1:3100");
  EXPECT_EQ(config->store.data_dir, "data");
  EXPECT_FALSE(config->api->auth_enabled);
}

TEST(Config, ReadsLokisNames) {
  const auto config = parse_config(R"(
auth_enabled: true
server:
  http_listen_address: 0.0.0.0
  http_listen_port: 80
  grpc_listen_port: 9095
limits_config:
  retention_period: 7d
  retention_stream:
    - selector: '{level="debug"}'
      period: 24h
      priority: 1
  reject_old_samples: true
  ingestion_rate_mb: 4
  max_line_size: 1KB
  discover_service_name: []
  discover_log_levels: false
overrides:
  t1:
    max_query_series: 7
)",
                                   "x");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_EQ(config->http.listen, "0.0.0.0:80");
  EXPECT_TRUE(config->api->auth_enabled);
  const api::TenantLimits& limits = config->api->limits;
  EXPECT_EQ(limits.retention.period_ns, 7LL * 24 * 3600 * base::kNsPerSecond);
  ASSERT_EQ(limits.retention.rules.size(), 1U);
  EXPECT_EQ(limits.retention.rules[0].priority, 1);
  EXPECT_EQ(limits.max_line_size, 1024U);
  EXPECT_TRUE(limits.discover_service_name.empty());
  EXPECT_FALSE(limits.discover_log_levels);
  EXPECT_EQ(config->api->limits_of("t1").max_query_series, 7U);
  EXPECT_EQ(config->api->limits_of("t1").max_line_size, 1024U);
  EXPECT_EQ(config->api->limits_of("t2").max_query_series, 0U);
  EXPECT_THAT(config->warnings, ::testing::Contains("server.grpc_listen_port has no effect"));
}

TEST(Config, NamesKeyAndLineOfWhatIsWrong) {
  const struct {
    const char* yaml;
    const char* text;
  } cases[] = {
      {"auth_enabled: false\nlimits_config:\n  retention_perod: 24h\n",
       "skald.yaml:3: unknown key 'retention_perod' in 'limits_config'"},
      {"colour: blue\n", "skald.yaml:1: unknown key 'colour'"},
      {"limits_config:\n  retention_period: soon\n",
       "skald.yaml:2: limits_config.retention_period"},
      {"limits_config: 5\n", "'limits_config' must be a mapping"},
      {"auth_enabled: maybe\n", "auth_enabled: must be true or false"},
      {"server:\n  http_listen_port: 99999\n", "must be at most 65535"},
      {"limits_config:\n  retention_stream:\n  - selector: '{'\n    period: 1h\n", "selector"},
      {"auth:\n  users:\n  - name: a\n    scopes: [push]\n", "give either"},
      {"auth:\n  users:\n  - name: a\n    password_hash: x\n    scopes: [fly]\n", "scope 'fly'"},
      {"a: [", "skald.yaml:"},
      {"overrides:\n  t:\n    nope: 1\n", "skald.yaml:3: unknown key 'nope'"},
  };
  for (const auto& c : cases) EXPECT_THAT(error_of(c.yaml), HasSubstr(c.text)) << c.yaml;
}

TEST(Config, ReadsWhatQueriesMayHold) {
  const auto given = parse_config("querier:\n  memory_max: 16MB\n  total_memory_max: 64MB\n", "x");
  ASSERT_TRUE(given.ok()) << given.status().to_string();
  EXPECT_EQ(given->engine.memory_max, 16U << 20);
  EXPECT_EQ(given->queries_memory_max, 64U << 20);
  const auto defaults = parse_config("", "x");
  ASSERT_TRUE(defaults.ok());
  EXPECT_EQ(defaults->engine.memory_max, 256U << 20);
  EXPECT_EQ(defaults->queries_memory_max, 0U) << "the machine decides";
}

TEST(Config, ShowsNoSecrets) {
  const auto config = parse_config(
      "auth:\n  users:\n  - name: a\n    password_hash: $2b$secret\n    scopes: [admin]\n", "x");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->api->config_text.find("secret$"), std::string::npos);
  EXPECT_EQ(config->api->config_text.find("$2b$"), std::string::npos);
  EXPECT_THAT(config->api->config_text, HasSubstr("<secret>"));
}

}  // namespace
}  // namespace skald::query::server
