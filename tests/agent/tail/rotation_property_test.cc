// Random rotations, late writers, pauses and kills of the tailer: every line is handed on exactly
// once. The rotating side is a model of what logrotate and a log library do, on real files.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
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
  AgentRun(const TempDir& dir, const base::Clock& wall, base::ManualClock& clock,
           std::vector<KnownFile> positions)
      : wall_(wall), clock_(clock), files_({}, clock, make_inotify_watcher(), *this) {
    files_.set_targets({std::make_shared<OneFile>(dir.path("app.log"))});
    files_.set_known(std::move(positions));
    files_.scan();
  }
  void learn(std::vector<KnownFile> marks) { files_.learn(std::move(marks)); }
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
  // As the lane makes them: no offset says more than what the store acknowledged.
  std::vector<KnownFile> positions() {
    dirty = false;
    std::vector<KnownFile> out = files_.unclaimed();
    files_.for_each([&](Source& s) {
      const std::uint64_t offset = acknowledged_[s.number];
      const TailPrint tail = offset == s.offset ? s.tail_print() : TailPrint{};
      out.push_back({s.bare ? FileId{} : s.id, s.key, offset, tail, s.path,
                     s.bare ? s.successor_ns : wall_.wall_ns(), false});
    });
    return out;
  }
  // Each file's offset, as the store remembers it with the lines read so far.
  void acknowledge(std::map<std::string, std::uint64_t>& marks) {
    files_.for_each([&](Source& s) {
      acknowledged_[s.number] = s.offset;
      if (s.id.head_size > 0 && s.offset > 0) marks[s.id.to_string()] = s.offset;
    });
  }

  bool on_line(Source& source, std::string_view line, std::uint64_t, std::uint64_t) override {
    lines.emplace_back(line);
    dirty |= begun_.insert(source.number).second;
    return true;
  }
  void on_skipped(Source&, std::uint64_t, std::uint64_t) override {}
  void on_source_start(Source& source, const KnownFile*) override { on_source_moved(source); }
  void on_source_moved(Source& source) override {
    acknowledged_[source.number] = source.offset;
    dirty = true;
  }
  void on_source_quiet(Source&) override {}
  void on_source_end(Source&) override {}
  bool is_settled(const Source&) const override { return true; }
  void on_lost(const Source&, std::uint64_t, std::string_view why) override {
    ADD_FAILURE() << why;
  }
  void on_warning(const std::string& message) override { ADD_FAILURE() << message; }

  std::vector<std::string> lines;
  bool dirty = false;  // the lane saves the positions before its next step

 private:
  const base::Clock& wall_;
  base::ManualClock& clock_;
  std::map<std::uint64_t, std::uint64_t> acknowledged_;
  std::set<std::uint64_t> begun_;
  FileSet files_;
};

// A log library and logrotate: writes numbered lines, renames, creates, or copies and truncates.
class Writer {
 public:
  Writer(const TempDir& dir, bool copytruncate) : dir_(dir), copytruncate_(copytruncate) {
    reopen();
  }
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
    if (copytruncate_) {
      // What a writer does between the copy and the cut is lost to everybody: it does nothing.
      dir_.copy("app.log", name(1));
      dir_.overwrite("app.log", "");
    } else {
      dir_.rename("app.log", name(1));
      dir_.append("app.log", "");
    }
  }
  int written() const { return next_; }

 private:
  static std::string name(int generation) { return "app.log." + std::to_string(generation); }
  const TempDir& dir_;
  const bool copytruncate_;
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

// What outlives a kill: the store's lines with its marks (one push holds both), and the positions,
// which may be older.
struct Saved {
  std::vector<std::string> lines;
  std::map<std::string, std::uint64_t> marks;
  std::vector<KnownFile> positions;

  void acknowledge(AgentRun& run) {
    lines.insert(lines.end(), run.lines.begin(), run.lines.end());
    run.lines.clear();
    run.acknowledge(marks);
  }
  // As the lane joins them: a mark is known by its id; where the file was last, by the positions.
  std::vector<KnownFile> known_marks() const {
    std::vector<KnownFile> out;
    for (const auto& [text, offset] : marks) {
      KnownFile file;
      file.id = *FileId::parse(text);
      file.key = file.id.key;
      for (const KnownFile& position : positions)
        if (position.id == file.id) file = position;
      file.offset = offset;
      out.push_back(std::move(file));
    }
    return out;
  }
};

// One history: an agent is killed and started again while its file is written and rotated.
class History {
 public:
  History(std::uint32_t seed, bool copytruncate) : random_(seed), writer_(dir_, copytruncate) {
    start();
  }
  void step() {
    switch (random_() % 11) {
      case 0:
      case 1: writer_.write(1 + some(5)); break;
      case 2: rotate(); break;
      case 3: writer_.reopen(); break;
      case 4:
        rotate();
        writer_.reopen();
        break;
      case 5: run_->look(); break;
      case 6: read_turn(); break;
      case 7:
        run_->look();
        while (read_turn()) continue;
        break;
      case 8: saved_.acknowledge(*run_); break;
      case 9: saved_.positions = run_->positions(); break;
      default:
        if (some(3) == 0) kill();
    }
    save_if_dirty();
  }
  void finish() {
    run_->look();
    while (read_turn()) continue;
    saved_.acknowledge(*run_);
    expect_each_once(saved_.lines, writer_.written());
  }

 private:
  int some(unsigned n) { return static_cast<int>(random_() % n); }
  void start() {
    run_ = std::make_unique<AgentRun>(dir_, wall_, clock_, saved_.positions);
    save_if_dirty();
    run_->learn(saved_.known_marks());
  }
  bool read_turn() { return run_->read_turn(); }
  void save_if_dirty() {
    if (run_->dirty) saved_.positions = run_->positions();
  }
  void rotate() { writer_.rotate(); }
  void kill() {
    run_.reset();
    if (some(2) == 0) rotate();
    start();
  }

  std::minstd_rand random_;
  const TempDir dir_;
  const base::Clock& wall_ = base::Clock::system();
  base::ManualClock clock_{1'700'000'000LL * base::kNsPerSecond};
  Writer writer_;
  Saved saved_;
  std::unique_ptr<AgentRun> run_;
};

void expect_histories_without_loss(bool copytruncate) {
  for (int round = 0; round < rounds_of_this_run(); ++round) {
    const std::uint32_t seed = seed_of_this_run() + static_cast<std::uint32_t>(round);
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed * 7919 + 1, copytruncate);
    for (int step = 0; step < 80; ++step) history.step();
    history.finish();
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Rotation, KillsBetweenRenamesHandOnEveryLineOnce) { expect_histories_without_loss(false); }

TEST(Rotation, KillsBetweenCopytruncatesHandOnEveryLineOnce) {
  expect_histories_without_loss(true);
}

TEST(Rotation, ARotationInTheMiddleOfAListingLosesNothing) {
  const TempDir dir;
  base::ManualClock clock(1'700'000'000LL * base::kNsPerSecond);
  Writer writer(dir, false);
  AgentRun run(dir, clock, clock, {});
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
