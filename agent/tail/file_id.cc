#include "agent/tail/file_id.h"

#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

namespace skald::agent {
namespace {

// False unless all of `size` bytes could be read.
bool read_exactly(int fd, std::uint64_t offset, char* out, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd, out + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

FileKey key_of(const struct stat& st) noexcept {
  return {static_cast<std::uint64_t>(st.st_dev), static_cast<std::uint64_t>(st.st_ino)};
}

std::string FileId::to_string() const {
  char text[96];
  const int size = std::snprintf(
      text, sizeof text, "%llx-%llx-%x-%llx-%llx", static_cast<unsigned long long>(key.device),
      static_cast<unsigned long long>(key.inode), head_size,
      static_cast<unsigned long long>(head_hash), static_cast<unsigned long long>(birth));
  return std::string(text, static_cast<std::size_t>(size));
}

std::optional<FileId> FileId::parse(std::string_view text) {
  std::uint64_t numbers[5] = {};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (int i = 0; i < 5; ++i) {
    if (i > 0) {
      if (at == end || *at != '-') return std::nullopt;
      ++at;
    }
    const auto [next, error] = std::from_chars(at, end, numbers[i], 16);
    if (error != std::errc() || next == at) return std::nullopt;
    at = next;
  }
  if (at != end || numbers[2] == 0 || numbers[2] > kHeadBytes) return std::nullopt;
  FileId id;
  id.key = {numbers[0], numbers[1]};
  id.head_size = static_cast<std::uint32_t>(numbers[2]);
  id.head_hash = numbers[3];
  id.birth = numbers[4];
  return id;
}

std::uint64_t print_hash(std::string_view bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

bool head_matches(int fd, const FileId& id) {
  char bytes[kHeadBytes];
  if (id.head_size == 0) return true;
  if (id.head_size > kHeadBytes || !read_exactly(fd, 0, bytes, id.head_size)) return false;
  return print_hash({bytes, id.head_size}) == id.head_hash;
}

bool tail_matches(int fd, const TailPrint& print) {
  if (print.offset == 0) return true;
  char bytes[kTailBytes];
  const std::size_t size = print.size == 0 ? 1 : print.size;
  if (size > sizeof bytes || size > print.offset) return false;
  if (!read_exactly(fd, print.offset - size, bytes, size)) return false;
  return print.size == 0 ? bytes[0] == '\n' : print_hash({bytes, size}) == print.hash;
}

}  // namespace skald::agent
