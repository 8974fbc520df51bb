// The disk queue: a generation that rotates away unread, is deleted while the agent is dead, and is
// read all the same.

#include <gtest/gtest.h>

#include "agent/lane.h"
#include "tests/agent/fake_server.h"
#include "tests/agent/tail/temp_dir.h"

namespace skald::agent {
namespace {

class LaneSpill : public testing::Test {
 protected:
  void configure(const std::string& skald) {
    auto config = load_config(
        "positions: {filename: " + dir_.path("positions.yaml") +
            "}\nclients: [{url: 'http://store/loki/api/v1/push', name: c, batchwait: 100ms}]\n" +
            skald +
            "scrape_configs: [{job_name: j, static_configs: [{labels: {job: j, __path__: '" +
            dir_.path("app.log") + "'}}]}]\n",
        "test.yaml");
    ASSERT_TRUE(config.ok()) << config.status().to_string();
    config_ = std::move(config).value();
  }
  void start() {
    LaneOptions options;
    options.agent_id = "agent";
    options.save = [this](ClientPositions positions) {
      saved_ = std::move(positions);
      return base::Status();
    };
    auto lane =
        Lane::create(config_, config_.clients[0], std::move(options),
                     std::make_unique<FakeTransport>(server_), make_inotify_watcher(), clock_);
    ASSERT_TRUE(lane.ok()) << lane.status().to_string();
    lane_ = std::move(lane).value();
    lane_->begin(saved_, {});
  }
  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      clock_.advance_ns(base::kNsPerSecond);
      lane_->step();
      for (int j = 0; j < 20 && lane_->sender().step() == 0; ++j) {
      }
    }
  }
  std::size_t kept() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path("spill")))
      count += entry.is_regular_file();
    return count;
  }
  // Three generations; the older two are deleted while the agent is dead and nothing was sent.
  void lose_two_generations() {
    server_.slowed = {""};
    start();
    for (int generation = 1; generation <= 3; ++generation) {
      for (int i = 0; i < 100; ++i)
        dir_.append("app.log", std::to_string(generation) + "-" + std::to_string(i) + "\n");
      rounds(3);
      if (generation < 3) dir_.rename("app.log", "app.log." + std::to_string(3 - generation));
      rounds(3);
    }
    lane_.reset();  // kill -9
    dir_.remove("app.log.1");
    dir_.remove("app.log.2");
    server_.slowed.clear();
    start();
    rounds(10);
  }

  TempDir dir_;
  base::ManualClock clock_{1'700'000'000LL * base::kNsPerSecond};
  FakeServer server_;
  AgentConfig config_;
  ClientPositions saved_;
  std::unique_ptr<Lane> lane_;
};

TEST_F(LaneSpill, DeletedGenerationsAreReadFromTheDiskQueue) {
  configure("skald: {spill_dir: " + dir_.path("spill") + "}\n");
  lose_two_generations();
  EXPECT_EQ(server_.has[""].size(), 300U);
  EXPECT_EQ(server_.twice, 0);
  EXPECT_EQ(kept(), 2U);
  rounds(120);
  EXPECT_EQ(kept(), 0U) << "what is acknowledged is let go";
}

// copytruncate keeps one copy; each is gone before anything of it was sent.
TEST_F(LaneSpill, CopiesOfACutFileAreKeptWhileTheServerIsAway) {
  configure("skald: {spill_dir: " + dir_.path("spill") + "}\n");
  server_.slowed = {""};
  start();
  for (int life = 1; life <= 5; ++life) {
    for (int i = 0; i < 100; ++i)
      dir_.append("app.log", std::to_string(life) + "-" + std::to_string(i) + "\n");
    rounds(3);
    if (life > 1) dir_.remove("app.log.1");
    dir_.copy("app.log", "app.log.1");
    dir_.overwrite("app.log", "");
    rounds(3);
    if (life != 3) continue;
    lane_.reset();  // kill -9
    start();
    rounds(1);
  }
  dir_.remove("app.log.1");
  server_.slowed.clear();
  rounds(30);
  EXPECT_EQ(server_.has[""].size(), 500U);
  EXPECT_EQ(server_.twice, 0);
  rounds(120);
  EXPECT_EQ(kept(), 0U);
}

// Killed before it saw the rotation, alive when its last name goes, killed again.
TEST_F(LaneSpill, GenerationsFoundAtAStartAreKept) {
  configure("skald: {spill_dir: " + dir_.path("spill") + "}\n");
  server_.slowed = {""};
  start();
  for (int i = 0; i < 100; ++i) dir_.append("app.log", "1-" + std::to_string(i) + "\n");
  rounds(3);
  lane_.reset();  // kill -9
  dir_.rename("app.log", "app.log.1");
  dir_.append("app.log", "2-0\n");
  start();
  rounds(3);
  dir_.remove("app.log.1");
  rounds(3);
  lane_.reset();
  server_.slowed.clear();
  start();
  rounds(10);
  EXPECT_EQ(server_.has[""].size(), 101U);
  EXPECT_EQ(server_.twice, 0);
}

TEST_F(LaneSpill, WithoutItTheyAreGone) {
  configure("");
  lose_two_generations();
  EXPECT_EQ(server_.has[""].size(), 100U);
}

TEST_F(LaneSpill, ItsSizeIsBounded) {
  configure("skald: {spill_dir: " + dir_.path("spill") + ", spill_bytes_max: 700}\n");
  lose_two_generations();
  EXPECT_EQ(server_.has[""].size(), 200U) << "one generation of about 490 bytes has room";
}

}  // namespace
}  // namespace skald::agent
