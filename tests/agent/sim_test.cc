// A whole agent against a store in memory, from a seed: lines are written, files rotate in every
// way, the agent and the store die, the store is away or answers after it has stored, acknowledged
// things get lost. In the end every line is in the store exactly once.

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "agent/lane.h"
#include "proto/wire/push_decoder.h"
#include "tests/agent/tail/temp_dir.h"

namespace skald::agent {
namespace {

// Keeps entries and marks as the real store does.
class FakeStore {
 public:
  struct Faults {
    bool away = false;            // refuses connections
    int lose_answer_percent = 0;  // stores, then the connection breaks
    int status_percent = 0;       // answers 503
  };
  Faults faults;
  bool is_skald = true;
  std::map<std::string, int> lines;  // how often each was stored
  std::map<std::string, std::uint64_t> marks;
  int conflicts = 0, duplicates = 0;
  std::mt19937_64 random{1};

  base::Result<net::HttpResponse> exchange(const net::HttpRequest& request) {
    if (faults.away) return base::unavailable("away");
    net::HttpResponse response;
    if (request.method == "GET") {
      response.status = is_skald ? 200 : 404;
      response.body = "[";
      for (const auto& [file, end] : marks)
        response.body += (response.body.size() > 1 ? "," : "") + std::string("{\"file_id\":\"") +
                         file + "\",\"end_offset\":" + std::to_string(end) + "}";
      response.body += "]";
      return response;
    }
    if (static_cast<int>(random() % 100) < faults.status_percent) {
      response.status = 503;
      return response;
    }
    response.status = push(request);
    if (static_cast<int>(random() % 100) < faults.lose_answer_percent)
      return base::unavailable("the connection broke after the store had it");
    return response;
  }

 private:
  int push(const net::HttpRequest& request) {
    wire::PushInput input;
    for (const auto& [name, value] : request.headers) {
      if (name == "Content-Type") input.content_type = value;
      if (name == "Content-Encoding") input.content_encoding = value;
    }
    std::string body(request.body);
    auto decoded = decoder_.decode(input, body);
    EXPECT_TRUE(decoded.ok()) << decoded.status().to_string();
    if (!decoded.ok()) return 400;
    const model::PushBatch& batch = (*decoded)->batch;
    bool duplicate = !batch.marks.empty();
    for (const auto& mark : batch.marks)
      duplicate =
          duplicate && marks.contains(mark.file_id) && mark.end_offset <= marks[mark.file_id];
    if (duplicate) return ++duplicates, 204;
    for (const auto& mark : batch.marks)
      if (marks.contains(mark.file_id) && mark.start_offset != marks[mark.file_id])
        return ++conflicts, 409;
    for (const auto& mark : batch.marks) marks[mark.file_id] = mark.end_offset;
    for (const auto& stream : batch.streams)
      for (const auto& entry : stream.entries) ++lines[std::string(entry.line)];
    return 204;
  }
  wire::PushDecoder decoder_;
};

class FakeTransport final : public net::HttpTransport {
 public:
  explicit FakeTransport(FakeStore& store) : store_(store) {}
  base::Result<net::HttpResponse> exchange(const net::HttpRequest& request) override {
    return store_.exchange(request);
  }
  void cancel() override {}

 private:
  FakeStore& store_;
};

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed) {
    store_.random.seed(seed + 1);
    const std::string yaml =
        "positions: {filename: " + dir_.path("positions.yaml") +
        "}\nclients: [{url: 'http://store/loki/api/v1/push', name: c, batchwait: 100ms, "
        "batchsize: 2000}]\n"
        "scrape_configs:\n- job_name: j\n  static_configs:\n  - targets: [localhost]\n"
        "    labels: {job: j, __path__: '" +
        dir_.path("app") + "*.log" + "'}\n" +
        (random_() % 2 == 0 ? "  pipeline_stages:\n  - multiline: {firstline: '^L'}\n" : "");
    auto config = load_config(yaml, "test.yaml");
    CHECK(config.ok());
    config_ = std::move(config).value();
  }

  void run(int steps) {
    start();
    for (int i = 0; i < steps; ++i) step();
    store_.faults = {};
    if (lane_ == nullptr) start();
    for (int i = 0; i < 400; ++i) round(500);
    check();
  }
  FakeStore& store() { return store_; }

 private:
  std::uint64_t pick(std::uint64_t count) { return random_() % count; }

  void start() {
    LaneOptions options;
    options.agent_id = "agent";
    options.save = [this](ClientPositions positions) {
      saved_ = std::move(positions);
      return base::Status();
    };
    auto lane =
        Lane::create(config_, config_.clients[0], std::move(options),
                     std::make_unique<FakeTransport>(store_), make_inotify_watcher(), clock_);
    CHECK(lane.ok());
    lane_ = std::move(lane).value();
    lane_->begin(saved_, {});
  }

  void round(std::int64_t ms) {
    clock_.advance_ns(ms * base::kNsPerMs);
    if (lane_ == nullptr) return;
    lane_->step();
    for (int i = 0; i < 5 && lane_->sender().step() == 0; ++i) {
    }
    lane_->step();
  }

  void write(const std::string& file) {
    const std::uint64_t count = 1 + pick(30);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string line = "L" + std::to_string(++written_) + std::string(pick(60), '.');
      dir_.append(file, line + "\n");
      expected_.insert(line);
    }
  }

  void rotate(const std::string& file) {
    // Our loop runs far more often than logrotate: it has at least seen the file's birth.
    if (lane_ != nullptr) {
      lane_->step();
      if (std::filesystem::exists(dir_.path(file))) met_.insert(file);
    }
    // What rotates away before its name was ever met is not ours: only the pattern counts then.
    if (!met_.contains(file)) return;
    for (int i = 5; i > 0; --i) {
      const std::string from = file + "." + std::to_string(i);
      if (std::filesystem::exists(dir_.path(from))) {
        if (i == 5) continue;  // kept: deletion is for the reader's own tests
        dir_.rename(from, file + "." + std::to_string(i + 1));
      }
    }
    if (!std::filesystem::exists(dir_.path(file))) return;
    if (std::filesystem::exists(dir_.path(file + ".1"))) dir_.remove(file + ".1");
    dir_.rename(file, file + "." + std::to_string(1000 + ++rotations_));
    if (pick(2) == 0) write(file + "." + std::to_string(1000 + rotations_));  // a late writer
    if (pick(4) != 0) write(file);
  }

  void step() {
    const std::string file = "app" + std::to_string(pick(3)) + ".log";
    switch (pick(14)) {
      case 0: rotate(file); break;
      case 1: lane_.reset(); break;  // kill -9: nothing is flushed or saved
      case 2:
        if (lane_ == nullptr) start();
        break;
      case 3: store_.faults.away = !store_.faults.away; break;
      case 4: store_.faults.lose_answer_percent = pick(2) == 0 ? 40 : 0; break;
      case 5: store_.faults.status_percent = pick(2) == 0 ? 50 : 0; break;
      default: write(file); break;
    }
    if (pick(3) != 0) ::usleep(1000);  // mtimes move
    round(static_cast<std::int64_t>(pick(300)));
  }

  void check() {
    std::size_t missing = 0, repeated = 0;
    std::map<std::string, int> stored;
    for (const auto& [entry, count] : store_.lines) {
      std::size_t start = 0;  // multiline joins continuation lines; ours have none
      while (start <= entry.size()) {
        const std::size_t end = entry.find('\n', start);
        stored[entry.substr(start, end - start)] += count;
        if (end == std::string::npos) break;
        start = end + 1;
      }
    }
    for (const std::string& line : expected_) {
      const int count = stored[line];
      missing += count == 0;
    }
    EXPECT_EQ(missing, 0U) << "of " << expected_.size();
    EXPECT_EQ(repeated, 0U) << "of " << expected_.size();
    EXPECT_EQ(stored.size(), expected_.size()) << "lines nobody wrote";
  }

  TempDir dir_;
  std::mt19937_64 random_;
  base::ManualClock clock_{1'700'000'000LL * base::kNsPerSecond};
  FakeStore store_;
  AgentConfig config_;
  ClientPositions saved_;
  std::unique_ptr<Lane> lane_;
  std::set<std::string> expected_, met_;
  std::uint64_t written_ = 0;
  int rotations_ = 0;
};

TEST(Simulation, EveryLineExactlyOnceWhateverHappens) {
  int duplicates = 0;
  const char* seeds = std::getenv("SKALD_SIM_SEEDS");  // the long run: thousands
  const std::uint64_t count = seeds == nullptr ? 15 : std::strtoull(seeds, nullptr, 10);
  const char* first = std::getenv("SKALD_SIM_FIRST");
  for (std::uint64_t seed = first == nullptr ? 1 : std::strtoull(first, nullptr, 10); seed <= count;
       ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(seed);
    simulation.run(150);
    duplicates += simulation.store().duplicates;
    if (testing::Test::HasFailure()) return;
  }
  if (first == nullptr) {
    EXPECT_GT(duplicates, 0) << "the simulation must reach re-sent batches";
  }
}

}  // namespace
}  // namespace skald::agent
