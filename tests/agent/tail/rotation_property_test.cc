// Random rotations, late writers, pauses and kills of the tailer: every line is handed on exactly
// once. The rotating side is a model of what logrotate and a log library do, on real files.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>

#include "agent/tail/file_set.h"
#include "tests/agent/tail/temp_dir.h"

namespace skald::agent {
namespace {

class OneFile final : public PathPattern {
 public:
  explicit OneFile(std::string path) : path_(std::move(path)) {}
  bool matches(std::string_view path) const override { return path == path_; }
  void expand(const std::function<void(const std::string&)>& file) const override {
    if (::access(path_.c_str(), F_OK) == 0) file(path_);
  }
  void expand_directories(const std::function<void(const std::string&)>& fn) const override {
    fn(path_.substr(0, path_.rfind('/')));
  }

 private:
  std::string path_;
};

// One run of an agent: collects lines, can be killed.
class AgentRun final : public TailOwner {
 public:
  AgentRun(const TempDir& dir, base::ManualClock& clock, std::vector<KnownFile> known)
      : clock_(clock), files_({}, clock, make_inotify_watcher(), *this) {
    files_.set_targets({std::make_shared<OneFile>(dir.path("app.log"))});
    files_.set_known(std::move(known));
    files_.scan();
  }
  void look(std::int64_t after_ms = 300) {
    clock_.advance_ns(after_ms * base::kNsPerMs);
    files_.take_events();
    if (files_.needs_polling()) files_.poll_unwatched();
  }
  // False: nothing to read.
  bool read_turn() { return files_.has_work() && files_.read_turn(); }
  void read_all() {
    while (read_turn()) continue;
  }
  // What the positions would hold now.
  std::vector<KnownFile> known() {
    std::vector<KnownFile> out = files_.unclaimed();
    files_.for_each([&](Source& s) {
      out.push_back({s.id, s.key, s.offset, s.tail_print(), s.path, clock_.wall_ns(), false});
    });
    return out;
  }

  bool on_line(Source&, std::string_view line, std::uint64_t, std::uint64_t) override {
    lines.emplace_back(line);
    return true;
  }
  void on_skipped(Source&, std::uint64_t, std::uint64_t) override {}
  void on_source_start(Source&, const KnownFile*) override {}
  void on_source_moved(Source&) override {}
  void on_source_quiet(Source&) override {}
  void on_source_end(Source&) override {}
  bool is_settled(const Source&) const override { return true; }
  void on_lost(const Source&, std::uint64_t, std::string_view why) override {
    ADD_FAILURE() << why;
  }
  void on_warning(const std::string& message) override { ADD_FAILURE() << message; }

  std::vector<std::string> lines;

 private:
  base::ManualClock& clock_;
  FileSet files_;
};

// A log library and logrotate: writes numbered lines, renames, creates.
class Writer {
 public:
  explicit Writer(const TempDir& dir) : dir_(dir) { reopen(); }
  ~Writer() { ::close(fd_); }
  void write(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string line = "line " + std::to_string(next_++) + "\n";
      EXPECT_EQ(::write(fd_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
    }
  }
  void reopen() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = ::open(dir_.path("app.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }
  void rotate() {
    for (int i = generations_++; i > 0; --i) dir_.rename(name(i), name(i + 1));
    dir_.rename("app.log", name(1));
    dir_.append("app.log", "");
  }
  int written() const { return next_; }

 private:
  static std::string name(int generation) { return "app.log." + std::to_string(generation); }
  const TempDir& dir_;
  int fd_ = -1, next_ = 0, generations_ = 0;
};

std::uint32_t seed_of_this_run() {
  const char* const text = std::getenv("SKALD_SEED");
  return text != nullptr ? static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10)) : 1;
}

int rounds_of_this_run() {
  const char* const text = std::getenv("SKALD_ROTATION_ROUNDS");
  return text != nullptr ? std::atoi(text) : 60;
}

void expect_each_once(std::vector<std::string> lines, int written) {
  std::vector<std::string> want;
  for (int i = 0; i < written; ++i) want.push_back("line " + std::to_string(i));
  std::sort(want.begin(), want.end());
  std::sort(lines.begin(), lines.end());
  std::vector<std::string> missing, extra;
  std::set_difference(want.begin(), want.end(), lines.begin(), lines.end(),
                      std::back_inserter(missing));
  std::set_difference(lines.begin(), lines.end(), want.begin(), want.end(),
                      std::back_inserter(extra));
  EXPECT_TRUE(missing.empty()) << missing.size() << " lost, first " << missing.front();
  EXPECT_TRUE(extra.empty()) << extra.size() << " too many, first " << extra.front();
}

// What the store has acknowledged, and the positions saved with it.
struct Saved {
  std::vector<std::string> lines;
  std::vector<KnownFile> known;
};

TEST(Rotation, RandomStepsWithKillsHandOnEveryLineOnce) {
  for (int round = 0; round < rounds_of_this_run(); ++round) {
    const std::uint32_t seed = seed_of_this_run() + static_cast<std::uint32_t>(round);
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::minstd_rand random(seed * 7919 + 1);
    const TempDir dir;
    base::ManualClock clock(1'700'000'000LL * base::kNsPerSecond);
    Writer writer(dir);
    Saved saved;
    auto run = std::make_unique<AgentRun>(dir, clock, saved.known);
    for (int step = 0; step < 80; ++step) {
      switch (random() % 9) {
        case 0:
        case 1: writer.write(1 + static_cast<int>(random() % 5)); break;
        case 2: writer.rotate(); break;
        case 3: writer.reopen(); break;
        case 4:
          writer.rotate();
          writer.reopen();
          break;
        case 5: run->look(); break;
        case 6: run->read_turn(); break;
        case 7:
          run->look();
          run->read_all();
          saved.lines.insert(saved.lines.end(), run->lines.begin(), run->lines.end());
          run->lines.clear();
          saved.known = run->known();
          break;
        default:  // killed: what was not acknowledged is gone with it
          if (saved.known.empty() || random() % 3 != 0) break;
          run.reset();
          if (random() % 2 == 0) writer.rotate();
          run = std::make_unique<AgentRun>(dir, clock, saved.known);
      }
    }
    run->look();
    run->read_all();
    saved.lines.insert(saved.lines.end(), run->lines.begin(), run->lines.end());
    expect_each_once(std::move(saved.lines), writer.written());
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Rotation, ARotationInTheMiddleOfAListingLosesNothing) {
  const TempDir dir;
  base::ManualClock clock(1'700'000'000LL * base::kNsPerSecond);
  Writer writer(dir);
  AgentRun run(dir, clock, {});
  std::atomic<bool> done = false;
  std::thread rotating([&] {
    std::minstd_rand random(seed_of_this_run());
    for (int i = 0; i < 150; ++i) {
      writer.write(1 + static_cast<int>(random() % 3));
      writer.rotate();
      writer.reopen();
      if (random() % 4 == 0) ::usleep(static_cast<useconds_t>(random() % 2000));
    }
    writer.write(1);
    done = true;
  });
  while (!done) {
    run.look(1);
    run.read_turn();
  }
  rotating.join();
  run.look();
  run.read_all();
  expect_each_once(std::move(run.lines), writer.written());
}

}  // namespace
}  // namespace skald::agent
