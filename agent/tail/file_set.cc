#include "agent/tail/file_set.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "agent/tail/paths.h"
#include "proto/base/check.h"

namespace skald::agent {
FileSet::FileSet(FileSetOptions options, const base::Clock& clock,
                 std::unique_ptr<FileWatcher> watcher, TailOwner& owner)
    : options_(std::move(options)),
      clock_(clock),
      watcher_(std::move(watcher)),
      owner_(owner),
      reader_(options_.line_bytes_max),
      spill_(options_.spill_dir, options_.spill_bytes_max,
             [&owner](const std::string& message) { owner.on_warning(message); }) {}

FileSet::~FileSet() = default;

void FileSet::set_targets(std::vector<std::shared_ptr<const PathPattern>> patterns) {
  targets_ = std::move(patterns);
  // A source goes on under the first target that matches its name now.
  std::vector<Source*> gone;
  for (auto& numbered : sources_) {
    Source* const source = numbered.second.get();
    const auto it = std::find_if(targets_.begin(), targets_.end(), [source](const auto& pattern) {
      return pattern->matches(source->path);
    });
    if (it == targets_.end())
      gone.push_back(source);
    else
      source->target = static_cast<std::size_t>(it - targets_.begin());
  }
  for (Source* source : gone) finish(*source);
}

Source* FileSet::find(std::uint64_t number) {
  const auto it = sources_.find(number);
  return it == sources_.end() ? nullptr : it->second.get();
}

Source* FileSet::at_path(const std::string& path) {
  const auto it = by_path_.find(path);
  return it == by_path_.end() ? nullptr : it->second;
}

// The one under `path`, or the last one that was.
Source* FileSet::newest_of(const std::string& path) {
  if (Source* const source = at_path(path)) return source;
  const auto it = left_path_.find(path);
  return it == left_path_.end() ? nullptr : find(it->second);
}

void FileSet::queue(Source& source) {
  if (source.queued || source.held_back) return;
  source.queued = true;
  queue_.push_back(source.number);
}

bool FileSet::open_source(Source& source) {
  if (source.fd >= 0) return true;
  if (source.unlinked) return false;
  Generation generation{source.at, source.key};
  const int fd = open_generation(source.path, generation);
  if (fd < 0) return false;
  source.at = std::move(generation.path);
  source.fd = fd;
  ++open_count_;
  return true;
}

void FileSet::watch_directory(const std::string& directory) {
  if (watcher_->watch(directory)) return;
  unwatched_ = true;
  if (watcher_->descriptor() >= 0 && warned_.insert("watch").second)
    owner_.on_warning("directory " + directory +
                      " cannot be watched (fs.inotify.max_user_watches, or a network file "
                      "system): it is polled instead");
}

void FileSet::scan() {
  wants_scan_ = false;
  heard_ = false;
  unwatched_ = false;
  // Directories first: a file created between listing and watching is then seen by one of them.
  for (const auto& target : targets_)
    target->expand_directories(
        [this](const std::string& directory) { watch_directory(directory); });
  // In order of names: "app.log" claims its past before "app.log.1" is looked at.
  std::map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < targets_.size(); ++i)
    targets_[i]->expand([&](const std::string& path) {
      if (!seen.emplace(path, i).second && warned_.insert("twice " + path).second)
        owner_.on_warning(path + " is matched by two targets: only the first one reads it");
    });
  for (const auto& [path, target] : seen) discover(path, target);
  // Names with a past but without a file at present: renamed, and not created again.
  for (const std::string& path : known_.unclaimed_paths())
    for (std::size_t i = 0; i < targets_.size() && !recovered_.contains(path); ++i)
      if (targets_[i]->matches(path)) {
        recovered_.insert(path);
        recover(path, i);
      }
  std::vector<std::string> lost;
  for (const auto& [path, source] : by_path_)
    if (!seen.contains(path)) lost.push_back(path);
  for (const std::string& path : lost) name_lost(path);
  poll_unwatched();
  close_idle();
  spill_.drop_older_than(clock_.wall_ns(), kSpillForgetNs,
                         [this](FileKey key) { return by_key_.contains(key); });
}

void FileSet::on_event(const FileEvent& event) {
  heard_ = true;
  if (event.overflow || event.name.empty()) {
    wants_scan_ = true;
    return;
  }
  std::string path(event.directory);
  if (path.empty() || path.back() != '/') path += '/';
  path += event.name;
  if (event.is_directory) {
    wants_scan_ = true;
    return;
  }
  changed_paths_.insert(std::move(path));
}

void FileSet::take_events() {
  changed_paths_.clear();
  watcher_->drain([this](const FileEvent& event) { on_event(event); });
  for (const std::string& path : changed_paths_) look_at(path);
  changed_paths_.clear();
}

// Something happened under this name.
void FileSet::look_at(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) {
    name_lost(path);
    return;
  }
  if (S_ISDIR(st.st_mode)) {  // behind a symlink: no event calls it a directory
    wants_scan_ = true;
    return;
  }
  if (const auto it = by_key_.find(key_of(st)); it != by_key_.end()) {
    seen_again(*it->second, path, st);
    return;
  }
  for (std::size_t i = 0; i < targets_.size(); ++i)
    if (targets_[i]->matches(path)) return discover(path, i);
}

void FileSet::discover(const std::string& path, std::size_t target) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return name_lost(path);
  if (!S_ISREG(st.st_mode)) return;
  const FileKey key = key_of(st);
  if (const auto it = by_key_.find(key); it != by_key_.end())
    return seen_again(*it->second, path, st);
  if (is_compressed_name(path)) {
    if (warned_.insert(path).second)
      owner_.on_warning(path + ": compressed, not tailed (its lines were read before)");
    return;
  }
  if (sources_.size() >= kFilesMax) {
    ++files_refused_;
    if (warned_.insert("files").second)
      owner_.on_warning("more than " + std::to_string(kFilesMax) + " files match: " + path +
                        " and others are not tailed");
    return;
  }
  // It had this name then, so what comes after it under the name is younger than its last byte.
  const std::int64_t modified_ns = modified_ns_of(st);
  const int fd = open_for_reading(path);
  if (fd < 0) {
    if (errno != ENOENT && warned_.insert(path).second)
      owner_.on_warning("open " + path + ": " + std::strerror(errno));
    return;
  }
  if (::fstat(fd, &st) != 0 || key_of(st) != key || is_copy_of_live_file(path, fd)) {
    ::close(fd);
    return;
  }
  warned_.erase(path);
  auto source = std::make_unique<Source>();
  source->key = key;
  source->path = path;
  source->at = path;
  source->target = target;
  source->size = static_cast<std::uint64_t>(st.st_size);
  source->fd = fd;
  source->successor_ns = std::max(created_ns_of(fd), modified_ns);
  source->modified_ns = modified_ns;
  add_source(std::move(source));
}

// A file that was not there before, under its path.
void FileSet::add_source(std::unique_ptr<Source> source) {
  const std::string path = source->path;
  const FileKey key = source->key;
  const std::size_t target = source->target;
  watch_directory(directory_of(path));
  char resolved[4096];
  if (::realpath(path.c_str(), resolved) != nullptr && directory_of(resolved) != directory_of(path))
    watch_directory(directory_of(resolved));  // a symlink: writes are seen at its target
  Source* const before = newest_of(path);
  if (before != nullptr && !before->rotated) set_rotated(*before, "");
  const std::size_t index = known_.find(key, path, source->fd, source->size);
  if (index != KnownFiles::kNone) {
    const KnownFile known = known_.claim(index);
    start_source(std::move(source), &known);
  } else {
    start_source(std::move(source), nullptr);
  }
  Source* const now = by_key_.at(key);
  by_path_[path] = now;
  const bool is_first = recovered_.insert(path).second;
  if (before != nullptr)
    now->predecessor = adopt_missed(*before, before->number, false);
  else if (is_first)
    recover(path, target);
}

// Known files were compared before; from here on at every read. The head is taken as soon as there
// is one: the file may be cut before it is read, and then names its copy.
void FileSet::load_prints(Source& source) {
  source.tail_size = static_cast<std::uint32_t>(std::min<std::uint64_t>(source.offset, kTailBytes));
  if (source.tail_size > 0 && ::pread(source.fd, source.tail, source.tail_size,
                                      static_cast<off_t>(source.offset - source.tail_size)) !=
                                  static_cast<ssize_t>(source.tail_size))
    source.tail_size = 0;
  if (source.id.head_size != 0 || source.size == 0) return;
  char head[kHeadBytes];
  const ssize_t n = ::pread(source.fd, head, sizeof head, 0);
  if (n <= 0) return;
  source.id.head_size = static_cast<std::uint32_t>(n);
  source.id.head_hash = print_hash({head, static_cast<std::size_t>(n)});
}

Source& FileSet::start_source(std::unique_ptr<Source> owned, const KnownFile* known) {
  Source& source = *owned;
  source.number = ++last_number_;
  source.changed_ns = clock_.monotonic_ns();
  if (source.successor_ns == 0) source.successor_ns = created_ns_of(source.fd);
  if (known != nullptr) {
    source.offset = known->offset;
    source.id = known->id;
  }
  if (source.id.birth == 0) {
    source.id.key = source.key;
    source.id.birth = static_cast<std::uint64_t>(std::max<std::int64_t>(1, clock_.wall_ns()));
  }
  source.bare = source.size == 0;
  load_prints(source);
  ++open_count_;
  by_key_[source.key] = &source;
  sources_.emplace(source.number, std::move(owned));
  owner_.on_source_start(source, known);
  if (source.size != source.offset) queue(source);
  return source;
}

// A file we have was met under `path`.
void FileSet::seen_again(Source& source, const std::string& path, const struct stat& st) {
  const auto size = static_cast<std::uint64_t>(st.st_size);
  source.at = path;
  if (path == source.path) {
    if (Source* other = at_path(path); other != nullptr && other != &source)
      set_rotated(*other, "");
    if (source.rotated) {
      source.rotated = false;
      --rotated_count_;
    }
    by_path_[path] = &source;
  } else if (Source* here = at_path(path); here != nullptr && here != &source) {
    set_rotated(*here, "");  // renamed over another file of ours
  }
  if (path != source.path && at_path(source.path) == &source) {
    struct stat other {};
    if (::stat(source.path.c_str(), &other) != 0 || key_of(other) != source.key)
      set_rotated(source, path);
    else
      source.at = source.path;  // two names of one file
  }
  // Without a disk queue its turn to be read is early enough: its copy lies beside it then.
  if (!options_.spill_dir.empty() && at_path(path) == &source && source.id.head_size > 0 &&
      open_source(source) && !head_matches(source.fd, source.id))
    return replaced(source);
  source.unlinked = st.st_nlink == 0;
  if (size != source.size) source.changed_ns = clock_.monotonic_ns();
  source.size = size;
  if (source.id.head_size == 0 && size > 0 && source.fd >= 0) load_prints(source);
  // Cut and written to the same size again is told by the time alone.
  const bool is_touched = modified_ns_of(st) != source.modified_ns;
  source.modified_ns = modified_ns_of(st);
  if (source.size != source.offset || is_touched) queue(source);
}

void FileSet::set_rotated(Source& source, std::string at) {
  source.at = std::move(at);
  if (at_path(source.path) == &source) {
    by_path_.erase(source.path);
    left_path_[source.path] = source.number;
  }
  if (source.rotated) return;
  source.rotated = true;
  ++rotated_count_;
  source.changed_ns = clock_.monotonic_ns();
  if (open_source(source)) spill_.keep(source.path, source.fd);
  queue(source);  // what was written between our last read and the rename
}

// Nothing is under this name any more (or the name now is another file's).
void FileSet::name_lost(const std::string& path) {
  if (Source* source = at_path(path)) {
    set_rotated(*source, "");
    return;
  }
  for (auto& [number, source] : sources_)
    if (source->rotated && source->at == path) source->at.clear();
}

bool FileSet::read_turn() {
  const std::uint64_t number = queue_.front();
  Source* const source = find(number);
  if (source == nullptr) {
    queue_.pop_front();
    return true;
  }
  if (source->predecessor != 0) {
    const Source* before = find(source->predecessor);
    if (before == nullptr || (!before->queued && !before->held_back)) {
      source->predecessor = 0;
    } else if (before->held_back) {
      queue_.pop_front();
      source->queued = false;
      source->held_back = true;
      return true;
    } else {  // behind its predecessor
      queue_.pop_front();
      queue_.push_back(number);
      return true;
    }
  }
  queue_.pop_front();
  source->queued = false;
  if (!open_source(*source)) {
    if (source->rotated) {
      if (source->has_unread())
        owner_.on_lost(*source, source->size - source->offset, "deleted before it was read");
      source->size = source->offset;
      source->unlinked = true;
    }
    return true;
  }
  if (source->bare && adopt_lives(*source)) return true;
  // Later reads compare the bytes before the offset; before the first one there are none.
  if (source->offset == 0 && !head_matches(source->fd, source->id)) {
    replaced(*source);
    return true;
  }
  const std::uint64_t offset_before = source->offset;
  const LineReader::Outcome outcome = reader_.read(*source, owner_);
  source->bare = source->bare && source->offset == 0;
  if (source->offset != offset_before) source->changed_ns = clock_.monotonic_ns();
  switch (outcome) {
    case LineReader::Outcome::kMore: queue(*source); return true;
    case LineReader::Outcome::kDrained: return true;
    case LineReader::Outcome::kStopped:
      if (source->held_back) {
        held_back_ = true;
        return true;
      }
      source->queued = true;
      queue_.push_front(number);
      return false;
    case LineReader::Outcome::kReplaced: replaced(*source); return true;
    case LineReader::Outcome::kError:
      if (warned_.insert("read " + source->path).second)
        owner_.on_warning("read " + source->path + ": " + std::strerror(errno));
      return true;
  }
  return true;
}

// The bytes before the offset are gone: the file was truncated in place (copytruncate, or a
// restart with O_TRUNC). The name and inode begin another life.
void FileSet::replaced(Source& source) {
  auto next = std::make_unique<Source>();
  next->key = source.key;
  next->path = source.path;
  next->at = source.at;
  next->target = source.target;
  next->rotated = source.rotated;
  next->fd = source.fd;
  source.fd = -1;
  --open_count_;
  struct stat st {};
  if (::fstat(next->fd, &st) == 0) {
    next->size = static_cast<std::uint64_t>(st.st_size);
    next->successor_ns = next->modified_ns = modified_ns_of(st);
  }
  next->predecessor = source.number;
  if (next->rotated) ++rotated_count_;
  const std::uint64_t size_before = source.size;
  const std::string path = source.path;
  const bool was_current = at_path(path) == &source;
  by_key_.erase(source.key);
  set_rotated(source, "");
  if (std::exchange(source.queued, false)) std::erase(queue_, source.number);
  for (Generation& generation : generations_of(path)) {
    if (by_key_.contains(generation.key) || generation.key == next->key) continue;
    const int fd = open_generation(path, generation);
    if (fd < 0) continue;
    if (!head_matches(fd, source.id) || !tail_matches(fd, source.tail_print())) {
      ::close(fd);
      continue;
    }
    source.fd = fd;
    ++open_count_;
    source.key = generation.key;
    source.at = generation.path;
    source.size = generation.size;
    source.successor_ns = generation.created_ns;
    by_key_[source.key] = &source;
    break;
  }
  const bool has_copy = source.fd >= 0;
  if (!has_copy) {
    if (size_before > source.offset)
      owner_.on_lost(source, size_before - source.offset, "truncated before it was read");
    source.size = source.offset;
    source.unlinked = true;
  } else {
    next->successor_ns = source.successor_ns;
    spill_.keep(path, source.fd);
    queue(source);
  }
  Source& started = start_source(std::move(next), nullptr);
  queue(started);
  if (!was_current) return;
  by_path_[path] = &started;
  if (has_copy) started.predecessor = adopt_missed(source, source.number, true);
}

void FileSet::finish(Source& source) {
  owner_.on_source_quiet(source);
  owner_.on_source_end(source);
  spill_.drop(source.key);
  if (source.rotated) --rotated_count_;
  if (source.fd >= 0) --open_count_;
  if (const auto it = by_key_.find(source.key); it != by_key_.end() && it->second == &source)
    by_key_.erase(it);
  if (at_path(source.path) == &source) by_path_.erase(source.path);
  if (const auto it = left_path_.find(source.path);
      it != left_path_.end() && it->second == source.number)
    left_path_.erase(it);
  sources_.erase(source.number);
}

void FileSet::poll_rotated(Source& source) {
  struct stat st {};
  const std::int64_t now = clock_.monotonic_ns();
  const bool is_there = source.fd < 0 && !source.at.empty() &&
                        ::stat(source.at.c_str(), &st) == 0 && key_of(st) == source.key;
  // Not under the name we know: renamed meanwhile (then it is found by its key), or deleted.
  const bool found = is_there || (open_source(source) && ::fstat(source.fd, &st) == 0);
  if (found) {
    source.unlinked = st.st_nlink == 0;
    const auto size = static_cast<std::uint64_t>(st.st_size);
    if (size != source.size) {
      source.size = size;
      source.changed_ns = now;
      queue(source);
    } else if (source.size > source.offset && !source.partial) {
      queue(source);
    }
  } else {
    source.unlinked = true;
    source.size = std::max(source.size, source.offset);
  }
  if (source.queued || source.held_back) return;
  const std::int64_t quiet_ns = now - source.changed_ns;
  if (quiet_ns < options_.partial_flush_ns) return;
  if (source.partial && source.fd >= 0) {
    const LineReader::Outcome outcome = reader_.flush_partial(source, owner_);
    if (outcome == LineReader::Outcome::kReplaced) return replaced(source);
    if (outcome == LineReader::Outcome::kStopped) return;
    source.changed_ns = now;
    return;
  }
  owner_.on_source_quiet(source);
  if (quiet_ns < options_.rotated_grace_ns && source.fd >= 0) return;
  if (spill_.has(source.key)) {
    if (!owner_.is_settled(source) || source.has_unread()) return;
    spill_.drop(source.key);
  }
  if (source.unlinked) {
    if (owner_.is_settled(source)) finish(source);
  } else if (source.fd >= 0) {
    source.close();
    --open_count_;
  }
}

void FileSet::poll_unwatched() {
  std::vector<std::uint64_t> rotated;
  std::vector<std::string> unwatched;
  for (const auto& [number, source] : sources_) {
    if (source->rotated)
      rotated.push_back(number);
    else if (unwatched_ && !watcher_->is_watching(directory_of(source->path)))
      unwatched.push_back(source->path);
  }
  for (const std::string& path : unwatched) look_at(path);
  for (const std::uint64_t number : rotated)
    if (Source* source = find(number); source != nullptr && source->rotated) poll_rotated(*source);
}

void FileSet::close_idle() {
  if (open_count_ <= options_.open_files_max) return;
  const std::int64_t now = clock_.monotonic_ns();
  for (auto& [number, source] : sources_) {
    if (source->fd < 0 || source->rotated || source->queued || source->held_back || source->partial)
      continue;
    if (now - source->changed_ns < options_.idle_close_ns) continue;
    source->close();
    if (--open_count_ <= options_.open_files_max / 2) return;
  }
}

void FileSet::resume_all() {
  if (!held_back_) return;
  held_back_ = false;
  for (auto& [number, source] : sources_) {
    if (!source->held_back) continue;
    source->held_back = false;
    queue(*source);
  }
}

void FileSet::rewind(Source& source, std::uint64_t offset) {
  if (offset >= source.offset) return;
  source.offset = offset;
  source.skipping = false;
  source.partial = false;
  source.tail_size = 0;
  if (!open_source(source)) {
    owner_.on_lost(source, source.size - offset, "deleted before it could be read again");
    source.offset = source.size;
    return;
  }
  const auto tail_size = static_cast<std::uint32_t>(std::min<std::uint64_t>(offset, kTailBytes));
  if (::pread(source.fd, source.tail, tail_size, static_cast<off_t>(offset - tail_size)) ==
      static_cast<ssize_t>(tail_size))
    source.tail_size = tail_size;
  queue(source);
}

void FileSet::flush_partials(std::int64_t quiet_ns) {
  const std::int64_t now = clock_.monotonic_ns();
  for (auto& [number, source] : sources_)
    if (source->partial && source->fd >= 0 && now - source->changed_ns >= quiet_ns)
      static_cast<void>(reader_.flush_partial(*source, owner_));
}

}  // namespace skald::agent
