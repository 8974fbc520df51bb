#pragma once
// The generations of one log file: what lies beside "app.log" under the names a rotation gives
// ("app.log.1", "app.log-20260101"). Names shift under us while logrotate works, so a generation is
// its device and inode; a name is only where it was met last.

#include <cstdint>
#include <string>
#include <vector>

#include "agent/tail/file_id.h"

namespace skald::agent {

struct Generation {
  std::string path;
  FileKey key;
  std::uint64_t size = 0;
  std::int64_t created_ns = 0;  // see created_ns_of
  std::int64_t modified_ns = 0;
};

// Oldest first. Lists until two listings agree, as a listing made during a rename may have missed
// the file. Compressed files are not generations. An unreadable directory has none.
std::vector<Generation> generations_of(const std::string& path);

// Opens the generation of `path`, wherever it was renamed to meanwhile (its path then says so); -1:
// it is gone.
int open_generation(const std::string& path, Generation& generation);

// When the inode was made, as the file system says (statx), else when it was last modified: no two
// generations of one name are made in the wrong order. 0: unknown.
std::int64_t created_ns_of(int fd) noexcept;

std::int64_t modified_ns_of(const struct stat& st) noexcept;

// Whether a rotation, not a person, gives a file of `base` this name: after the separator only
// digits and what dates are written with, or "old". "app.log.bak" is somebody's copy.
bool is_rotators_name(std::string_view name, std::string_view base) noexcept;

}  // namespace skald::agent
