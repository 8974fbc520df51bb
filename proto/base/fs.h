#pragma once
// The file system as a constructor argument: everything Skald writes goes through here, so that
// tests can drop unsynced data, tear writes and return ENOSPC or EIO at the n-th call.
//
// Thread rule: FileSystem is safe from several threads; a File belongs to one thread at a time
// (read_at excepted, which may overlap with itself and with append).

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"

namespace skald::base {

class File {
 public:
  virtual ~File() = default;  // closes; errors at close are not reported: call sync() first
  // All of `bytes`, at the end. After an error the tail of the file is undefined.
  virtual Status append(std::string_view bytes) = 0;
  // Fills `out` from `offset`; fewer bytes only at the end of the file. Returns the count.
  virtual Result<std::size_t> read_at(std::uint64_t offset, char* out, std::size_t size) const = 0;
  // fdatasync. A failure is final for this file (the kernel may have dropped the pages):
  // never retry, never acknowledge what it covered.
  virtual Status sync() = 0;
  virtual Status truncate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> size() const = 0;
};

// Read-only bytes of a whole file; the view lives as long as this object, even if the file is
// unlinked. A page that the disk does not give reads as zeros: a checksum has to tell.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual std::string_view bytes() const noexcept = 0;
  // These bytes will not be read soon: their pages need not count as memory of this process. The
  // kernel's cache has them still, and whoever reads them again, or just now in another thread,
  // finds what was there.
  virtual void release(std::size_t offset, std::size_t size) const noexcept {
    static_cast<void>(offset);
    static_cast<void>(size);
  }
};

struct DirectoryEntry {
  std::string name;  // no path
  bool is_directory = false;
  std::uint64_t size = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> create(const std::string& path) = 0;  // truncates
  virtual Result<std::unique_ptr<File>> open_append(const std::string& path) = 0;
  virtual Result<std::unique_ptr<File>> open_read(const std::string& path) = 0;
  virtual Result<std::unique_ptr<MappedFile>> map(const std::string& path) = 0;
  virtual Result<std::string> read_file(const std::string& path, std::uint64_t size_max) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;  // a file; kNotFound if absent
  virtual Status link(const std::string& from, const std::string& to) = 0;  // hard link
  // One directory in one that is there. False: it was there already.
  virtual Result<bool> make_directory(const std::string& path) = 0;
  virtual Status sync_directory(const std::string& path) = 0;
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;

  // Makes what is missing of the path. Durable when it returns: the directory that each new name is
  // in is synced, and the one that `path` is in even if it was there, as its maker may have died.
  Status make_directories(const std::string& path);

  static FileSystem& posix();  // the machine's own; lives as long as the process
};

// Of a failed read: the disk does not give these bytes (EIO, a checksum of the file system); others
// may be well. Any other error of the system is the process's or the machine's (too many open
// files, no memory, no permission) and says nothing of what is stored.
bool is_media_error(const Status& status) noexcept;

// Publishes a file atomically: writes `path`.tmp, syncs, renames, syncs the directory.
Status write_file_atomically(FileSystem& fs, const std::string& path, std::string_view bytes);

}  // namespace skald::base
