#pragma once
// A published part as the store knows it: its name and statistics in memory, its footer opened on
// demand and kept while the cache has room.
//
// Whoever holds the handle pins the file: a part that was superseded or dropped is unlinked when
// the last holder lets go. A crash before that leaves a file that start-up recognises by its name
// (a superseded one) or that retention drops again. For that the file of what superseded it must be
// there as long: a part's file goes only after those of all that it was merged from.
//
// Threads: handles and cache may be used from any thread.

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "store/catalog/layout.h"
#include "store/index/bitmap.h"
#include "store/part/part_reader.h"

namespace skald::store::catalog {

struct PartMeta {
  PartName name;
  model::TimestampNs min_time_ns = 0;
  model::TimestampNs max_time_ns = 0;
  std::uint64_t entries = 0;
  std::uint64_t line_bytes = 0;
  std::uint64_t file_bytes = 0;
  index::Bitmap streams;  // by the tenant's stream numbers
  part::SummaryPlace search;
};

struct OpenPart {
  std::shared_ptr<const part::PartReader> reader;
  std::vector<std::uint32_t> numbers;  // local stream -> the tenant's number, or kNoStream
};

// The tenant's number of each stream of the footer.
using NumberStreams =
    std::function<std::vector<std::uint32_t>(std::span<const StreamInfo> streams)>;

class PartHandle {
 public:
  PartHandle(base::FileSystem& fs, std::string path, PartMeta meta)
      : fs_(fs), path_(std::move(path)), meta_(std::move(meta)) {}
  // A part that the disk did not give at the start, which proves nothing against it. Its `meta` has
  // only what name and size say; it is in no answer and no merge, and counts as damaged until it
  // can be read.
  PartHandle(base::FileSystem& fs, std::string path, PartMeta meta, const base::Status& unread)
      : fs_(fs),
        path_(std::move(path)),
        meta_(std::move(meta)),
        damaged_(true),
        unread_(unread.to_string()) {}
  ~PartHandle();
  PartHandle(const PartHandle&) = delete;
  PartHandle& operator=(const PartHandle&) = delete;

  const PartMeta& meta() const noexcept { return meta_; }
  const std::string& path() const noexcept { return path_; }
  // Its rows are in `successor` now (null: nowhere, or nobody's any more). Once, by its owner.
  void supersede(std::shared_ptr<PartHandle> successor) noexcept {
    successor_ = std::move(successor);
    obsolete_ = true;
  }
  // Set once when its footer turned out damaged; scans then skip it with a warning.
  bool mark_damaged() noexcept { return !damaged_.exchange(true); }
  bool damaged() const noexcept { return damaged_; }
  const std::string& unread() const noexcept { return unread_; }  // why; empty: it was read
  // Which row groups may have lines that pass all filters; nothing: all. Does not open the part.
  std::optional<std::vector<bool>> groups_that_may_match(std::span<const LineFilter> filters) const;
  // Every delete up to this number was applied physically to this part, or needs not be.
  std::atomic<std::uint64_t> deletes_applied{0};

 private:
  friend class PartCache;
  base::FileSystem& fs_;
  const std::string path_;
  const PartMeta meta_;
  std::atomic<bool> obsolete_{false};
  std::atomic<bool> damaged_{false};
  const std::string unread_;
  std::shared_ptr<PartHandle> successor_;  // outlives this one's file
  std::mutex mutex_;
  std::weak_ptr<const OpenPart> open_;
};

using PartList = std::vector<std::shared_ptr<PartHandle>>;

class PartCache {
 public:
  explicit PartCache(base::FileSystem& fs) : fs_(fs) {}
  // Errors are those of the file or of PartReader::open.
  base::Result<std::shared_ptr<const OpenPart>> get(PartHandle& part,
                                                    const NumberStreams& number_streams);

 private:
  void remember(std::shared_ptr<const OpenPart> open);

  base::FileSystem& fs_;
  std::mutex mutex_;
  std::list<std::shared_ptr<const OpenPart>> recent_;  // newest first
  std::uint64_t streams_ = 0;
};

// Removes the file of a part that has no successor, behind the files that its name covers: without
// it a start would take those in again. An error: it may be there still.
base::Status remove_last(base::FileSystem& fs, const std::string& path, const PartName& name);

// Reads what open_reader() looks at, with calls that report what the disk does not give; in a
// mapping that ends the process.
base::Status try_to_read_footer(base::FileSystem& fs, const std::string& path);
// Maps a file and opens it as a part.
base::Result<std::shared_ptr<const part::PartReader>> open_reader(base::FileSystem& fs,
                                                                  const std::string& path);

}  // namespace skald::store::catalog
