// Each situation a log file gets into, on real files: what is handed on is exactly what was
// written.

#include "agent/tail/file_set.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/agent/tail/temp_dir.h"

namespace skald::agent {
namespace {

// Everything in the directory whose name starts with `prefix`; or only that name.
class TestPattern final : public PathPattern {
 public:
  TestPattern(std::string directory, std::string name, bool is_prefix)
      : directory_(std::move(directory)), name_(std::move(name)), is_prefix_(is_prefix) {}
  bool matches(std::string_view path) const override {
    if (!path.starts_with(directory_ + "/")) return false;
    const std::string_view name = path.substr(directory_.size() + 1);
    return is_prefix_ ? name.starts_with(name_) : name == name_;
  }
  void expand(const std::function<void(const std::string&)>& file) const override {
    for (const auto& entry : std::filesystem::directory_iterator(directory_))
      if (matches(entry.path().string())) file(entry.path().string());
  }
  void expand_directories(const std::function<void(const std::string&)>& fn) const override {
    fn(directory_);
  }

 private:
  std::string directory_, name_;
  bool is_prefix_;
};

// A tailer of "app.log" (or app.log*) that collects lines; restartable.
class Tailer final : public TailOwner {
 public:
  Tailer(const TempDir& dir, base::ManualClock& clock, bool wild = false, bool polling = false)
      : clock_(clock),
        files_({}, clock, polling ? make_polling_watcher() : make_inotify_watcher(), *this) {
    files_.set_targets({std::make_shared<TestPattern>(dir.path(), "app.log", wild)});
  }
  // As the lane does it: events, polling, then reading to the end.
  void round() {
    clock_.advance_ns(300 * base::kNsPerMs);
    files_.take_events();
    if (files_.needs_polling()) files_.poll_unwatched();
    read();
  }
  void scan() {
    files_.scan();
    read();
  }
  void read() {
    for (int turns = 0; files_.has_work() && turns < 10'000; ++turns)
      if (!files_.read_turn()) return;
  }
  void quiet(std::int64_t seconds) {
    for (std::int64_t i = 0; i < seconds; ++i) {
      clock_.advance_ns(base::kNsPerSecond);
      round();
    }
  }
  std::vector<KnownFile> known() {
    std::vector<KnownFile> out;
    files_.for_each([&](Source& s) {
      out.push_back({s.id, s.key, s.offset, s.tail_print(), s.path, clock_.wall_ns(), false});
    });
    return out;
  }

  bool on_line(Source& source, std::string_view line, std::uint64_t start,
               std::uint64_t end) override {
    EXPECT_EQ(next_[source.number], start) << "ranges of a source are adjacent";
    next_[source.number] = end;
    lines.emplace_back(line);
    return stop_after == 0 || --stop_after > 0;
  }
  void on_skipped(Source& source, std::uint64_t, std::uint64_t end) override {
    next_[source.number] = end;
  }
  void on_source_start(Source& source, const KnownFile*) override {
    next_[source.number] = source.offset;
    ++started;
  }
  void on_source_moved(Source& source) override { next_[source.number] = source.offset; }
  void on_source_quiet(Source&) override {}
  void on_source_end(Source&) override { ++ended; }
  bool is_settled(const Source&) const override { return settled; }
  void on_lost(const Source&, std::uint64_t bytes, std::string_view) override { lost += bytes; }
  void on_warning(const std::string&) override {}

  using Lines = std::vector<std::string>;
  Lines lines;
  int started = 0, ended = 0;
  int stop_after = 0;
  bool settled = true;
  std::uint64_t lost = 0;
  FileSet& files() { return files_; }

 private:
  base::ManualClock& clock_;
  std::map<std::uint64_t, std::uint64_t> next_;
  FileSet files_;
};

using Lines = Tailer::Lines;

class FileSetTest : public testing::TestWithParam<bool> {  // polling or inotify
 protected:
  TempDir dir;
  base::ManualClock clock{1'700'000'000LL * base::kNsPerSecond};
  std::unique_ptr<Tailer> tailer(bool wild = false) {
    return std::make_unique<Tailer>(dir, clock, wild, GetParam());
  }
  // A run that has read what "app.log" begins with.
  std::unique_ptr<Tailer> tailing(std::string_view beginning) {
    dir.append("app.log", beginning);
    auto t = tailer();
    t->scan();
    return t;
  }
  // A new run that knows what the old one knew.
  std::unique_ptr<Tailer> restart(std::unique_ptr<Tailer> old, bool wild = false) {
    auto known = old->known();
    old.reset();
    auto next = tailer(wild);
    next->files().set_known(std::move(known));
    return next;
  }
};

std::string watcher_name(const testing::TestParamInfo<bool>& watcher) {
  return watcher.param ? "polling" : "inotify";
}
INSTANTIATE_TEST_SUITE_P(Watchers, FileSetTest, testing::Bool(), watcher_name);

TEST_P(FileSetTest, ReadsFromTheStartAndFollows) {
  auto t = tailing("a\nb\n");
  dir.append("app.log", "c\nd");
  t->round();
  EXPECT_EQ(t->lines, (Lines{"a", "b", "c"}));
  dir.append("app.log", "e\n");
  t->round();
  EXPECT_EQ(t->lines, (Lines{"a", "b", "c", "de"})) << "a partial line waits for its end";
}

TEST_P(FileSetTest, ANewFileIsSeen) {
  auto t = tailer();
  t->scan();
  dir.append("app.log", "a\n");
  t->round();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"a"}));
}

TEST_P(FileSetTest, KeepsBytesAsTheyAre) {
  dir.append("app.log", std::string("\r\n\n\xFF\xFE\0x\n", 9));
  auto t = tailer();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"\r", "", std::string("\xFF\xFE\0x", 4)}));
}

TEST_P(FileSetTest, RenameAndCreateLosesNothing) {
  auto t = tailing("1\n");
  dir.append("app.log", "2\n");
  dir.rename("app.log", "app.log.1");
  dir.append("app.log", "4\n");
  dir.append("app.log.1", "3\n");
  t->round();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3", "4"}));
  dir.append("app.log.1", "late\n");  // the writer has not reopened yet
  t->round();
  dir.append("app.log", "5\n");
  t->round();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3", "4", "late", "5"}));
}

TEST_P(FileSetTest, SeveralGenerationsWhileReadingIsPausedComeInOrder) {
  auto t = tailing("1\n");
  for (int i = 2; i < 6; ++i) {
    for (int j = 4; j > 0; --j)
      if (std::filesystem::exists(dir.path("app.log." + std::to_string(j))))
        dir.rename("app.log." + std::to_string(j), "app.log." + std::to_string(j + 1));
    dir.append("app.log", std::to_string(i) + "\n");
    dir.rename("app.log", "app.log.1");
    dir.append("app.log", std::to_string(i) + " new\n");
    t->files().take_events();  // the loop goes on, reading is paused
    if (t->files().needs_polling() || GetParam()) t->files().scan();
  }
  t->round();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "2 new", "3", "3 new", "4", "4 new", "5", "5 new"}));
}

TEST_P(FileSetTest, AGenerationThatCameAndWentBetweenTwoLooksIsRead) {
  auto t = tailing("1\n");
  dir.append("app.log", "2\n");
  dir.rename("app.log", "app.log.1");
  dir.append("app.log", "3\n");
  dir.rename("app.log.1", "app.log.2");
  dir.rename("app.log", "app.log.1");
  dir.append("app.log", "4\n");
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3", "4"}));
  dir.append("app.log.1", "3, by a writer that has it open\n");
  t->quiet(1);
  EXPECT_EQ(t->lines.back(), "3, by a writer that has it open");
}

TEST_P(FileSetTest, AnEmptyGenerationBetweenTwoLooksIsFollowed) {
  auto t = tailing("1\n");
  dir.rename("app.log", "app.log.2");
  dir.append("app.log.1", "");
  dir.append("app.log", "");
  t->scan();
  dir.append("app.log.1", "2\n");  // its writer reopens late
  t->quiet(1);
  dir.append("app.log", "3\n");
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3"}));
}

TEST_P(FileSetTest, AGenerationAfterTheNameWasAwayForAWhileIsRead) {
  auto t = tailing("1\n");
  dir.rename("app.log", "app.log.1");
  t->scan();
  dir.rename("app.log.1", "app.log.2");
  dir.append("app.log.1", "2\n");
  dir.append("app.log", "3\n");
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3"}));
}

TEST_P(FileSetTest, WhatLayThereBeforeTheFirstLookIsNotReadWhenTheFileRotates) {
  dir.append("app.log.1", "old\n");
  ::usleep(20'000);
  auto t = tailing("1\n");
  dir.rename("app.log.1", "app.log.2");
  dir.rename("app.log", "app.log.1");
  dir.append("app.log", "2\n");
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2"}));
}

TEST_P(FileSetTest, ACopyMadeByHandIsNotAGeneration) {
  auto t = tailing("1\n");
  dir.copy("app.log", "app.log.bak");
  dir.append("app.log", "2\n");
  dir.rename("app.log", "app.log.1");
  dir.append("app.log", "3\n");
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3"}));
}

TEST_P(FileSetTest, TwoCopytruncatesBetweenTwoLooksLoseNothing) {
  auto t = tailing("line one\n");
  dir.append("app.log", "line two\n");
  dir.copy("app.log", "app.log.2");
  dir.overwrite("app.log", "3\n");
  ::usleep(20'000);  // a later tick of the file system's clock, as between two runs of logrotate
  dir.copy("app.log", "app.log.1");
  dir.overwrite("app.log", "4\n");
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"line one", "line two", "3", "4"}));
}

TEST_P(FileSetTest, CopiesOfEarlierLivesStayUnreadWhenTheFileIsRenamedAtLast) {
  dir.append("app.log", "first life\n");
  dir.copy("app.log", "app.log.2");
  ::usleep(20'000);  // a later tick of the file system's clock
  dir.overwrite("app.log", "1\n");
  auto t = tailer();
  t->scan();
  dir.rename("app.log", "app.log.1");
  dir.append("app.log", "2\n");
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2"}));
}

TEST_P(FileSetTest, ARotatedNameThatMatchesIsNotReadAgain) {
  dir.append("app.log", "1\n");
  auto t = tailer(true);
  t->scan();
  dir.rename("app.log", "app.log.1");
  dir.append("app.log", "2\n");
  t->round();
  t->scan();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2"}));
}

TEST_P(FileSetTest, DeletedWhileUnreadIsReadToItsEnd) {
  auto t = tailing("1\n");
  dir.append("app.log", "2\n3");
  dir.remove("app.log");
  t->round();
  EXPECT_EQ(t->lines, (Lines{"1", "2"}));
  t->quiet(5);
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3"})) << "an unterminated rest is sent once it is final";
  EXPECT_EQ(t->ended, 0);
  t->quiet(70);
  EXPECT_EQ(t->ended, 1);
  EXPECT_EQ(t->lost, 0U);
}

TEST_P(FileSetTest, AnUnsettledDeletedFileIsKept) {
  dir.append("app.log", "1\n");
  auto t = tailer();
  t->settled = false;
  t->scan();
  dir.remove("app.log");
  t->quiet(200);
  EXPECT_EQ(t->ended, 0);
  t->settled = true;
  t->quiet(1);
  EXPECT_EQ(t->ended, 1);
}

TEST_P(FileSetTest, TruncatedFileBeginsAgain) {
  auto t = tailing("first\nsecond\n");
  dir.overwrite("app.log", "new\n");
  t->round();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"first", "second", "new"}));
  EXPECT_EQ(t->lost, 0U);
}

TEST_P(FileSetTest, TruncatedAndGrownPastTheOffsetIsNoticed) {
  auto t = tailing("first\nsecond\n");
  dir.overwrite("app.log", "other 1\nother 2\nother 3\n");
  t->round();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"first", "second", "other 1", "other 2", "other 3"}));
}

TEST_P(FileSetTest, CopytruncateReadsTheRestFromTheCopy) {
  for (const bool wild : {false, true}) {
    dir.remove("app.log.1");
    dir.overwrite("app.log", "1\n2\n");
    auto t = tailer(wild);
    t->scan();
    dir.append("app.log", "3\n");
    dir.copy("app.log", "app.log.1");
    dir.overwrite("app.log", "4\n");
    t->round();
    t->scan();
    t->scan();
    EXPECT_EQ(t->lines, (Lines{"1", "2", "3", "4"}));
    EXPECT_EQ(t->lost, 0U);
  }
}

TEST_P(FileSetTest, CopytruncateBeforeTheFirstReadIsNoticed) {
  dir.append("app.log", "1\n2\n");
  auto t = tailer();
  t->files().scan();  // found, not read: the server is away
  dir.copy("app.log", "app.log.1");
  dir.overwrite("app.log", "3\n");
  t->round();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3"}));
  EXPECT_EQ(t->lost, 0U);
}

TEST_P(FileSetTest, TheCopyIsNotReadBeforeTheTruncation) {
  dir.append("app.log", "1\n2\n");
  auto t = tailer(true);
  t->scan();
  dir.append("app.log.1", "");  // copytruncate creates, then fills
  t->round();
  t->scan();
  dir.append("app.log.1", "1\n2\n");
  t->round();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2"}));
  dir.overwrite("app.log", "");
  t->round();
  dir.append("app.log", "3\n");
  t->round();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3"}));
}

TEST_P(FileSetTest, FollowsASymlinkThatIsSwapped) {
  dir.append("one", "1\n");
  std::filesystem::create_symlink(dir.path("one"), dir.path("app.log"));
  auto t = tailer();
  t->scan();
  dir.append("one", "2\n");
  t->round();
  dir.append("two", "3\n");
  dir.remove("app.log");
  std::filesystem::create_symlink(dir.path("two"), dir.path("app.log"));
  t->round();
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3"}));
}

TEST_P(FileSetTest, LongLinesAreWholeAndHugeOnesAreCut) {
  const std::string one_mb(1 << 20, 'x');
  const std::string five_mb(5 << 20, 'y');
  dir.append("app.log", one_mb + "\n" + five_mb + "\nnext\n");
  auto t = tailer();
  t->scan();
  ASSERT_EQ(t->lines.size(), 3U);
  EXPECT_EQ(t->lines[0], one_mb);
  EXPECT_EQ(t->lines[1].size(), kLineBytesMax);
  EXPECT_EQ(t->lines[2], "next");
  EXPECT_EQ(t->files().reader().lines_cut_total(), 1U);
}

TEST_P(FileSetTest, StopsWhereTheSinkSaysSo) {
  dir.append("app.log", "1\n2\n3\n4\n");
  auto t = tailer();
  t->stop_after = 2;
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1", "2"}));
  t->read();
  EXPECT_EQ(t->lines, (Lines{"1", "2", "3", "4"}));
}

TEST_P(FileSetTest, RewindReadsAgain) {
  auto t = tailing("1\n2\n3\n");
  t->files().for_each([&](Source& source) { t->files().rewind(source, 2); });
  // The owner's account goes back too.
  t->lines.clear();
  auto u = tailer();
  auto known = t->known();
  EXPECT_EQ(known[0].offset, 2U);
  u->files().set_known(known);
  u->scan();
  EXPECT_EQ(u->lines, (Lines{"2", "3"}));
}

TEST_P(FileSetTest, RestartGoesOnWhereItWas) {
  auto t = tailing("1\n");
  t = restart(std::move(t));
  dir.append("app.log", "2\n");
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"2"}));
}

TEST_P(FileSetTest, RestartReadsTheRestOfARotatedFileAndThoseBetween) {
  auto t = tailing("1\n");
  auto known = t->known();
  t.reset();
  dir.append("app.log", "2\n");
  dir.rename("app.log", "app.log.2");
  dir.append("app.log.1", "3\n");  // a whole generation nobody saw
  dir.append("app.log", "4\n");
  t = tailer();
  t->files().set_known(known);
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"2", "3", "4"}));
}

TEST_P(FileSetTest, RestartDoesNotTouchOldGenerations) {
  dir.append("app.log.1", "old\n");
  ::usleep(20'000);
  auto t = tailing("1\n");
  EXPECT_EQ(t->lines, (Lines{"1"})) << "only what the pattern names, at first sight";
  t = restart(std::move(t));
  dir.append("app.log", "2\n");
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"2"}));
}

TEST_P(FileSetTest, RestartAfterReplacementByABiggerFileStartsAtZero) {
  auto t = tailing("1\n2\n");
  auto known = t->known();
  t.reset();
  dir.remove("app.log");
  dir.append("app.log", "completely different\nand longer\n");
  known[0].key = KnownFile{}.key;  // whatever the inode now is ...
  struct stat st {};
  ::stat(dir.path("app.log").c_str(), &st);
  known[0].key = known[0].id.key = key_of(st);  // ... let it be the same: reused
  t = tailer();
  t->files().set_known(known);
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"completely different", "and longer"}));
}

TEST_P(FileSetTest, RestartAfterCopytruncateReadsTheCopysRest) {
  auto t = tailing("1\n2\n");
  auto known = t->known();
  t.reset();
  dir.append("app.log", "3\n");
  dir.copy("app.log", "app.log.1");
  dir.overwrite("app.log", "4\n");
  for (const bool wild : {false, true}) {
    t = tailer(wild);
    t->files().set_known(known);
    t->scan();
    EXPECT_EQ(t->lines, (Lines{"3", "4"})) << wild;
    t.reset();
  }
}

TEST_P(FileSetTest, FilesAreRecognisedFromTheStoresMarksAlone) {
  auto t = tailing("1\n2\n");
  auto known = t->known();
  t.reset();
  dir.append("app.log", "3\n");
  dir.rename("app.log", "app.log.1");
  dir.append("app.log", "4\n");
  known[0].path.clear();
  known[0].tail = {};
  known[0].id = *FileId::parse(known[0].id.to_string());
  t = tailer();
  t->files().set_known(known);
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"3", "4"}));
}

TEST_P(FileSetTest, PromtailsPositionsAreTakenOnlyIfTheyFit) {
  const struct {
    std::uint64_t offset;
    Lines want;
  } cases[] = {{2, {"2", "3"}}, {6, {}}, {3, {"1", "2", "3"}}, {99, {"1", "2", "3"}}};
  dir.append("app.log", "1\n2\n3\n");
  for (const auto& c : cases) {
    KnownFile known;
    known.path = dir.path("app.log");
    known.imported = true;
    known.offset = c.offset;
    auto t = tailer();
    t->files().set_known({known});
    t->scan();
    EXPECT_EQ(t->lines, c.want) << c.offset;
  }
}

TEST_P(FileSetTest, CompressedFilesAreLeftAlone) {
  dir.append("app.log", "1\n");
  dir.append("app.log.2.gz", "\x1f\x8b garbage\n");
  auto t = tailer(true);
  t->scan();
  EXPECT_EQ(t->lines, (Lines{"1"}));
}

TEST_P(FileSetTest, IdleFilesAreClosedAndReopened) {
  std::vector<std::string> names;
  for (int i = 0; i < 600; ++i) {
    names.push_back("app.log-" + std::to_string(1000 + i));
    dir.append(names.back(), std::to_string(i) + "\n");
  }
  auto t = tailer(true);
  t->scan();
  ASSERT_EQ(t->lines.size(), 600U);
  clock.advance_ns(60 * base::kNsPerSecond);
  t->scan();
  std::size_t open = 0;
  t->files().for_each([&](Source& source) { open += source.fd >= 0; });
  EXPECT_LE(open, kOpenFilesMax);
  t->lines.clear();
  for (const std::string& name : names) dir.append(name, "again\n");
  t->round();
  EXPECT_EQ(t->lines.size(), 600U);
}

TEST(FileId, TextFormHoldsEverythingAndNothingElseParses) {
  FileId id{{0xfe00, 42}, 256, 0xabcdef, 1700000000000000000};
  EXPECT_EQ(FileId::parse(id.to_string()), id);
  for (const std::string_view text :
       {"", "1-2-3-4", "1-2-3-4-5-6", "1-2-0-4-5", "1-2-101-4-5", "x-2-3-4-5", "1-2-3-4-5 ",
        "1--3-4-5", "1-2-3-4-11111111111111111"})
    EXPECT_FALSE(FileId::parse(text).has_value()) << text;
}

TEST(Utf8Boundary, NeverCutsASequence) {
  EXPECT_EQ(utf8_boundary("abc", 5), 3U);
  EXPECT_EQ(utf8_boundary("a\xC3\xA9z", 2), 1U);
  EXPECT_EQ(utf8_boundary("a\xC3\xA9z", 3), 3U);
  EXPECT_EQ(utf8_boundary("\xF0\x9F\x98\x80", 3), 3U) << "nothing would be left";
}

}  // namespace
}  // namespace skald::agent
