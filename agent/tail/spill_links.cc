#include "agent/tail/spill_links.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "proto/base/clock.h"

namespace skald::agent {

SpillLinks::SpillLinks(std::string directory, std::uint64_t bytes_max, Warn warn)
    : directory_(std::move(directory)), bytes_max_(bytes_max), warn_(std::move(warn)) {
  DIR* const stream = directory_.empty() ? nullptr : ::opendir(directory_.c_str());
  if (stream == nullptr) return;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string path = directory_ + "/" + entry->d_name;
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    const auto size = static_cast<std::uint64_t>(st.st_size);
    const bool added =
        links_.try_emplace(key_of(st), Link{path, size, st.st_ctim.tv_sec * base::kNsPerSecond})
            .second;
    if (added) bytes_ += size;
  }
  ::closedir(stream);
}

std::string SpillLinks::base_of(const std::string& path) const {
  char name[24];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(print_hash(path)));
  return directory_ + "/" + name;
}

void SpillLinks::warn_once(const std::string& what) {
  if (std::find(warned_.begin(), warned_.end(), what) != warned_.end()) return;
  warned_.push_back(what);
  warn_("skald.spill_dir " + directory_ + ": " + what +
        "; a file that rotates away and is deleted while the agent is down may be lost");
}

bool SpillLinks::keep(const std::string& path, int fd) {
  if (directory_.empty()) return false;
  struct stat st {};
  if (::fstat(fd, &st) != 0 || st.st_nlink == 0) return false;
  const FileKey key = key_of(st);
  if (has(key)) return true;
  const auto size = static_cast<std::uint64_t>(st.st_size);
  if (bytes_ + size > bytes_max_) {
    warn_once("it would hold more than spill_bytes_max");
    return false;
  }
  const std::string link =
      base_of(path) + "." + std::to_string(created_ns_of(fd)) + "-" + std::to_string(st.st_ino);
  const std::string from = "/proc/self/fd/" + std::to_string(fd);
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, link.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    if (errno == ENOENT) return false;  // its last name went this moment
    warn_once(std::string("linking to it: ") + std::strerror(errno) +
              " (it must be on the logs' file system, and the files ours or writable)");
    return false;
  }
  links_[key] = {link, size, std::time(nullptr) * base::kNsPerSecond};
  bytes_ += size;
  return true;
}

void SpillLinks::drop(FileKey key) {
  const auto it = links_.find(key);
  if (it == links_.end()) return;
  ::unlink(it->second.path.c_str());
  bytes_ -= it->second.size;
  links_.erase(it);
}

std::vector<Generation> SpillLinks::of(const std::string& path) const {
  return links_.empty() ? std::vector<Generation>() : generations_of(base_of(path));
}

void SpillLinks::drop_older_than(std::int64_t wall_ns, std::int64_t age_ns,
                                 const std::function<bool(FileKey)>& is_used) {
  std::vector<FileKey> old;
  for (const auto& [key, link] : links_)
    if (wall_ns - link.linked_ns > age_ns && !is_used(key)) old.push_back(key);
  for (const FileKey& key : old) drop(key);
}

}  // namespace skald::agent
