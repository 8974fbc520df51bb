#pragma once
// Tells which directories changed, so that quiet files cost nothing. One inotify instance, one
// watch per directory (not per file): 10,000 files in a directory are one watch.
//
// Events are hints. The tailer looks at every file now and then whatever the watcher says, and
// much more often in directories that could not be watched (is_watching() false).
// Thread rule: one thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace skald::agent {

struct FileEvent {
  std::string_view directory;  // as given to watch()
  std::string_view name;       // empty: the directory itself went away
  bool appeared = false;       // created or moved in
  bool vanished = false;       // deleted or moved out
  bool is_directory = false;
  bool overflow = false;  // events were lost: look at everything; the other fields are empty
};

class FileWatcher {
 public:
  virtual ~FileWatcher() = default;
  // Starts watching a directory; again is cheap. False: it cannot be watched (no watches left,
  // file system without notification): poll it.
  virtual bool watch(const std::string& directory) = 0;
  virtual bool is_watching(const std::string& directory) const = 0;
  // Becomes readable when events wait; -1: never.
  virtual int descriptor() const noexcept = 0;
  // Hands out what waits, never blocks. Views live during the call.
  virtual void drain(const std::function<void(const FileEvent&)>& on_event) = 0;
};

// kernel notification; where it cannot be had at all, the polling one.
std::unique_ptr<FileWatcher> make_inotify_watcher();
// Watches nothing: everything is polled.
std::unique_ptr<FileWatcher> make_polling_watcher();

}  // namespace skald::agent
