#include "agent/tail/generations.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "agent/tail/paths.h"
#include "proto/base/clock.h"

namespace skald::agent {
namespace {

// A rotation renames a dozen files in well under a millisecond, a listing takes less than ten.
constexpr int kListingsMax = 8;

std::int64_t ns_of(const struct statx_timestamp& time) noexcept {
  return time.tv_sec * base::kNsPerSecond + time.tv_nsec;
}

std::int64_t created_ns_of(const struct statx& st) noexcept {
  return (st.stx_mask & STATX_BTIME) != 0 ? ns_of(st.stx_btime) : ns_of(st.stx_mtime);
}

bool look_at(int directory, const char* name, Generation& generation) {
  struct statx st {};
  if (::statx(directory, name, 0, STATX_BASIC_STATS | STATX_BTIME, &st) != 0) return false;
  if (!S_ISREG(st.stx_mode)) return false;
  generation.key = {static_cast<std::uint64_t>(makedev(st.stx_dev_major, st.stx_dev_minor)),
                    st.stx_ino};
  generation.size = st.stx_size;
  generation.created_ns = created_ns_of(st);
  generation.modified_ns = ns_of(st.stx_mtime);
  return true;
}

std::vector<Generation> list(const std::string& path) {
  std::vector<Generation> found;
  const std::string directory = directory_of(path);
  DIR* const stream = ::opendir(directory.c_str());
  if (stream == nullptr) return found;
  while (const dirent* entry = ::readdir(stream)) {
    if (!is_rotation_name(entry->d_name, name_of(path)) || is_compressed_name(entry->d_name))
      continue;
    Generation generation;
    if (!look_at(::dirfd(stream), entry->d_name, generation)) continue;
    generation.path = directory + "/" + entry->d_name;
    found.push_back(std::move(generation));
  }
  ::closedir(stream);
  std::sort(found.begin(), found.end(),
            [](const Generation& a, const Generation& b) { return a.key < b.key; });
  return found;
}

bool agree(const std::vector<Generation>& a, const std::vector<Generation>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Generation& left, const Generation& right) {
                      return left.key == right.key && left.path == right.path;
                    });
}

// Both are sorted by key; what `fresh` has wins, what only `found` has stays.
std::vector<Generation> unite(std::vector<Generation> found, std::vector<Generation> fresh) {
  std::vector<Generation> all = std::move(fresh);
  const std::size_t known = all.size();
  for (Generation& generation : found) {
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(known);
    const auto at =
        std::lower_bound(all.begin(), end, generation.key,
                         [](const Generation& a, const FileKey& key) { return a.key < key; });
    if (at == end || at->key != generation.key) all.push_back(std::move(generation));
  }
  return all;
}

}  // namespace

std::vector<Generation> generations_of(const std::string& path) {
  std::vector<Generation> before = list(path), all = before;
  for (int i = 1; i < kListingsMax; ++i) {
    std::vector<Generation> now = list(path);
    const bool settled = agree(before, now);
    before = now;
    all = unite(std::move(all), std::move(now));
    if (settled) break;
  }
  std::sort(all.begin(), all.end(), [](const Generation& a, const Generation& b) {
    if (a.created_ns != b.created_ns) return a.created_ns < b.created_ns;
    if (a.modified_ns != b.modified_ns) return a.modified_ns < b.modified_ns;
    // Made within one tick of the file system's clock: "app.log.10" before "app.log.9".
    return a.path.size() != b.path.size() ? a.path.size() > b.path.size() : a.path > b.path;
  });
  // A link and its target, or a name met twice in one listing.
  all.erase(std::unique(all.begin(), all.end(),
                        [](const Generation& a, const Generation& b) { return a.key == b.key; }),
            all.end());
  return all;
}

int open_generation(const std::string& path, Generation& generation) {
  for (int i = 0; i < kListingsMax; ++i) {
    if (!generation.path.empty()) {
      const int fd = open_for_reading(generation.path);
      struct stat st {};
      if (fd >= 0 && ::fstat(fd, &st) == 0 && key_of(st) == generation.key) return fd;
      if (fd >= 0) ::close(fd);
    }
    generation.path.clear();
    for (const Generation& other : list(path))
      if (other.key == generation.key) generation.path = other.path;
    // Listed nowhere: either gone, or it was just being renamed; one more look tells.
    if (generation.path.empty() && i > 0) return -1;
  }
  return -1;
}

std::int64_t created_ns_of(int fd) noexcept {
  struct statx st {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) != 0) return 0;
  return created_ns_of(st);
}

std::int64_t modified_ns_of(const struct stat& st) noexcept {
  return st.st_mtim.tv_sec * base::kNsPerSecond + st.st_mtim.tv_nsec;
}

bool is_rotators_name(std::string_view name, std::string_view base) noexcept {
  if (!is_rotation_name(name, base)) return false;
  const std::string_view suffix = name.substr(base.size() + 1);
  return suffix == "old" || suffix.find_first_not_of("0123456789-_.:+TZ") == std::string_view::npos;
}

}  // namespace skald::agent
