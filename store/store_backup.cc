// Backup of a running store, and restore into a directory that has none.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <shared_mutex>

#include "store/backup_manifest.h"
#include "store/store_impl.h"

namespace skald::store {
namespace {

constexpr std::string_view kManifestName = "/MANIFEST";

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

base::Status make_parent(base::FileSystem& fs, const std::string& path,
                         std::set<std::string>& directories) {
  const std::string parent = parent_of(path);
  return directories.insert(parent).second ? fs.make_directories(parent) : base::Status();
}

// What an earlier backup left and this one does not name.
void remove_stale(base::FileSystem& fs, const std::string& directory,
                  const BackupManifest& previous, const BackupManifest& now) {
  for (const auto& [path, file] : previous)
    if (!now.contains(path)) static_cast<void>(fs.remove(directory + "/" + path).ok());
}

}  // namespace

base::Result<std::vector<std::string>> StoreImpl::backup_files() {
  std::vector<std::string> paths = {layout_.format_file()};
  const auto exists = [&](const std::string& path) { return fs_.open_read(path).ok(); };
  if (exists(layout_.checkpoint_file())) paths.push_back(layout_.checkpoint_file());
  for (const auto& tenant : tenants_.all()) {
    if (exists(layout_.deletes_file(tenant->name)))
      paths.push_back(layout_.deletes_file(tenant->name));
    const std::shared_lock lock(tenant->mutex);
    for (const auto& part : tenant->parts) paths.push_back(part->path());
  }
  for (std::string& path : paths) path.erase(0, layout_.root.size() + 1);
  return paths;
}

base::Status StoreImpl::backup(const std::string& directory) {
  // No merge, retention or seal meanwhile. What is acknowledged is in parts after the flush, so
  // the snapshot needs no WAL; appends go on and are not part of it.
  const std::scoped_lock maintenance(compact_mutex_);
  SKALD_TRY(flush());
  const std::scoped_lock sealing(seal_mutex_, deletes_mutex_);
  SKALD_TRY(fs_.make_directories(directory));
  BackupManifest previous;
  if (const auto text = fs_.read_file(directory + std::string(kManifestName), kManifestBytesMax);
      text.ok()) {
    auto decoded = decode_manifest(*text);
    if (decoded.ok()) previous = std::move(decoded).value();
  } else if (const auto entries = fs_.list(directory); entries.ok() && !entries->empty()) {
    return base::invalid_argument(directory + " is not empty and holds no backup of ours");
  }
  SKALD_TRY_ASSIGN(const auto files, backup_files());
  BackupManifest manifest;
  std::set<std::string> directories;
  std::uint64_t reused = 0;
  for (const std::string& path : files) {
    const std::string from = layout_.root + "/" + path, to = directory + "/" + path;
    const bool immutable = path.ends_with(".part");
    SKALD_TRY(make_parent(fs_, to, directories));
    if (const auto old = previous.find(path); immutable && old != previous.end()) {
      const auto copy = fs_.open_read(to);
      const auto size = copy.ok() ? (*copy)->size() : base::Result<std::uint64_t>(0);
      if (copy.ok() && size.ok() && *size == old->second.bytes) {
        manifest.emplace(path, old->second);
        ++reused;
        continue;
      }
    }
    static_cast<void>(fs_.remove(to).ok());
    if (immutable && fs_.link(from, to).ok()) {
      SKALD_TRY_ASSIGN(const BackupFile file, measure_file(fs_, to));
      manifest.emplace(path, file);
    } else {
      SKALD_TRY_ASSIGN(const BackupFile file, copy_file(fs_, from, to));
      manifest.emplace(path, file);
    }
  }
  for (const std::string& each : directories) SKALD_TRY(fs_.sync_directory(each));
  SKALD_TRY(base::write_file_atomically(fs_, directory + std::string(kManifestName),
                                        encode_manifest(manifest)));
  remove_stale(fs_, directory, previous, manifest);
  spdlog::info("store: backup of {} files to {}, {} of them there already", manifest.size(),
               directory, reused);
  return {};
}

base::Status restore(base::FileSystem& fs, const std::string& backup_dir,
                     const std::string& data_dir) {
  SKALD_TRY_ASSIGN(const std::string text,
                   fs.read_file(backup_dir + std::string(kManifestName), kManifestBytesMax));
  SKALD_TRY_ASSIGN(const BackupManifest manifest, decode_manifest(text));
  if (const auto entries = fs.list(data_dir); entries.ok() && !entries->empty())
    return base::invalid_argument(data_dir +
                                  " is not empty: restore into a new directory, then move it");
  // All of it is checked before anything is written.
  for (const auto& [path, want] : manifest) {
    const std::string from = backup_dir + "/" + path;
    SKALD_TRY_ASSIGN(const BackupFile found, measure_file(fs, from));
    if (found.bytes != want.bytes || found.crc != want.crc)
      return base::corrupt(from + " does not match the MANIFEST (size " +
                           std::to_string(found.bytes) + ", expected " +
                           std::to_string(want.bytes) + "); nothing was restored");
  }
  SKALD_TRY(fs.make_directories(data_dir));
  std::set<std::string> directories;
  // Backwards: FORMAT and CHECKPOINT sort before tenants/ and so come last.
  for (auto it = manifest.rbegin(); it != manifest.rend(); ++it) {
    const std::string to = data_dir + "/" + it->first;
    SKALD_TRY(make_parent(fs, to, directories));
    SKALD_TRY(copy_file(fs, backup_dir + "/" + it->first, to));
  }
  for (const std::string& each : directories) SKALD_TRY(fs.sync_directory(each));
  return {};
}

}  // namespace skald::store
