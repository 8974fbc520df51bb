#include "proto/base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <mutex>

namespace skald::base {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

Result<Descriptor> open_descriptor(const std::string& path, int flags) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0640);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return from_errno(errno, "open " + path);
  return Descriptor(fd);
}

class PosixFile final : public File {
 public:
  PosixFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Status append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return from_errno(errno, "write " + path_);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  Result<std::size_t> read_at(std::uint64_t offset, char* out, std::size_t size) const override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t n =
          ::pread(fd_.get(), out + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return from_errno(errno, "read " + path_);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Status sync() override {
    if (::fdatasync(fd_.get()) != 0) return from_errno(errno, "fdatasync " + path_);
    return {};
  }

  Status truncate(std::uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
      return from_errno(errno, "truncate " + path_);
    return {};
  }

  Result<std::uint64_t> size() const override {
    struct stat st {};
    if (::fstat(fd_.get(), &st) != 0) return from_errno(errno, "stat " + path_);
    return static_cast<std::uint64_t>(st.st_size);
  }

 private:
  Descriptor fd_;
  std::string path_;
};

// A page of a mapping that the disk does not give is a SIGBUS in whoever reads it: one bad block
// would end the process at every query that touches it. It becomes a page of zeros instead, which
// the checksums of our formats refuse.
class BusGuard {
 public:
  static BusGuard& instance() {
    static BusGuard guard;
    return guard;
  }
  // A mapping beyond kMappingsMax is not guarded.
  void add(const void* address, std::size_t size) {
    const std::scoped_lock lock(mutex_);
    for (Mapping& mapping : mappings_) {
      if (mapping.begin != 0) continue;
      mapping.end = reinterpret_cast<std::uintptr_t>(address) + size;
      mapping.begin = reinterpret_cast<std::uintptr_t>(address);
      return;
    }
  }
  void remove(const void* address) {
    const std::scoped_lock lock(mutex_);
    for (Mapping& mapping : mappings_)
      if (mapping.begin == reinterpret_cast<std::uintptr_t>(address)) mapping.begin = 0;
  }

 private:
  static constexpr std::size_t kMappingsMax = 4096;
  struct Mapping {
    std::atomic<std::uintptr_t> begin{0}, end{0};  // begin 0: free
  };

  BusGuard() {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    ::sigaction(SIGBUS, &action, &before_);
  }

  static void on_signal(int, siginfo_t* info, void*) {
    const int saved = errno;
    BusGuard& guard = instance();
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (const Mapping& mapping : guard.mappings_) {
      const std::uintptr_t begin = mapping.begin;
      if (begin == 0 || at < begin || at >= mapping.end) continue;
      void* page = reinterpret_cast<void*>(at - at % guard.page_bytes_);  // NOLINT
      if (::mmap(page, guard.page_bytes_, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) == MAP_FAILED)
        break;
      errno = saved;
      return;
    }
    // Not ours: what was to happen before happens when the instruction is tried again, or the
    // signal sent again that somebody sent.
    ::sigaction(SIGBUS, &guard.before_, nullptr);
    if (info->si_code <= 0) ::raise(SIGBUS);
  }

  const std::uintptr_t page_bytes_ = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction before_ {};
  std::mutex mutex_;
  std::array<Mapping, kMappingsMax> mappings_;
};

class PosixMapping final : public MappedFile {
 public:
  PosixMapping(void* address, std::size_t size) : address_(address), size_(size) {
    if (size_ > 0) BusGuard::instance().add(address_, size_);
  }
  PosixMapping(const PosixMapping&) = delete;
  PosixMapping& operator=(const PosixMapping&) = delete;
  ~PosixMapping() override {
    if (size_ == 0) return;
    BusGuard::instance().remove(address_);
    ::munmap(address_, size_);
  }
  std::string_view bytes() const noexcept override {
    return {static_cast<const char*>(address_), size_};
  }
  void release(std::size_t offset, std::size_t size) const noexcept override {
    if (offset >= size_) return;
    size = std::min(size, size_ - offset);
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t begin = offset - offset % page;  // a neighbour's bytes come back, too
    ::madvise(static_cast<char*>(address_) + begin, offset + size - begin, MADV_DONTNEED);
  }

 private:
  void* address_;
  std::size_t size_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> create(const std::string& path) override {
    return open_file(path, O_RDWR | O_CREAT | O_TRUNC);
  }
  Result<std::unique_ptr<File>> open_append(const std::string& path) override {
    return open_file(path, O_RDWR | O_CREAT | O_APPEND);
  }
  Result<std::unique_ptr<File>> open_read(const std::string& path) override {
    return open_file(path, O_RDONLY);
  }

  Result<std::unique_ptr<MappedFile>> map(const std::string& path) override {
    SKALD_TRY_ASSIGN(Descriptor fd, open_descriptor(path, O_RDONLY));
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return from_errno(errno, "stat " + path);
    const auto size = static_cast<std::size_t>(st.st_size);
    if (size == 0) return std::unique_ptr<MappedFile>(new PosixMapping(nullptr, 0));
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
    if (address == MAP_FAILED) return from_errno(errno, "map " + path);
    return std::unique_ptr<MappedFile>(new PosixMapping(address, size));
  }

  Result<std::string> read_file(const std::string& path, std::uint64_t size_max) override {
    SKALD_TRY_ASSIGN(auto file, open_read(path));
    SKALD_TRY_ASSIGN(const std::uint64_t size, file->size());
    if (size > size_max)
      return resource_exhausted(path + " has " + std::to_string(size) + " bytes, more than the " +
                                std::to_string(size_max) + " allowed");
    std::string bytes(size, '\0');
    SKALD_TRY_ASSIGN(const std::size_t count, file->read_at(0, bytes.data(), bytes.size()));
    bytes.resize(count);
    return bytes;
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0)
      return from_errno(errno, "rename " + from + " to " + to);
    return {};
  }
  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return from_errno(errno, "remove " + path);
    return {};
  }
  Status link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) != 0)
      return from_errno(errno, "link " + from + " to " + to);
    return {};
  }
  Result<bool> make_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0777) == 0) return true;
    const int error = errno;
    struct stat st {};
    if (error == EEXIST && ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return false;
    return from_errno(error, "create directory " + path);
  }
  Status sync_directory(const std::string& path) override {
    SKALD_TRY_ASSIGN(Descriptor fd, open_descriptor(path, O_RDONLY | O_DIRECTORY));
    if (::fsync(fd.get()) != 0) return from_errno(errno, "fsync directory " + path);
    return {};
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    std::error_code error;
    std::filesystem::directory_iterator it(path, error);
    if (error) return from_errno(error.value(), "list " + path);
    std::vector<DirectoryEntry> entries;
    for (const std::filesystem::directory_iterator end; it != end; it.increment(error)) {
      if (error) return from_errno(error.value(), "list " + path);
      DirectoryEntry entry;
      entry.name = it->path().filename().string();
      entry.is_directory = it->is_directory(error);
      if (!entry.is_directory) entry.size = it->file_size(error);
      if (error) entry.size = 0;  // removed since it was listed, or not a regular file
      entries.push_back(std::move(entry));
    }
    return entries;
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs st {};
    if (::statvfs(path.c_str(), &st) != 0) return from_errno(errno, "statvfs " + path);
    return static_cast<std::uint64_t>(st.f_bavail) * st.f_frsize;
  }

 private:
  static Result<std::unique_ptr<File>> open_file(const std::string& path, int flags) {
    SKALD_TRY_ASSIGN(Descriptor fd, open_descriptor(path, flags));
    return std::unique_ptr<File>(new PosixFile(std::move(fd), path));
  }
};

}  // namespace

FileSystem& FileSystem::posix() {
  static PosixFileSystem fs;
  return fs;
}

Status FileSystem::make_directories(const std::string& path) {
  std::string_view name = path;
  while (name.size() > 1 && name.ends_with('/')) name.remove_suffix(1);
  const auto slash = name.find_last_of('/');
  const std::string parent(slash == std::string_view::npos ? "."
                           : slash == 0                    ? "/"
                                                           : name.substr(0, slash));
  Result<bool> made = make_directory(std::string(name));
  const bool missing = made.status().code() == Code::kNotFound;
  if (slash != std::string_view::npos && slash != 0 && (missing || (made.ok() && *made))) {
    SKALD_TRY(make_directories(parent));
    if (missing) made = make_directory(std::string(name));
  }
  if (!made.ok()) return std::move(made).status();
  const Status synced = sync_directory(parent);
  // Where one stands that we did not make, we need not be able to sync: above a mount, or where we
  // may not read.
  return synced.ok() || *made || is_media_error(synced) ? synced : Status();
}

bool is_media_error(const Status& status) noexcept {
  const int error = status.errno_value();
  return error == EIO || error == EBADMSG || error == EUCLEAN || error == ENODATA;
}

Status write_file_atomically(FileSystem& fs, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  {
    SKALD_TRY_ASSIGN(auto file, fs.create(temporary));
    SKALD_TRY(file->append(bytes));
    SKALD_TRY(file->sync());
  }
  SKALD_TRY(fs.rename(temporary, path));
  const auto slash = path.find_last_of('/');
  return fs.sync_directory(slash == std::string::npos ? "." : path.substr(0, slash + 1));
}

}  // namespace skald::base
