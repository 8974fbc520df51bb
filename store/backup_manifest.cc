#include "store/backup_manifest.h"

#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <vector>

#include "proto/base/crc32c.h"

namespace skald::store {
namespace {

constexpr std::string_view kFirstLine = "skald backup 1\n";
constexpr std::string_view kEnd = "end ";
constexpr std::size_t kCopyBytes = 1U << 20;

// Calls sink(bytes) over the whole file.
template <typename Sink>
base::Result<BackupFile> read_through(base::FileSystem& fs, const std::string& path, Sink&& sink) {
  SKALD_TRY_ASSIGN(const auto file, fs.open_read(path));
  std::vector<char> buffer(kCopyBytes);
  BackupFile out;
  for (;;) {
    SKALD_TRY_ASSIGN(const std::size_t count,
                     file->read_at(out.bytes, buffer.data(), buffer.size()));
    const std::string_view bytes(buffer.data(), count);
    out.crc = base::crc32c(bytes, out.crc);
    out.bytes += count;
    SKALD_TRY(sink(bytes));
    if (count < buffer.size()) return out;
  }
}

// A path that stays below its directory.
bool safe(std::string_view path) {
  return !path.empty() && path.front() != '/' && path.find("..") == std::string_view::npos &&
         path.find('\n') == std::string_view::npos;
}

template <typename T>
bool take_number(std::string_view& line, int base, T& out) {
  const auto [at, error] = std::from_chars(line.data(), line.data() + line.size(), out, base);
  if (error != std::errc()) return false;
  line.remove_prefix(static_cast<std::size_t>(at - line.data()));
  if (line.empty() || line.front() != ' ') return false;
  line.remove_prefix(1);
  return true;
}

}  // namespace

std::string encode_manifest(const BackupManifest& manifest) {
  std::string out(kFirstLine);
  for (const auto& [path, file] : manifest)
    out += fmt::format("{:08x} {} {}\n", file.crc, file.bytes, path);
  out += fmt::format("end {:08x}\n", base::crc32c(out));
  return out;
}

base::Result<BackupManifest> decode_manifest(std::string_view text) {
  if (!text.starts_with("skald backup "))
    return base::corrupt("MANIFEST: the first line is not \"skald backup 1\"");
  if (!text.starts_with(kFirstLine))
    return base::unsupported("MANIFEST: a backup of a newer version");
  const std::size_t end = text.rfind('\n', text.size() >= 2 ? text.size() - 2 : 0);
  if (end == std::string_view::npos || !text.substr(end + 1).starts_with(kEnd))
    return base::corrupt("MANIFEST: cut off, its last line is missing");
  if (text.substr(end + 1) != fmt::format("end {:08x}\n", base::crc32c(text.substr(0, end + 1))))
    return base::corrupt("MANIFEST: checksum does not match");
  text = text.substr(kFirstLine.size(), end + 1 - kFirstLine.size());
  BackupManifest out;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline + 1);
    BackupFile file;
    if (!take_number(line, 16, file.crc) || !take_number(line, 10, file.bytes) || !safe(line))
      return base::corrupt("MANIFEST: a line is malformed: " + std::string(line));
    out.emplace(line, file);
  }
  return out;
}

base::Result<BackupFile> copy_file(base::FileSystem& fs, const std::string& from,
                                   const std::string& to) {
  SKALD_TRY_ASSIGN(const auto file, fs.create(to));
  SKALD_TRY_ASSIGN(const BackupFile out, read_through(fs, from, [&](std::string_view bytes) {
                     return file->append(bytes);
                   }));
  SKALD_TRY(file->sync());
  return out;
}

base::Result<BackupFile> measure_file(base::FileSystem& fs, const std::string& path) {
  return read_through(fs, path, [](std::string_view) { return base::Status(); });
}

}  // namespace skald::store
