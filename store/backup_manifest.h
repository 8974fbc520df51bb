#pragma once
// The MANIFEST of a backup: which files belong to it, with size and CRC-32C. A text file: one
// "<crc32c hex> <bytes> <path>" line each, closed by a checksum of the lines. See
// catalog/LAYOUT.md.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "proto/base/fs.h"
#include "proto/base/status.h"

namespace skald::store {

struct BackupFile {
  std::uint32_t crc = 0;
  std::uint64_t bytes = 0;
};
using BackupManifest = std::map<std::string, BackupFile>;  // by path below the directory

std::string encode_manifest(const BackupManifest& manifest);
base::Result<BackupManifest> decode_manifest(std::string_view text);

// Copies a file piecewise and syncs it; returns what was copied.
base::Result<BackupFile> copy_file(base::FileSystem& fs, const std::string& from,
                                   const std::string& to);
// Reads a file piecewise.
base::Result<BackupFile> measure_file(base::FileSystem& fs, const std::string& path);

inline constexpr std::uint64_t kManifestBytesMax = 256U << 20;

}  // namespace skald::store
