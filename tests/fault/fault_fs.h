#pragma once
// A file system in memory that behaves as a disk does when things go wrong: what was not synced is
// lost at a crash (a tail may survive in part), names of files and directories that were not synced
// with their directory are undone, and the n-th writing call fails with ENOSPC or EIO.
//
// Files that are open or mapped keep their contents, as with POSIX. Safe from several threads.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "proto/base/fs.h"

namespace skald::testing {

class FaultFs final : public base::FileSystem {
 public:
  // The n-th writing call from now (1: the next) fails with `error_number`, and so do all after it
  // until heal(), if `sticky`. 0: never.
  void fail_at(std::uint64_t n, int error_number, bool sticky);
  void heal() { fail_at(0, 0, false); }
  std::uint64_t writes() const;  // writing calls so far
  // Every change after the n-th writing call from now is refused: the moment of a crash.
  void crash_at(std::uint64_t n);
  bool crashed() const;
  // What a machine finds after power came back: unsynced bytes of a file are cut to `keep_permille`
  // of them, unsynced names are undone (a lost rename leaves the old name).
  void power_cycle(unsigned keep_permille);
  // Reads of the file or the directory fail from now on; 0: no more.
  void fail_reads(const std::string& path, int error_number);
  // Called at every writing call, before it: a moment at which others may look. Must not write.
  void on_write(std::function<void()> look) { on_write_ = std::move(look); }
  // Removals survive a crash unsynced, as a disk may write names in any order.
  void keep_removals() { keep_removals_ = true; }

  // Another disk with the same contents, all of them durable.
  std::unique_ptr<FaultFs> clone() const;
  std::vector<std::string> paths(const std::string& suffix) const;
  // One byte of the file, chosen by `random`, gets another value. The file must not be empty.
  void flip_byte(const std::string& path, std::uint64_t random);

  base::Result<std::unique_ptr<base::File>> create(const std::string& path) override;
  base::Result<std::unique_ptr<base::File>> open_append(const std::string& path) override;
  base::Result<std::unique_ptr<base::File>> open_read(const std::string& path) override;
  base::Result<std::unique_ptr<base::MappedFile>> map(const std::string& path) override;
  base::Result<std::string> read_file(const std::string& path, std::uint64_t size_max) override;
  base::Status rename(const std::string& from, const std::string& to) override;
  base::Status remove(const std::string& path) override;
  base::Status link(const std::string& from, const std::string& to) override;
  base::Result<bool> make_directory(const std::string& path) override;
  base::Status sync_directory(const std::string& path) override;
  base::Result<std::vector<base::DirectoryEntry>> list(const std::string& path) override;
  base::Result<std::uint64_t> free_bytes(const std::string&) override { return free_.load(); }
  void set_free_bytes(std::uint64_t bytes) { free_ = bytes; }

 private:
  friend class FaultFile;
  struct Inode {
    std::string bytes;
    std::size_t synced = 0;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  base::Status count_write(const std::string& what);  // under mutex_
  std::shared_ptr<Inode> find(const std::string& path) const;
  base::Status read_error(const std::string& path) const;
  base::Result<std::shared_ptr<Inode>> open(const std::string& path) const;

  mutable std::mutex mutex_;
  Names names_, durable_names_;
  std::set<std::string> directories_, durable_directories_;
  std::map<std::string, int> failing_reads_;
  std::atomic<std::uint64_t> free_{1ULL << 40};
  std::uint64_t writes_ = 0, fail_at_ = 0, crash_at_ = 0;
  int error_number_ = 0;
  bool sticky_ = false;
  std::atomic<bool> keep_removals_{false};
  std::function<void()> on_write_;
};

}  // namespace skald::testing
