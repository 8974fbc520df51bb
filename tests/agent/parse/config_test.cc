#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "agent/parse/config.h"

namespace skald::agent {
namespace {

using ::testing::HasSubstr;

constexpr const char* kClient = "clients: [{url: 'http://h:3100/loki/api/v1/push'}]\n";

std::string read_data(const std::string& name) {
  std::ifstream file(std::string(SKALD_SOURCE_DIR) + "/tests/agent/parse/data/" + name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string error_of(const std::string& text) {
  auto config = load_config(text, "p.yaml");
  return config.ok() ? "loaded" : std::string(config.status().message());
}

TEST(Config, DefaultsArePromtails) {
  auto config = load_config(kClient, "p.yaml");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_EQ(config->server.http_listen_port, 80);
  EXPECT_EQ(config->positions.filename, "/var/log/positions.yaml");
  EXPECT_EQ(config->target_config.sync_period_ns, 10'000'000'000);
  EXPECT_EQ(config->clients[0].batchwait_ns, 1'000'000'000);
  EXPECT_EQ(config->clients[0].batchsize, 1'048'576U);
  EXPECT_EQ(config->clients[0].backoff.max_retries, 10);
  EXPECT_EQ(config->clients[0].name.size(), 6U);
  EXPECT_EQ(config->limits_config.readline_burst, 10'000);
}

class RealConfig : public ::testing::TestWithParam<const char*> {};
TEST_P(RealConfig, LoadsAndExplainsItself) {
  auto config = load_config(read_data(GetParam()), GetParam());
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_FALSE(config->scrape_configs.empty());
  EXPECT_THAT(explain(*config), HasSubstr("Job `"));
  EXPECT_TRUE(parse_yaml(to_yaml(config->document), "again").ok());
}
INSTANTIATE_TEST_SUITE_P(Examples, RealConfig,
                         ::testing::Values("sidecar.yaml", "daemonset.yaml", "legacy.yaml",
                                           "every_key.yaml"));

TEST(Config, ReadsEveryBlock) {
  auto config = load_config(read_data("every_key.yaml"), "every_key.yaml");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  const ClientConfig& client = config->clients[0];
  EXPECT_EQ(client.name, "main");
  EXPECT_EQ(client.timeout_ns, 15'000'000'000);
  EXPECT_EQ(client.external_labels.get("cluster"), "c1");
  EXPECT_EQ(client.basic_auth->username, "u");
  EXPECT_EQ(client.headers[0].first, "X-Extra");
  EXPECT_EQ(config->clients[1].authorization->credentials_file, "/etc/token");
  EXPECT_EQ(config->limits_config.max_line_size, 262'144U);
  EXPECT_EQ(config->file_watch.max_poll_ns, 1'000'000'000);
  EXPECT_EQ(config->skald.label_policy.values_max_by_name.at("pod"), 5000U);
  const ScrapeConfig& job = config->scrape_configs[0];
  EXPECT_EQ(job.target.static_configs[0].labels.get("__path__"), "/var/log/app/*.log");
  EXPECT_EQ(job.target.relabel_configs.size(), 3U);
  EXPECT_EQ(job.encoding, TextEncoding::kUtf16Le);
  // Secrets do not show.
  EXPECT_EQ(to_yaml(config->document).find("hunter2"), std::string::npos);
  EXPECT_THAT(config->warnings, ::testing::Contains(HasSubstr("wal.enabled: accepted, no effect")));
}

struct Refusal {
  const char* text;      // after the client
  const char* expected;  // part of the message
};
constexpr Refusal kRefusals[] = {
    {"scrape_config: []", "p.yaml:2: scrape_config: unknown key; did you mean `scrape_configs`?"},
    {"server: {http_listen_prt: 1}", "server.http_listen_prt: unknown key; did you mean"},
    {"server: {http_listen_port: 99999}", "must lie between"},
    {"server: {log_level: loud}", "none of debug"},
    {"positions: {sync_period: 10}", "is not a duration"},
    {"positions: {sync_period: 1d}", "days are not known here"},
    {"positions: [a]", "a map is expected here, found a list"},
    {"limits_config: {max_line_size: 1x}", "is not a size"},
    {"a: b: c", "p.yaml:2"},
    {"x: 1\nx: 2", "p.yaml:3: key `x` is given twice"},
    {"clients: []", "given twice"},
    {"scrape_configs: [{static_configs: []}]", "scrape_configs[0].job_name: is needed"},
    {"scrape_configs: [{job_name: a}]", "names no targets"},
    {"scrape_configs:\n- job_name: a\n  pipline_stages: []\n  static_configs: [{labels: {__path__: "
     "/x}}]",
     "p.yaml:4: scrape_configs[0].pipline_stages: unknown key; did you mean `pipeline_stages`?"},
    {"scrape_configs: [{job_name: a, journal: {}}]", "journal: not supported"},
    {"scrape_configs: [{job_name: a, kafka: {}}]", "kafka: not supported; use"},
    {"scrape_configs: [{job_name: a, docker_sd_configs: []}]", "tail the files instead"},
    {"scrape_configs: [{job_name: a, consul_sd_configs: []}]", "consul_sd_configs: not supported"},
    {"scrape_configs: [{job_name: a, encoding: shift-jis, static_configs: [{labels: {__path__: "
     "/x}}]}]",
     "encoding: `shift-jis` is not supported"},
    {"scrape_configs: [{job_name: a, decompression: {enabled: true}, static_configs: [{labels: "
     "{__path__: /x}}]}]",
     "is not supported: gz, z, bz2 and zst are"},
    {"scrape_configs: [{job_name: a, static_configs: [{labels: {__path__: '/x/[a'}}]}]",
     "without `]`"},
    {"scrape_configs: [{job_name: a, static_configs: [{labels: {bad-name: x}}]}]",
     "not a label name"},
    {"scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: node}]}]",
     "role: `node` needs"},
    {"scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod}], relabel_configs: "
     "[{source_labels: [__meta_kubernetes_pod_label_app], regex: x, action: keep}]}]",
     "only the Kubernetes API server knows"},
    {"scrape_configs: [{job_name: a, static_configs: [{labels: {__path__: /x}}], relabel_configs: "
     "[{action: jump}]}]",
     "unknown relabel action `jump`"},
    {"scrape_configs: [{job_name: a, static_configs: [{labels: {__path__: /x}}], relabel_configs: "
     "[{target_label: x, regex: '(' }]}]",
     "regex: `(`"},
};

TEST(Config, RefusalsNameKeyLineAndWayOut) {
  for (const Refusal& refusal : kRefusals) {
    EXPECT_THAT(error_of(std::string(kClient) + refusal.text), HasSubstr(refusal.expected))
        << refusal.text;
  }
}

constexpr Refusal kStageRefusals[] = {
    {"- cri", "write `- cri: ...`, or `cri: {}`"},
    {"- json: {expressions: {a: }}\n  labels: {a: }", "exactly one key; `labels` needs its own"},
    {"- jsn: {}", "pipeline_stages[0].jsn: unknown stage; there are json"},
    {"- geoip: {}", "geoip: not supported"},
    {"- eventlogmessage: {}", "Windows"},
    {"- luhn: {}", "not a Promtail stage"},
    {"- json: {}", "json.expressions: the json stage needs at least one"},
    {"- json: {expressions: {a-b: }}", "a key with . or - in its name is written"},
    {"- regex: {expression: '(?P<a>'}", "does not compile"},
    {"- regex: {expression: 'abc'}", "has no named group"},
    {"- template: {template: '{{ .x '}", "template"},
    {"- template: {source: a, template: '{{ nope .x }}'}", "nope"},
    {"- labels: {a-b: }", "`a-b` is not a label name"},
    {"- labeldrop: {}", "needs a list"},
    {"- timestamp: {source: a}", "timestamp.format: "},
    {"- timestamp: {source: a, format: RFC3339, location: Mars/Base}", "location: "},
    {"- timestamp: {source: a, format: RFC3339, action_on_failure: panic}",
     "neither fudge nor skip"},
    {"- tenant: {source: a, value: b}", "exactly one of"},
    {"- drop: {}", "needs at least one of"},
    {"- drop: {value: x}", "needs `source`"},
    {"- drop: {source: a, value: x, expression: y}", "exclude each other"},
    {"- drop: {older_than: 1d}", "is not a duration"},
    {"- limit: {rate: 0, burst: 1}", "greater than 0"},
    {"- limit: {rate: 1, burst: 1, by_label_name: a}", "needs `drop: true`"},
    {"- sampling: {rate: 2}", "between 0 and 1"},
    {"- multiline: {}", "firstline"},
    {"- match: {selector: '{}', stages: [{cri: {}}]}", "a label name is expected"},
    {"- match: {selector: '{a=\"b\"} | json', stages: [{cri: {}}]}", "only the line filters"},
    {"- match: {selector: '{a=\"b\"}'}", "needs at least one"},
    {"- match: {selector: '{a=\"b\"}', action: drop, stages: [{cri: {}}]}", "can have none"},
    {"- match: {selector: '{a=\"b\"}', stages: [{nope: {}}]}",
     "pipeline_stages[0].match.stages[0].nope: unknown stage"},
    {"- metrics: {m: {type: Summary, config: {action: inc}}}", "none of Counter"},
    {"- metrics: {m: {type: Counter, config: {action: set}}}", "a counter knows inc and add"},
    {"- metrics: {m: {type: Gauge, max_idle_duration: 1ms, config: {action: set}}}", "at least 1s"},
    {"- replace: {}", "replace.expression"},
};

TEST(Config, StageRefusalsAreFoundAtLoad) {
  for (const Refusal& refusal : kStageRefusals) {
    std::string indented;
    std::istringstream lines{std::string(refusal.text)};
    for (std::string line; std::getline(lines, line);) indented += "  " + line + "\n";
    EXPECT_THAT(error_of(std::string(kClient) +
                         "scrape_configs:\n- job_name: a\n  static_configs: [{labels: {__path__: "
                         "/x}}]\n  pipeline_stages:\n" +
                         indented),
                HasSubstr(refusal.expected))
        << refusal.text;
  }
}

constexpr Refusal kClientRefusals[] = {
    {"{}", "clients[0].url: is needed"},
    {"{url: 'h:3100'}", "must start with http"},
    {"{url: 'http:///x'}", "names no host"},
    {"{url: 'http://h/x', oauth2: {}}", "oauth2: not supported"},
    {"{url: 'http://h/x', proxy_url: 'http://p'}", "proxy_url: not supported"},
    {"{url: 'http://h/x', basic_auth: {username: u}, bearer_token: t}", "at most one of"},
    {"{url: 'http://h/x', backoff_config: {min_period: 10s, max_period: 1s}}", "min_period <= max"},
    {"{url: 'http://h/x', tls_config: {cert_file: c}}", "needs both"},
    {"{url: 'http://h/x', batch_wait: 1s}", "did you mean `batchwait`?"},
};

TEST(Config, JobsMustAgreeAboutAMetric) {
  const auto job = [](const std::string& name, const std::string& type) {
    return "- {job_name: " + name +
           ", static_configs: [{labels: {__path__: /x}}], pipeline_stages: " +
           "[{metrics: {m: {type: " + type + ", source: s, config: {action: inc}}}}]}\n";
  };
  EXPECT_EQ(error_of(kClient + ("scrape_configs:\n" + job("a", "Counter")) + job("b", "Counter")),
            "loaded");
  EXPECT_THAT(error_of(kClient + ("scrape_configs:\n" + job("a", "Counter")) + job("b", "Gauge")),
              HasSubstr("defined twice"));
}

TEST(Config, ClientRefusals) {
  for (const Refusal& refusal : kClientRefusals) {
    EXPECT_THAT(error_of("clients: [" + std::string(refusal.text) + "]"),
                HasSubstr(refusal.expected))
        << refusal.text;
  }
  EXPECT_THAT(error_of("clients: [{url: 'http://h/x'}, {url: 'http://h/x'}]"),
              HasSubstr("same name"));
  EXPECT_THAT(error_of("scrape_configs: []"), HasSubstr("clients: at least one is needed"));
}

TEST(Config, Yaml11BooleansAreStringsUntilSomebodyWantsABoolean) {
  auto config = load_config(
      "clients: [{url: 'http://h/x', drop_rate_limited_batches: on}]\nscrape_configs:\n"
      "- job_name: y\n  static_configs: [{labels: {__path__: /x, n: no}}]\n",
      "p.yaml");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_TRUE(config->clients[0].drop_rate_limited_batches);
  EXPECT_EQ(config->scrape_configs[0].target.static_configs[0].labels.get("n"), "no");
}

TEST(Config, AliasesAndMergeKeysAreExpandedWithinBounds) {
  auto node = parse_yaml("a: &x {k: 1, m: 2}\nb: {<<: *x, k: 3}\n", "t");
  ASSERT_TRUE(node.ok());
  EXPECT_EQ(node->find("b")->find("k")->scalar, "3");
  EXPECT_EQ(node->find("b")->find("m")->scalar, "2");
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j)
      bomb += std::string(j > 0 ? "," : "") + "*a" + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_FALSE(parse_yaml(bomb, "t").ok());
  EXPECT_FALSE(parse_yaml(std::string(100'000, '['), "t").ok());
}

const char* fake_env(const char* name) {
  const std::string_view key = name;
  return key == "HOST" ? "h1" : key == "FILE" ? "/a/b.tar.gz" : key == "EMPTY" ? "" : nullptr;
}

TEST(ExpandEnv, FollowsPromtailsRules) {
  constexpr std::pair<const char*, const char*> kCases[] = {
      {"x ${HOST} y", "x h1 y"},
      {"${NOPE}|${EMPTY}", "|"},
      {"${NOPE:-d}", "d"},
      {"${EMPTY:-d}", "d"},
      {"${HOST:-d}", "h1"},
      {"$HOST $1 $", "$HOST $1 $"},
      {"$$1 $${HOST}", "$1 ${HOST}"},
      {"a\\\\b", "a\\b"},
      {"${NOPE:-${HOST}}", "h1"},
      {"${FILE##*.}", "gz"},
      {"${FILE%.*}", "/a/b.tar"},
      {"${HOST^^}", "H1"},
      {"${#HOST}", "2"},
      {"${HOST/h/x}", "x1"},
      {"${FILE:1:1}", "a"},
  };
  std::vector<std::string> warnings;
  for (const auto& [text, expected] : kCases) {
    auto out = expand_env(text, fake_env, warnings);
    ASSERT_TRUE(out.ok()) << text << out.status().to_string();
    EXPECT_EQ(*out, expected) << text;
  }
  EXPECT_TRUE(warnings.empty());
  EXPECT_EQ(*expand_env("a\nreplacement: ${1}", fake_env, warnings), "a\nreplacement: ");
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_THAT(warnings[0], HasSubstr("line 2: -config.expand-env made ${1} empty"));
  for (const char* bad : {"${", "${}", "${HOST", "${NOPE:?must be set}", "${HOST@x}"}) {
    EXPECT_FALSE(expand_env(bad, fake_env, warnings).ok()) << bad;
  }
}

TEST(Explain, SaysWhatWillHappen) {
  auto config = load_config(read_data("sidecar.yaml"), "sidecar.yaml");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  const std::string text = explain(*config);
  for (const char* expected :
       {"Job `api`:", "tails /var/log/app/*.log; labels: app=\"api\", filename",
        "1. json: reads the line as a JSON object and takes `level`",
        "2. labels: sets the labels `level`", "3. timestamp: takes the time from `timestamp`",
        "Sends to http://logs:3100/loki/api/v1/push"}) {
    EXPECT_THAT(text, HasSubstr(expected));
  }
}

// The migration table's promise: what it calls full or accept loads. Each row carries an example in
// the document's appendix: "<!-- loads: yaml -->" with \n for line ends.
TEST(MigrationTable, EveryRowLoadsOrIsRefusedAsItSays) {
  std::ifstream file(std::string(SKALD_SOURCE_DIR) + "/docs/migrate-from-promtail.md");
  std::string line;
  int rows = 0;
  while (std::getline(file, line)) {
    const bool loads = line.starts_with("<!-- loads: ");
    const bool refuses = line.starts_with("<!-- refuses: ");
    if (!loads && !refuses) continue;
    ++rows;
    std::string yaml = line.substr(line.find(": ") + 2);
    yaml.resize(yaml.rfind(" -->"));
    for (std::size_t at = yaml.find("\\n"); at != std::string::npos; at = yaml.find("\\n", at)) {
      yaml.replace(at, 2, "\n");
    }
    if (yaml.find("clients:") == std::string::npos && yaml.find("client:") == std::string::npos) {
      yaml = kClient + yaml;
    }
    LoadOptions options;  // as the program
    options.serves_push_api = options.serves_syslog = options.serves_journal = true;
    const auto config = load_config(yaml, "p.yaml", options);
    const std::string error = config.ok() ? "loaded" : std::string(config.status().message());
    EXPECT_EQ(error == "loaded", loads) << line << "\n" << error;
    if (refuses) {
      EXPECT_THAT(error, ::testing::AnyOf(HasSubstr("not supported"), HasSubstr("needs")));
    }
  }
  EXPECT_GE(rows, 40);
}

}  // namespace
}  // namespace skald::agent
