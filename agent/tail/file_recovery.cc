// The part of FileSet that recognises files across renames, copies and restarts.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "agent/tail/file_set.h"
#include "agent/tail/generations.h"
#include "agent/tail/paths.h"

namespace skald::agent {

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);  // npos + 1 == 0
}

bool is_compressed_name(std::string_view path) noexcept {
  for (const std::string_view end : {".gz", ".bz2", ".xz", ".zst", ".zip", ".Z", ".lz4"})
    if (path.ends_with(end)) return true;
  return false;
}

bool is_rotation_name(std::string_view name, std::string_view base) noexcept {
  return name.size() > base.size() + 1 && name.starts_with(base) &&
         (name[base.size()] == '.' || name[base.size()] == '-' || name[base.size()] == '_');
}

int open_for_reading(const std::string& path) noexcept {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

namespace {

// The bytes before the offset are as they were. The store's offset may lie past the last print:
// then it must follow a newline, or be the end (an unterminated last line that was sent).
bool offset_matches(const KnownFile& file, int fd, std::uint64_t size) {
  if (!tail_matches(fd, file.tail)) return false;
  const bool printed = file.tail.size > 0 && file.tail.offset == file.offset;
  return printed || file.offset == size || tail_matches(fd, {file.offset, 0, 0});
}

}  // namespace

void KnownFiles::add(std::vector<KnownFile> files) {
  for (KnownFile& file : files) {
    const std::size_t index = files_.size();
    if (!file.imported) by_key_.emplace(file.key, index);
    if (!file.imported && file.id.head_size > 0) {
      by_head_.emplace(file.id.head_hash, index);
      has_head_size_[file.id.head_size] = true;
    }
    if (file.path.empty())
      ++pathless_;
    else
      by_path_.emplace(file.path, index);
    files_.push_back(std::move(file));
    claimed_.push_back(false);
  }
}

std::size_t KnownFiles::find(FileKey key, const std::string& path, int fd,
                             std::uint64_t size) const {
  std::size_t best = kNone;
  const auto consider = [&](std::size_t i) {
    const KnownFile& file = files_[i];
    if (claimed_[i] || file.offset > size) return;
    if (!file.imported && !head_matches(fd, file.id)) return;
    if (!offset_matches(file, fd, size)) return;
    // Of two lives of one inode that begin alike the later one counts.
    if (best == kNone || file.id.birth > files_[best].id.birth) best = i;
  };
  const auto [first, last] = by_key_.equal_range(key);
  for (auto it = first; it != last; ++it) consider(it->second);
  if (best != kNone) return best;
  const auto [from, to] = by_path_.equal_range(path);
  for (auto it = from; it != to; ++it)
    if (files_[it->second].imported) consider(it->second);
  return best;
}

std::size_t KnownFiles::find_content(const std::string& path, int fd, std::uint64_t size) const {
  char bytes[kHeadBytes];
  const ssize_t n = by_head_.empty() ? 0 : ::pread(fd, bytes, sizeof bytes, 0);
  for (ssize_t head = n; head > 0; --head) {
    const auto head_size = static_cast<std::size_t>(head);
    if (!has_head_size_[head_size]) continue;
    const auto [first, last] = by_head_.equal_range(print_hash({bytes, head_size}));
    for (auto it = first; it != last; ++it) {
      const KnownFile& file = files_[it->second];
      if (claimed_[it->second] || file.offset > size || file.id.head_size != head_size) continue;
      if (!file.path.empty() && file.path != path) continue;
      if (offset_matches(file, fd, size)) return it->second;
    }
  }
  return kNone;
}

KnownFile KnownFiles::claim(std::size_t index) {
  claimed_[index] = true;
  if (files_[index].path.empty()) --pathless_;
  return files_[index];
}

bool KnownFiles::has_unclaimed(const std::string& path) const {
  if (pathless_ > 0) return true;
  const auto [from, to] = by_path_.equal_range(path);
  for (auto it = from; it != to; ++it)
    if (!claimed_[it->second]) return true;
  return false;
}

bool KnownFiles::has_bare(const std::string& path) const {
  const auto [from, to] = by_path_.equal_range(path);
  return std::any_of(from, to, [this](const auto& entry) {
    const KnownFile& file = files_[entry.second];
    return !file.imported && file.id.head_size == 0;
  });
}

std::int64_t KnownFiles::seen_ns(const std::string& path) const {
  std::int64_t seen = 0;
  const auto [from, to] = by_path_.equal_range(path);
  for (auto it = from; it != to; ++it)
    if (!files_[it->second].imported) seen = std::max(seen, files_[it->second].seen_ns);
  return seen;
}

std::vector<KnownFile> KnownFiles::unclaimed() const {
  std::vector<KnownFile> files;
  for (std::size_t i = 0; i < files_.size(); ++i)
    if (!claimed_[i]) files.push_back(files_[i]);
  return files;
}

std::vector<std::string> KnownFiles::unclaimed_paths() const {
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < files_.size(); ++i)
    if (!claimed_[i] && !files_[i].path.empty()) paths.push_back(files_[i].path);
  return paths;
}

// While copytruncate runs, the copy appears under a rotated name beside the live file. It is not
// read: when the live file is cut, the copy is found by its bytes and only its rest is read.
bool FileSet::is_copy_of_live_file(const std::string& path, int fd) {
  const std::string directory = directory_of(path);
  const std::string_view name = name_of(path);
  for (std::size_t end = name.find_last_of(".-_"); end != std::string_view::npos && end > 0;
       end = name.find_last_of(".-_", end - 1)) {
    Source* const live = at_path(directory + "/" + std::string(name.substr(0, end)));
    if (live == nullptr || !open_source(*live)) continue;
    // The live file may have been cut already: then the copy is what we remember of it.
    if (live->id.head_size > 0 && head_matches(fd, live->id) &&
        tail_matches(fd, live->tail_print()))
      return true;
    char ours[4096], theirs[4096];
    const ssize_t size = ::pread(fd, ours, sizeof ours, 0);
    if (size == 0) return true;  // perhaps a copy about to be written; it is looked at again
    if (size < 0) return false;
    // More bytes than the live file has: a copy never has more.
    if (::pread(live->fd, theirs, static_cast<std::size_t>(size), 0) != size) continue;
    if (std::memcmp(ours, theirs, static_cast<std::size_t>(size)) == 0) return true;
  }
  return false;
}

// What happened to `path` while we were not running: its older generations lie beside it.
void FileSet::recover(const std::string& path, std::size_t target) {
  const std::vector<Generation> spilled = spill_.of(path);
  if (!known_.has_unclaimed(path) && !known_.has_bare(path) && spilled.empty()) return;
  Source* const current = at_path(path);
  // Generations we never saw were made after the newest one we knew. If that one still is the
  // current file, there are none.
  const bool current_is_known = current != nullptr && current->offset > 0;
  std::vector<Generation> generations = generations_of(path);
  add_spilled(spilled, generations);
  std::int64_t newest_ns = 0;
  for (Generation& generation : generations)
    if (is_known(generation, path)) newest_ns = std::max(newest_ns, generation.created_ns);
  const std::int64_t seen_ns = known_.seen_ns(path);
  std::uint64_t last = 0;
  for (Generation& generation : generations) {
    const bool unread = newest_ns > 0
                            ? generation.created_ns >= newest_ns
                            : seen_ns > 0 && generation.modified_ns >= seen_ns - kFileTimeSlackNs;
    Source* const source = resume_generation(generation, path, target, unread && !current_is_known);
    if (source == nullptr) continue;
    source->predecessor = last;
    last = source->number;
  }
  if (last != 0 && current != nullptr) current->predecessor = last;
}

// Generations whose only name is ours now, in their place among the others.
void FileSet::add_spilled(const std::vector<Generation>& spilled,
                          std::vector<Generation>& generations) {
  const std::size_t beside = generations.size();
  for (const Generation& kept : spilled) {
    const auto end = generations.begin() + static_cast<std::ptrdiff_t>(beside);
    if (std::none_of(generations.begin(), end,
                     [&](const Generation& generation) { return generation.key == kept.key; }))
      generations.push_back(kept);
  }
  std::stable_sort(
      generations.begin(), generations.end(),
      [](const Generation& a, const Generation& b) { return a.created_ns < b.created_ns; });
}

bool FileSet::is_known(Generation& generation, const std::string& path) {
  const auto it = by_key_.find(generation.key);
  if (it != by_key_.end()) return it->second->path == path;
  const int fd = open_generation(path, generation);
  if (fd < 0) return false;
  const bool known = known_.find(generation.key, path, fd, generation.size) != KnownFiles::kNone;
  ::close(fd);
  return known;
}

// A name may be rotated twice between two looks of ours: what was made after `before` and is no
// source yet is a generation nobody has read. They are read behind `predecessor`; returns the last
// one's number, or the predecessor.
std::uint64_t FileSet::adopt_missed(const Source& before, std::uint64_t predecessor, bool was_cut) {
  const std::string& path = before.path;
  std::uint64_t last = predecessor;
  for (Generation& generation : generations_of(path)) {
    if (generation.created_ns < before.successor_ns || by_key_.contains(generation.key)) continue;
    if (!is_rotators_name(name_of(generation.path), name_of(path))) continue;
    const int fd = open_generation(path, generation);
    if (fd < 0) continue;
    // An empty one may be a copy about to be written, if files of this name are copied; else its
    // writer has it open and has not begun.
    const bool is_copy =
        (was_cut || generation.size > 0) && is_copy_of_live_file(generation.path, fd);
    ::close(fd);
    if (is_copy) continue;
    Source* const source = resume_generation(generation, path, before.target, true);
    if (source == nullptr) continue;
    source->predecessor = last;
    last = source->number;
  }
  return last;
}

void FileSet::learn(std::vector<KnownFile> files) {
  KnownFiles fresh;
  fresh.add(std::move(files));
  for (auto& [number, source] : sources_) {
    if (!open_source(*source)) continue;
    std::size_t index = fresh.find(source->key, source->path, source->fd, source->size);
    if (index == KnownFiles::kNone)  // a copy of what the store has, whose inode it does not know
      index = fresh.find_content(source->path, source->fd, source->size);
    if (index != KnownFiles::kNone) {
      const KnownFile known = fresh.claim(index);
      source->id = known.id;
      source->offset = known.offset;
      load_prints(*source);
      if (source->size != source->offset) queue(*source);
    }
    owner_.on_source_moved(*source);
  }
  known_.add(fresh.unclaimed());
  std::vector<std::pair<std::string, std::size_t>> paths;
  for (const auto& [path, source] : by_path_) paths.emplace_back(path, source->target);
  for (const auto& [path, target] : paths) recover(path, target);
}

// A file that was empty whenever we looked may have been written, copied and cut meanwhile: there
// were no bytes to tell its lives apart by. True: they were looked for, the file has another turn.
bool FileSet::adopt_lives(Source& source) {
  struct stat st {};
  if (::fstat(source.fd, &st) != 0) return false;
  source.size = static_cast<std::uint64_t>(st.st_size);
  source.modified_ns = modified_ns_of(st);
  if (source.size == 0 && source.modified_ns <= source.successor_ns) return false;
  source.bare = source.size == 0;
  if (!head_matches(source.fd, source.id)) source.id.head_size = 0;  // of a life that is over
  if (at_path(source.path) == &source)
    source.predecessor = adopt_missed(source, source.predecessor, true);
  source.successor_ns = std::max(source.successor_ns, modified_ns_of(st));
  load_prints(source);
  queue(source);
  return true;
}

Source* FileSet::resume_generation(Generation& generation, const std::string& path,
                                   std::size_t target, bool unread) {
  if (by_key_.contains(generation.key)) return nullptr;
  const int fd = open_generation(path, generation);
  if (fd < 0) return nullptr;
  std::size_t index = known_.find(generation.key, path, fd, generation.size);
  if (index == KnownFiles::kNone) index = known_.find_content(path, fd, generation.size);
  // What is in the disk queue was not settled when we last ran, whatever its name.
  if (index == KnownFiles::kNone && !spill_.has(generation.key) &&
      !(unread && is_rotators_name(name_of(generation.path), name_of(path)))) {
    ::close(fd);
    return nullptr;
  }
  auto source = std::make_unique<Source>();
  source->key = generation.key;
  source->path = path;
  source->at = generation.path;
  source->target = target;
  source->size = generation.size;
  source->modified_ns = generation.modified_ns;
  source->fd = fd;
  source->rotated = true;
  ++rotated_count_;
  std::optional<KnownFile> known;
  if (index != KnownFiles::kNone) known = known_.claim(index);
  Source& started = start_source(std::move(source), known ? &*known : nullptr);
  if (started.has_unread()) spill_.keep(path, started.fd);
  return &started;
}

}  // namespace skald::agent
