#pragma once
// All files of one agent: which exist, which is which, and which has unread bytes.
//
// The rules (each has a test in tests/agent/tail):
//  - a file is its device, inode and first bytes, never its name; a rename changes nothing;
//  - an open file is read to its end whatever happens to its name, and stays open until it is
//    quiet for kRotatedGraceNs and everything read of it is settled;
//  - generations of one name are read in order: a successor waits for its predecessor's end;
//  - a name that was rotated twice between two looks: the generation between is found beside it, as
//    the one that was made after the last one we know;
//  - a file whose bytes before our offset changed begins a new life at 0; the old life's rest is
//    looked for in a copy beside it (copytruncate);
//  - a file that starts like a live one and is named like its rotation is that one's copy, not
//  news;
//  - after a restart, renamed generations that were read in part, or came up meanwhile, are found
//    beside the name and read first.
//
// Thread rule: one thread. Blocking calls are local stat, open and read only.

#include <bitset>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "agent/tail/file_watcher.h"
#include "agent/tail/generations.h"
#include "agent/tail/source.h"
#include "agent/tail/spill_links.h"
#include "proto/base/clock.h"

namespace skald::agent {

// What a target's __path__ and __path_exclude__ say, without knowing how patterns work.
class PathPattern {
 public:
  virtual ~PathPattern() = default;
  virtual bool matches(std::string_view path) const = 0;
  virtual void expand(const std::function<void(const std::string& path)>& file) const = 0;
  virtual void expand_directories(
      const std::function<void(const std::string&)>& directory) const = 0;
};

// What an earlier run knew of a file, from its positions and from the store's marks.
struct KnownFile {
  FileId id;
  FileKey key;  // where the bytes were last
  std::uint64_t offset = 0;
  TailPrint tail;            // offset may lie before `offset`; 0: not known
  std::string path;          // empty: known only from the store
  std::int64_t seen_ns = 0;  // wall time of the positions it comes from
  bool imported = false;     // from Promtail: path and offset only, id.head_size is 0
};

// Known files by identity and by name; each is claimed once.
class KnownFiles {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  KnownFiles() = default;
  void add(std::vector<KnownFile> files);
  // The unclaimed known file that the open file `fd` under `path` is: by device and inode, or by
  // Promtail's path alone. Its bytes are compared. kNone: none.
  std::size_t find(FileKey key, const std::string& path, int fd, std::uint64_t size) const;
  // The unclaimed known file once under `path` whose bytes `fd` has, whatever its inode: a copy.
  std::size_t find_content(const std::string& path, int fd, std::uint64_t size) const;
  KnownFile claim(std::size_t index);
  bool has_unclaimed(const std::string& path) const;  // of this path, or of no known path
  // Whether one of this path was saved before it had a byte: what lies under the name now may be
  // another life, and its first one a copy beside it.
  bool has_bare(const std::string& path) const;
  // Wall time until which the unclaimed files of `path` were surely read; 0: none of them.
  std::int64_t seen_ns(const std::string& path) const;
  std::vector<KnownFile> unclaimed() const;
  std::vector<std::string> unclaimed_paths() const;

 private:
  std::vector<KnownFile> files_;
  std::vector<bool> claimed_;
  std::unordered_multimap<FileKey, std::size_t, FileKeyHash> by_key_;
  std::unordered_multimap<std::string, std::size_t> by_path_;
  std::unordered_multimap<std::uint64_t, std::size_t> by_head_;
  std::bitset<kHeadBytes + 1> has_head_size_;
  std::size_t pathless_ = 0;
};

class TailOwner : public LineSink {
 public:
  // A source begins, at source.offset. Give it its data. `known`: it was resumed from that.
  virtual void on_source_start(Source& source, const KnownFile* known) = 0;
  // Before anything was read of it, its offset and id were corrected.
  virtual void on_source_moved(Source& source) = 0;
  // No name and nothing more to come (or another life): flush what the pipeline holds of it.
  virtual void on_source_quiet(Source& source) = 0;
  virtual void on_source_end(Source& source) = 0;
  // Everything handed on of it is acknowledged or dropped for good.
  virtual bool is_settled(const Source& source) const = 0;
  virtual void on_lost(const Source& source, std::uint64_t bytes, std::string_view why) = 0;
  virtual void on_warning(const std::string& message) = 0;
};

struct FileSetOptions {
  std::size_t line_bytes_max = kLineBytesMax;
  std::int64_t rotated_grace_ns = kRotatedGraceNs;
  std::int64_t partial_flush_ns = kPartialFlushNs;
  std::size_t open_files_max = kOpenFilesMax;
  std::int64_t idle_close_ns = kIdleCloseNs;
  std::string spill_dir;  // see spill_links.h; empty: none
  std::uint64_t spill_bytes_max = 0;
};

class FileSet {
 public:
  FileSet(FileSetOptions options, const base::Clock& clock, std::unique_ptr<FileWatcher> watcher,
          TailOwner& owner);
  ~FileSet();

  // Before the first scan.
  void set_known(std::vector<KnownFile> known) { known_.add(std::move(known)); }
  // What the store says of its own, before the first line was read: sources that turn out to be
  // known move to their offset (on_source_moved), and siblings are looked for once more.
  void learn(std::vector<KnownFile> known);
  // Replaces the targets. A source goes on under the first one that matches its path; sources
  // that none matches are ended.
  void set_targets(std::vector<std::shared_ptr<const PathPattern>> patterns);

  // Lists and looks at everything: at start, every sync period, after lost events.
  void scan();
  // Takes the watcher's events.
  void take_events();
  // Looks at files that no event speaks for: rotated ones, unwatched directories.
  void poll_unwatched();
  bool needs_polling() const noexcept { return rotated_count_ > 0 || unwatched_; }
  // Whether only unwatched directories (not rotations) want polling at `min_poll_ns`.
  bool has_unwatched_directories() const noexcept { return unwatched_; }
  bool wants_scan() const noexcept { return wants_scan_; }
  // Nothing was heard since the last scan, and something would have been, had anything happened.
  bool is_quiet() const noexcept { return !wants_scan_ && !unwatched_ && !heard_; }

  bool has_held_back() const noexcept { return held_back_; }
  bool has_work() const noexcept { return !queue_.empty(); }
  // One turn of one file. False: the sink said stop (the file stays first in the queue).
  bool read_turn();

  // Lets go on what its owner held back (Source::held_back, set while it took a line).
  void resume_all();

  // Reads again from `offset` (the store has less than we thought).
  void rewind(Source& source, std::uint64_t offset);
  // Sends unterminated last lines that were quiet for `quiet_ns`: before a final stop.
  void flush_partials(std::int64_t quiet_ns);

  Source* find(std::uint64_t number);
  template <typename Fn>
  void for_each(Fn&& fn) {
    for (auto& [number, source] : sources_) fn(*source);
  }
  std::size_t size() const noexcept { return sources_.size(); }
  int descriptor() const noexcept { return watcher_->descriptor(); }
  const SpillLinks& spilled() const noexcept { return spill_; }
  const LineReader& reader() const noexcept { return reader_; }
  // Known files that were not found again; their positions are kept for a while.
  std::vector<KnownFile> unclaimed() const { return known_.unclaimed(); }
  std::uint64_t files_refused() const noexcept { return files_refused_; }

 private:
  void look_at(const std::string& path);
  void discover(const std::string& path, std::size_t target);
  void add_source(std::unique_ptr<Source> source);
  void load_prints(Source& source);
  Source& start_source(std::unique_ptr<Source> source, const KnownFile* known);
  void seen_again(Source& source, const std::string& path, const struct stat& st);
  void set_rotated(Source& source, std::string at);
  void name_lost(const std::string& path);
  void replaced(Source& source);
  void finish(Source& source);
  void queue(Source& source);
  bool open_source(Source& source);
  void poll_rotated(Source& source);
  void close_idle();
  void watch_directory(const std::string& directory);
  void on_event(const FileEvent& event);
  Source* at_path(const std::string& path);
  Source* newest_of(const std::string& path);

  // file_recovery.cc: files across renames, copies and restarts.
  static void add_spilled(const std::vector<Generation>& spilled,
                          std::vector<Generation>& generations);
  bool is_copy_of_live_file(const std::string& path, int fd);
  void recover(const std::string& path, std::size_t target);
  bool is_known(Generation& generation, const std::string& path);
  std::uint64_t adopt_missed(const Source& before, std::uint64_t predecessor, bool was_cut);
  bool adopt_lives(Source& source);
  Source* resume_generation(Generation& generation, const std::string& path, std::size_t target,
                            bool unread);

  const FileSetOptions options_;
  const base::Clock& clock_;
  std::unique_ptr<FileWatcher> watcher_;
  TailOwner& owner_;
  LineReader reader_;
  SpillLinks spill_;
  std::vector<std::shared_ptr<const PathPattern>> targets_;
  KnownFiles known_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Source>> sources_;
  std::unordered_map<FileKey, Source*, FileKeyHash> by_key_;
  std::unordered_map<std::string, Source*> by_path_;          // the one now under its matched path
  std::unordered_map<std::string, std::uint64_t> left_path_;  // the last one that was, by number
  std::deque<std::uint64_t> queue_;
  std::unordered_set<std::string> recovered_;      // paths whose past was looked for
  std::unordered_set<std::string> changed_paths_;  // of one batch of events
  std::unordered_set<std::string> warned_;
  std::uint64_t last_number_ = 0;
  std::uint64_t files_refused_ = 0;
  std::size_t rotated_count_ = 0;
  std::size_t open_count_ = 0;
  bool unwatched_ = false;
  bool wants_scan_ = false;
  bool heard_ = false;      // an event since the last scan
  bool held_back_ = false;  // some source is
};

}  // namespace skald::agent
