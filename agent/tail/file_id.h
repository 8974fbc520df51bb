#pragma once
// What makes a file the same file: device, inode, and its first bytes; plus a birth stamp that
// tells two lives of one inode apart (truncated in place, or reused after a deletion). Never the
// name. The text form is FileMark::file_id: it says all, so that an agent which lost its own
// positions can recognise its files from the store's marks alone.
//
//   <device>-<inode>-<head bytes>-<head hash>-<birth>      five hexadecimal numbers
//
// The head is as long as the file was when its first bytes were seen, at most kHeadBytes.

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/tail/limits.h"

struct stat;

namespace skald::agent {

struct FileKey {
  std::uint64_t device = 0, inode = 0;
  friend auto operator<=>(const FileKey&, const FileKey&) = default;
};
struct FileKeyHash {
  std::size_t operator()(const FileKey& key) const noexcept {
    return (key.inode ^ key.device << 48) * 0x9E3779B97F4A7C15ULL;
  }
};
FileKey key_of(const struct stat& st) noexcept;

struct FileId {
  FileKey key;
  std::uint32_t head_size = 0;  // 0: no byte was seen yet
  std::uint64_t head_hash = 0;
  std::uint64_t birth = 0;  // wall time in ns when this life was first seen
  friend bool operator==(const FileId&, const FileId&) = default;

  std::string to_string() const;
  static std::optional<FileId> parse(std::string_view text);
};

std::uint64_t print_hash(std::string_view bytes) noexcept;  // XXH3

// The last bytes before an offset.
struct TailPrint {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;  // min(kTailBytes, offset), or 0: not known
  std::uint64_t hash = 0;
};

// True if the open file starts with the bytes `id` was made of. A read error is a no.
bool head_matches(int fd, const FileId& id);
// True if the bytes before print.offset are those the print was made of. Unknown prints match if
// the byte before the offset is a newline (or the offset is 0).
bool tail_matches(int fd, const TailPrint& print);

}  // namespace skald::agent
