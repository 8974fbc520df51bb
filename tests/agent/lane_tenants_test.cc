// One client, several tenants: what the server refuses from one (429) holds up no other, takes a
// bounded amount of memory, and arrives in full once it is taken again.

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "agent/lane.h"
#include "tests/agent/fake_server.h"
#include "tests/agent/tail/temp_dir.h"

namespace skald::agent {
namespace {

class LaneTenants : public testing::Test {
 protected:
  void start(const std::string& stages) {
    auto config = load_config(
        "positions: {filename: " + dir_.path("positions.yaml") +
            "}\nclients: [{url: 'http://store/loki/api/v1/push', name: c, batchwait: 100ms, "
            "batchsize: 100000, backoff_config: {min_period: 100ms, max_period: 1s}}]\n"
            "scrape_configs:\n- job_name: j\n  static_configs:\n  - labels: {job: j, __path__: '" +
            dir_.path("*.log") + "'}\n  pipeline_stages:\n" + stages,
        "test.yaml");
    ASSERT_TRUE(config.ok()) << config.status().to_string();
    config_ = std::move(config).value();
    LaneOptions options;
    options.agent_id = "agent";
    auto lane =
        Lane::create(config_, config_.clients[0], std::move(options),
                     std::make_unique<FakeTransport>(server_), make_inotify_watcher(), clock_);
    ASSERT_TRUE(lane.ok()) << lane.status().to_string();
    lane_ = std::move(lane).value();
    lane_->begin({}, {});
  }
  // Incompressible lines of 500 bytes, so that the queue's bounds count.
  void write(const std::string& file, int lines) {
    std::string text;
    for (int i = 0; i < lines; ++i) {
      text += file + " " + std::to_string(written_[file]++) + " ";
      for (int j = 0; j < 480; ++j) text += static_cast<char>('!' + random_() % 90);
      text += '\n';
    }
    dir_.append(file, text);
  }
  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      clock_.advance_ns(50 * base::kNsPerMs);
      lane_->step();
      for (int j = 0; j < 20 && lane_->sender().step() == 0; ++j) {
      }
    }
  }

  TempDir dir_;
  base::ManualClock clock_{1'700'000'000LL * base::kNsPerSecond};
  std::mt19937_64 random_{1};
  FakeServer server_;
  AgentConfig config_;
  std::unique_ptr<Lane> lane_;
  std::map<std::string, int> written_;
};

constexpr char kTenantByFile[] =
    "  - regex: {source: filename, expression: '/(?P<who>[a-z]+)[^/]*[.]log$'}\n"
    "  - tenant: {source: who}\n";

TEST_F(LaneTenants, OneThatIsSlowedDownHoldsUpNoOther) {
  server_.slowed = {"bad", "worse", "worst"};
  start(kTenantByFile);
  for (const char* file : {"bad.log", "good.log", "worse.log", "worst.log"}) write(file, 4000);
  rounds(200);
  for (int i = 0; i < 20; ++i) {  // the slowed ones keep writing, too
    for (const char* file : {"bad.log", "good.log", "worse.log", "worst.log"}) write(file, 100);
    rounds(5);
  }
  rounds(20);
  EXPECT_EQ(server_.has["good"].size(), 6000U);
  EXPECT_EQ(server_.has["bad"].size(), 0U);
  EXPECT_GT(server_.refused["bad"], 0);
  // 3 MB of each wait in their files, not in memory.
  EXPECT_LT(lane_->snapshot().sender.queue_bytes, std::size_t{2} << 20);
  server_.slowed.clear();
  rounds(400);
  for (const char* tenant : {"good", "bad", "worse", "worst"})
    EXPECT_EQ(server_.has[tenant].size(), 6000U) << tenant;
  EXPECT_EQ(server_.twice, 0);
}

TEST_F(LaneTenants, ARotatedFileOfASlowedOneIsKeptUntilItIsRead) {
  server_.slowed = {"bad"};
  start(kTenantByFile);
  write("bad.log", 3000);
  write("good.log", 10);
  rounds(50);
  dir_.rename("bad.log", "bad.log.1");
  write("bad.log", 10);
  rounds(20);
  dir_.remove("bad.log.1");
  rounds(2000);  // far beyond every grace period
  EXPECT_EQ(server_.has["good"].size(), 10U);
  server_.slowed.clear();
  rounds(400);
  EXPECT_EQ(server_.has["bad"].size(), 3010U);
  EXPECT_EQ(server_.twice, 0);
}

TEST_F(LaneTenants, ADeadServerOfOneTenantAloneStopsReading) {
  server_.slowed = {""};
  start("  - match: {selector: '{job=\"other\"}', stages: [{cri: {}}]}\n");
  write("a.log", 10000);
  rounds(100);
  EXPECT_LT(lane_->snapshot().sender.queue_bytes, std::size_t{1} << 20);
  server_.slowed.clear();
  rounds(200);
  EXPECT_EQ(server_.has[""].size(), 10000U);
  EXPECT_EQ(server_.twice, 0);
}

}  // namespace
}  // namespace skald::agent
