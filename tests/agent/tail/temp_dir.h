#pragma once
// A directory of its own for a test, and short ways to write files in it.

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace skald::agent {

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/skald_agent_test.XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }

  void append(std::string_view name, std::string_view bytes) const {
    put(name, bytes, O_WRONLY | O_CREAT | O_APPEND);
  }
  void overwrite(std::string_view name, std::string_view bytes) const {  // same inode
    put(name, bytes, O_WRONLY | O_CREAT | O_TRUNC);
  }
  void rename(std::string_view from, std::string_view to) const {
    std::filesystem::rename(path(from), path(to));
  }
  void copy(std::string_view from, std::string_view to) const {
    std::filesystem::copy_file(path(from), path(to));
  }
  void remove(std::string_view name) const { std::filesystem::remove(path(name)); }

 private:
  void put(std::string_view name, std::string_view bytes, int flags) const {
    const int fd = ::open(path(name).c_str(), flags | O_CLOEXEC, 0644);
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd, bytes.data(), bytes.size());
      if (n <= 0) break;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    ::close(fd);
  }
  std::string path_;
};

}  // namespace skald::agent
