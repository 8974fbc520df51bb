#include "tests/fault/fault_fs.h"

#include <algorithm>
#include <cerrno>

namespace skald::testing {
namespace {

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::string without_slash(const std::string& path) {
  return path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

class HeldBytes final : public base::MappedFile {
 public:
  explicit HeldBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string_view bytes() const noexcept override { return bytes_; }

 private:
  const std::string bytes_;
};

}  // namespace

class FaultFile final : public base::File {
 public:
  FaultFile(FaultFs& fs, std::shared_ptr<FaultFs::Inode> inode)
      : fs_(fs), inode_(std::move(inode)) {}
  base::Status append(std::string_view bytes) override {
    const std::scoped_lock lock(fs_.mutex_);
    const base::Status status = fs_.count_write("write");
    // A write that fails has still written something.
    inode_->bytes +=
        status.ok() ? bytes : bytes.substr(0, fs_.crash_at_ != 0 ? 0 : bytes.size() / 2);
    return status;
  }
  base::Result<std::size_t> read_at(std::uint64_t offset, char* out,
                                    std::size_t size) const override {
    const std::scoped_lock lock(fs_.mutex_);
    if (offset >= inode_->bytes.size()) return std::size_t{0};
    return inode_->bytes.copy(out, size, offset);
  }
  base::Status sync() override {
    const std::scoped_lock lock(fs_.mutex_);
    SKALD_TRY(fs_.count_write("fdatasync"));
    inode_->synced = inode_->bytes.size();
    return {};
  }
  base::Status truncate(std::uint64_t size) override {
    const std::scoped_lock lock(fs_.mutex_);
    SKALD_TRY(fs_.count_write("truncate"));
    inode_->bytes.resize(size);
    inode_->synced = std::min<std::size_t>(inode_->synced, size);
    return {};
  }
  base::Result<std::uint64_t> size() const override {
    const std::scoped_lock lock(fs_.mutex_);
    return static_cast<std::uint64_t>(inode_->bytes.size());
  }

 private:
  FaultFs& fs_;
  const std::shared_ptr<FaultFs::Inode> inode_;
};

void FaultFs::fail_at(std::uint64_t n, int error_number, bool sticky) {
  const std::scoped_lock lock(mutex_);
  fail_at_ = n == 0 ? 0 : writes_ + n;
  error_number_ = error_number;
  sticky_ = sticky;
}

std::uint64_t FaultFs::writes() const {
  const std::scoped_lock lock(mutex_);
  return writes_;
}

void FaultFs::crash_at(std::uint64_t n) {
  const std::scoped_lock lock(mutex_);
  crash_at_ = n == 0 ? 0 : writes_ + n;
}

bool FaultFs::crashed() const {
  const std::scoped_lock lock(mutex_);
  return crash_at_ != 0 && writes_ >= crash_at_;
}

base::Status FaultFs::count_write(const std::string& what) {
  if (on_write_) on_write_();
  ++writes_;
  if (crash_at_ != 0 && writes_ >= crash_at_)
    return base::from_errno(EIO, what + " after the crash");
  if (fail_at_ != 0 && (sticky_ ? writes_ >= fail_at_ : writes_ == fail_at_))
    return base::from_errno(error_number_, what + " (injected)");
  return {};
}

void FaultFs::power_cycle(unsigned keep_permille) {
  const std::scoped_lock lock(mutex_);
  directories_ = durable_directories_;
  names_ = durable_names_;
  const auto lost = [this](const std::string& directory) {
    for (std::string at = directory; !at.empty(); at = directory_of(at))
      if (!directories_.contains(at)) return true;
    return false;
  };
  std::erase_if(names_, [&](const auto& item) { return lost(directory_of(item.first)); });
  durable_names_ = names_;
  for (auto& [path, inode] : names_) {
    const std::size_t unsynced = inode->bytes.size() - inode->synced;
    inode->bytes.resize(inode->synced + unsynced * keep_permille / 1000);
    inode->synced = inode->bytes.size();
  }
  fail_at_ = crash_at_ = 0;
}

std::unique_ptr<FaultFs> FaultFs::clone() const {
  const std::scoped_lock lock(mutex_);
  auto out = std::make_unique<FaultFs>();
  out->directories_ = out->durable_directories_ = directories_;
  for (const auto& [path, inode] : names_) {
    out->names_[path] = std::make_shared<Inode>(*inode);
    out->names_[path]->synced = inode->bytes.size();
  }
  out->durable_names_ = out->names_;
  return out;
}

std::vector<std::string> FaultFs::paths(const std::string& suffix) const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [path, inode] : names_)
    if (path.ends_with(suffix)) out.push_back(path);
  return out;
}

void FaultFs::flip_byte(const std::string& path, std::uint64_t random) {
  const std::scoped_lock lock(mutex_);
  std::string& bytes = find(path)->bytes;
  char& byte = bytes[random % bytes.size()];
  byte = static_cast<char>(byte ^ static_cast<char>(1U << (random >> 61)));
}

void FaultFs::fail_reads(const std::string& path, int error_number) {
  const std::scoped_lock lock(mutex_);
  failing_reads_[path] = error_number;
}

std::shared_ptr<FaultFs::Inode> FaultFs::find(const std::string& path) const {
  const auto found = names_.find(path);
  return found == names_.end() ? nullptr : found->second;
}

base::Status FaultFs::read_error(const std::string& path) const {
  const auto failing = failing_reads_.find(path);
  if (failing == failing_reads_.end() || failing->second == 0) return {};
  return base::from_errno(failing->second, "read " + path);
}

base::Result<std::shared_ptr<FaultFs::Inode>> FaultFs::open(const std::string& path) const {
  const auto inode = find(path);
  if (inode == nullptr) return base::from_errno(ENOENT, "open " + path);
  SKALD_TRY(read_error(path));
  return inode;
}

base::Result<std::unique_ptr<base::File>> FaultFs::create(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  SKALD_TRY(count_write("create " + path));
  names_[path] = std::make_shared<Inode>();
  return std::unique_ptr<base::File>(new FaultFile(*this, names_[path]));
}

base::Result<std::unique_ptr<base::File>> FaultFs::open_append(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  SKALD_TRY(count_write("open " + path));
  if (names_[path] == nullptr) names_[path] = std::make_shared<Inode>();
  return std::unique_ptr<base::File>(new FaultFile(*this, names_[path]));
}

base::Result<std::unique_ptr<base::File>> FaultFs::open_read(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  SKALD_TRY_ASSIGN(auto inode, open(path));
  return std::unique_ptr<base::File>(new FaultFile(*this, std::move(inode)));
}

base::Result<std::unique_ptr<base::MappedFile>> FaultFs::map(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  SKALD_TRY_ASSIGN(const auto inode, open(path));
  return std::unique_ptr<base::MappedFile>(new HeldBytes(inode->bytes));
}

base::Result<std::string> FaultFs::read_file(const std::string& path, std::uint64_t size_max) {
  const std::scoped_lock lock(mutex_);
  SKALD_TRY_ASSIGN(const auto inode, open(path));
  if (inode->bytes.size() > size_max) return base::resource_exhausted(path + " is too large");
  return inode->bytes;
}

base::Status FaultFs::rename(const std::string& from, const std::string& to) {
  const std::scoped_lock lock(mutex_);
  SKALD_TRY(count_write("rename " + from));
  const auto inode = find(from);
  if (inode == nullptr) return base::from_errno(ENOENT, "rename " + from);
  names_[to] = inode;
  names_.erase(from);
  return {};
}

base::Status FaultFs::remove(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  SKALD_TRY(count_write("remove " + path));
  if (names_.erase(path) == 0) return base::from_errno(ENOENT, "remove " + path);
  if (keep_removals_) durable_names_.erase(path);
  return {};
}

base::Status FaultFs::link(const std::string& from, const std::string& to) {
  const std::scoped_lock lock(mutex_);
  SKALD_TRY(count_write("link " + from));
  const auto inode = find(from);
  if (inode == nullptr) return base::from_errno(ENOENT, "link " + from);
  names_[to] = inode;
  return {};
}

base::Result<bool> FaultFs::make_directory(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  if (directories_.contains(path)) return false;
  SKALD_TRY(count_write("mkdir " + path));
  const std::string parent = directory_of(path);
  if (!parent.empty() && !directories_.contains(parent))
    return base::from_errno(ENOENT, "mkdir " + path);
  directories_.insert(path);
  return true;
}

base::Status FaultFs::sync_directory(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  SKALD_TRY(count_write("fsync " + path));
  const std::string directory = without_slash(path);
  std::erase_if(durable_names_,
                [&](const auto& item) { return directory_of(item.first) == directory; });
  for (const auto& [name, inode] : names_)
    if (directory_of(name) == directory) durable_names_[name] = inode;
  for (const std::string& name : directories_)
    if (directory_of(name) == directory) durable_directories_.insert(name);
  return {};
}

base::Result<std::vector<base::DirectoryEntry>> FaultFs::list(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  if (!directories_.contains(without_slash(path))) return base::from_errno(ENOENT, "list " + path);
  SKALD_TRY(read_error(path));
  std::vector<base::DirectoryEntry> out;
  for (const auto& [name, inode] : names_)
    if (directory_of(name) == path)
      out.push_back({name.substr(path.size() + 1), false, inode->bytes.size()});
  for (const std::string& directory : directories_)
    if (directory != path && directory_of(directory) == path)
      out.push_back({directory.substr(path.size() + 1), true, 0});
  return out;
}

}  // namespace skald::testing
