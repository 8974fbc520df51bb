#pragma once
// Writes the log: appends groups of records, one sync per group.
//
// After append() returned OK the records are on disk. After an error they do not count: the segment
// is ended and never written again, the next one is started fresh and declares their sequences
// void, so that recovery skips them even if the disk kept them. A failed sync is never retried.
//
// Threads: append() and end_segment() belong to the committer (one caller at a time);
// drop_through() and bytes() may be called from any thread.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "store/wal/wal_format.h"

namespace skald::store::wal {

class WalWriter {
 public:
  struct Segment {
    std::string name;
    std::uint64_t last_sequence = 0;
    std::uint64_t bytes = 0;
  };

  WalWriter(base::FileSystem& fs, std::string directory);
  // Segments that recovery has read: they stay until drop_through(). Before the first append().
  void take_over(std::vector<Segment> segments);

  // Whole records (finish_record) with sequences [first, last]. kNoSpace, kIoError.
  base::Status append(std::span<const std::string_view> records, std::uint64_t first_sequence,
                      std::uint64_t last_sequence);
  // The next append starts a new segment.
  void end_segment();
  // Removes the ended segments whose records all are <= sequence: they are durable as parts.
  base::Status drop_through(std::uint64_t sequence);

  std::uint64_t bytes() const;
  std::vector<std::string> segment_paths() const;  // for backup
  std::uint64_t syncs() const noexcept { return syncs_; }
  std::uint64_t sync_ns() const noexcept { return sync_ns_; }

 private:
  base::Status write(std::span<const std::string_view> records, std::uint64_t first_sequence);
  base::Status open_segment(std::uint64_t first_sequence);

  base::FileSystem& fs_;
  const std::string directory_;
  std::unique_ptr<base::File> file_;  // the open segment; the committer's
  std::uint64_t file_bytes_ = 0;
  std::uint64_t void_first_ = 0, void_end_ = 0;  // to be declared by the next segment
  std::atomic<std::uint64_t> syncs_{0}, sync_ns_{0};
  std::string joined_;

  mutable std::mutex mutex_;
  std::vector<Segment> segments_;  // in order; the open one is last
  bool open_ = false;
};

}  // namespace skald::store::wal
