#pragma once
// The disk queue: files that rotate away are kept by a second name until everything in them is
// acknowledged. A file that is deleted meanwhile is still held open by us; the second name is for
// our own end and restart. A hard link, so it costs no copy and no space while the file exists.
//
// Layout: DIRECTORY/<hash of the file's path>.<time it was made>-<inode>. Thread rule: one thread.

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/tail/file_id.h"
#include "agent/tail/generations.h"

namespace skald::agent {

class SpillLinks {
 public:
  using Warn = std::function<void(const std::string&)>;
  // `directory` exists and is ours alone; empty: nothing is kept. Takes over what is in it.
  SpillLinks(std::string directory, std::uint64_t bytes_max, Warn warn);

  // Links the open file of `path`. False: it could not be (no name any more, another file system,
  // no permission, more than bytes_max kept); warns once per reason.
  bool keep(const std::string& path, int fd);
  bool has(FileKey key) const { return links_.contains(key); }
  void drop(FileKey key);
  // What is kept of `path`, oldest first.
  std::vector<Generation> of(const std::string& path) const;
  // Drops what nobody asked for in `age_ns`: its path is no longer tailed.
  void drop_older_than(std::int64_t wall_ns, std::int64_t age_ns,
                       const std::function<bool(FileKey)>& is_used);
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  struct Link {
    std::string path;
    std::uint64_t size = 0;
    std::int64_t linked_ns = 0;  // wall time
  };
  std::string base_of(const std::string& path) const;
  void warn_once(const std::string& what);

  const std::string directory_;
  const std::uint64_t bytes_max_;
  const Warn warn_;
  std::unordered_map<FileKey, Link, FileKeyHash> links_;
  std::uint64_t bytes_ = 0;
  std::vector<std::string> warned_;
};

}  // namespace skald::agent
