#include "agent/tail/file_watcher.h"

#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstring>
#include <unordered_map>

#include "agent/tail/limits.h"

namespace skald::agent {
namespace {

class PollingWatcher final : public FileWatcher {
 public:
  bool watch(const std::string&) override { return false; }
  bool is_watching(const std::string&) const override { return false; }
  int descriptor() const noexcept override { return -1; }
  void drain(const std::function<void(const FileEvent&)>&) override {}
};

// File systems where another machine may write: inotify accepts the watch but sees only our own
// kernel's writes.
bool is_remote(const std::string& directory) {
  struct statfs fs {};
  if (::statfs(directory.c_str(), &fs) != 0) return false;
  switch (static_cast<std::uint32_t>(fs.f_type)) {
    case 0x6969U:      // NFS
    case 0xFF534D42U:  // CIFS
    case 0xFE534D42U:  // SMB2
    case 0x65735546U:  // FUSE
    case 0x01021997U:  // 9P
    case 0x00C36400U:  // Ceph
      return true;
    default: return false;
  }
}

class InotifyWatcher final : public FileWatcher {
 public:
  explicit InotifyWatcher(int fd) : fd_(fd) {}
  InotifyWatcher(const InotifyWatcher&) = delete;
  InotifyWatcher& operator=(const InotifyWatcher&) = delete;
  ~InotifyWatcher() override { ::close(fd_); }

  bool watch(const std::string& directory) override {
    if (by_path_.contains(directory)) return true;
    if (by_path_.size() >= kWatchedDirectoriesMax || is_remote(directory)) return false;
    const int wd =
        ::inotify_add_watch(fd_, directory.c_str(),
                            IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
    if (wd < 0) return false;
    // Two names of one directory (a symlink) share a watch: events carry the first name, which
    // serves, since files are looked up by inode.
    by_descriptor_.try_emplace(wd, directory);
    by_path_.emplace(directory, wd);
    return true;
  }

  bool is_watching(const std::string& directory) const override {
    return by_path_.contains(directory);
  }
  int descriptor() const noexcept override { return fd_; }

  void drain(const std::function<void(const FileEvent&)>& on_event) override {
    alignas(inotify_event) char bytes[kWatchEventBytes];
    for (;;) {
      const ssize_t n = ::read(fd_, bytes, sizeof bytes);
      if (n <= 0) return;
      for (ssize_t at = 0; at < n;) {
        inotify_event raw{};
        std::memcpy(&raw, bytes + at, sizeof raw);
        const char* name = bytes + at + sizeof raw;
        at += static_cast<ssize_t>(sizeof raw) + raw.len;
        report(raw, raw.len == 0 ? std::string_view() : std::string_view(name), on_event);
      }
    }
  }

 private:
  void report(const inotify_event& raw, std::string_view name,
              const std::function<void(const FileEvent&)>& on_event) {
    FileEvent event;
    if ((raw.mask & IN_Q_OVERFLOW) != 0) {
      event.overflow = true;
      on_event(event);
      return;
    }
    const auto it = by_descriptor_.find(raw.wd);
    if (it == by_descriptor_.end()) return;
    const std::string directory = it->second;
    event.directory = directory;
    if ((raw.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) {
      if ((raw.mask & IN_MOVE_SELF) != 0) ::inotify_rm_watch(fd_, raw.wd);
      forget(raw.wd);
      event.vanished = true;
      event.is_directory = true;
      on_event(event);
      return;
    }
    event.name = name;
    event.appeared = (raw.mask & (IN_CREATE | IN_MOVED_TO)) != 0;
    event.vanished = (raw.mask & (IN_DELETE | IN_MOVED_FROM)) != 0;
    event.is_directory = (raw.mask & IN_ISDIR) != 0;
    on_event(event);
  }

  void forget(int wd) {
    by_descriptor_.erase(wd);
    std::erase_if(by_path_, [wd](const auto& entry) { return entry.second == wd; });
  }

  int fd_;
  std::unordered_map<int, std::string> by_descriptor_;
  std::unordered_map<std::string, int> by_path_;
};

}  // namespace

std::unique_ptr<FileWatcher> make_inotify_watcher() {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return make_polling_watcher();
  return std::make_unique<InotifyWatcher>(fd);
}

std::unique_ptr<FileWatcher> make_polling_watcher() { return std::make_unique<PollingWatcher>(); }

}  // namespace skald::agent
