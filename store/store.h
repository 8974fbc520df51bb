#pragma once
// The store as the server sees it: append, scan, label index, upkeep. A library without HTTP.
//
// An append that returned OK is on disk (fdatasync) and visible to every scan opened after.
// open() never fails because of stored data: a damaged part is quarantined, a damaged index is
// rebuilt from the parts; both are reported in stats() and as warnings of scans.
//
// Threads: every call is safe from any thread. append() blocks for the group commit.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "proto/model/matcher.h"
#include "proto/model/push.h"
#include "store/scan.h"

namespace skald::store {

struct RetentionRule {
  model::Matchers selector;    // empty: every stream
  std::int64_t period_ns = 0;  // 0: keep for ever
  int priority = 0;            // of the rules that match a stream the highest priority wins
  // Of the parts, what the rule's streams may take, oldest rows first; 0: no limit. Counted as each
  // part's bytes in proportion to the lines.
  std::uint64_t bytes_max = 0;
};

struct RetentionPolicy {
  std::int64_t period_ns = 30LL * 24 * 3600 * base::kNsPerSecond;  // 0: off
  std::vector<RetentionRule> rules;
  std::uint64_t bytes_max = 0;  // of this tenant's parts; 0: no own limit
};

struct StoreOptions {
  std::string data_dir;
  base::FileSystem* fs = &base::FileSystem::posix();
  const base::Clock* clock = &base::Clock::system();
  std::uint64_t head_bytes_max = 12U << 20;  // raw bytes in memory before a part is sealed
  std::int64_t head_age_max_ns = 300LL * base::kNsPerSecond;
  std::uint64_t disk_bytes_max = 10ULL << 30;  // all tenants' parts, oldest first; 0: no limit
  std::uint64_t disk_free_min = 64U << 20;     // below: appends get kNoSpace
  unsigned background_threads = 1;             // seal and compact; 0: only flush() does
  // Of a merge: what it may hold in memory (compact/limits.h says how it is kept), and the bytes of
  // parts that merges in the background read and write per second, together; 0: no limit.
  std::uint64_t compaction_memory_max = 128U << 20;
  std::uint64_t compaction_bytes_per_second = 32U << 20;
  // Asked at every retention pass and at append; must be thread-safe. Absent: no limit by time.
  std::function<RetentionPolicy(std::string_view tenant)> retention;
};

struct AppendResult {
  std::uint64_t appended = 0;
  std::uint64_t duplicates = 0;  // same stream, time, line and metadata, or a mark already passed
  std::uint64_t too_old = 0;     // beyond retention; the good neighbours were kept
  std::string too_old_message;   // names stream, time and limit, when too_old > 0
};

struct LabelQuery {
  std::string tenant;
  model::TimeRange range;
  model::Matchers matchers;  // empty: all streams
};

struct VolumeRow {
  StreamInfo stream;
  std::uint64_t entries = 0, bytes = 0, chunks = 0;
};

struct DeleteRequest {
  std::string id;
  std::string tenant;
  std::string query;  // as sent; the parsed form is below
  model::Matchers matchers;
  std::vector<std::string> line_filters;  // opaque text for the caller's filter factory
  model::TimeRange range;
  std::int64_t created_ns = 0;
  enum class State : std::uint8_t { kReceived, kProcessed } state = State::kReceived;
};

struct StoreStats {
  std::uint64_t head_entries = 0, head_bytes = 0, wal_bytes = 0;
  std::uint64_t parts = 0, part_bytes = 0, part_raw_bytes = 0, part_entries = 0;
  std::uint64_t quarantined_parts = 0, streams = 0, index_rebuilds = 0;
  std::uint64_t appended_entries = 0, appended_bytes = 0, duplicate_entries = 0;
  std::uint64_t wal_syncs = 0, wal_sync_ns = 0, seals = 0, compactions = 0, compacted_bytes = 0;
  std::uint64_t compaction_io_bytes = 0, compaction_wait_ns = 0;  // read + written; held back for
  std::uint64_t merged_expired_entries = 0, merged_deleted_entries = 0, merged_duplicates = 0;
  std::uint64_t retention_deleted_parts = 0, retention_deleted_bytes = 0;
  std::uint64_t disk_bytes_max = 0;  // the limit of StoreOptions
  bool read_only_no_space = false;
};

class Store {
 public:
  virtual ~Store() = default;  // seals nothing: the WAL has it. Waits for background work.
  static base::Result<std::unique_ptr<Store>> open(StoreOptions options);

  // kNoSpace: the disk is full, nothing was stored. kConflict: a mark starts past or overlaps
  // what is stored of its file (the message names it); the agent asks marks() and resumes.
  virtual base::Result<AppendResult> append(std::string_view tenant,
                                            const model::PushBatch& batch) = 0;
  virtual std::vector<model::FileMark> marks(std::string_view tenant,
                                             std::string_view agent_id) = 0;

  virtual base::Result<std::unique_ptr<Scan>> open_scan(const ScanRequest& request) = 0;

  // Sorted; only of streams with entries (by part and head time bounds) in the range.
  virtual base::Result<std::vector<std::string>> label_names(const LabelQuery& query) = 0;
  virtual base::Result<std::vector<std::string>> label_values(const LabelQuery& query,
                                                              std::string_view name) = 0;
  virtual base::Result<std::vector<StreamInfo>> series(const LabelQuery& query) = 0;
  // Per stream, from statistics: exact where a block lies whole in the range, else in proportion.
  virtual base::Result<std::vector<VolumeRow>> volume(const LabelQuery& query) = 0;
  virtual std::uint64_t stream_count(std::string_view tenant) = 0;
  virtual std::vector<std::string> tenants() = 0;

  virtual base::Status flush() = 0;    // the head becomes parts; returns when they are durable
  virtual base::Status compact() = 0;  // until nothing is left worth merging
  virtual base::Status enforce_retention() = 0;
  virtual StoreStats stats() const = 0;

  // Deletes take effect in every scan opened after; rows go at the next compaction. The filter is
  // rebuilt from `line_filters` by the factory below after a restart.
  using LineFilterFactory =
      std::function<base::Result<std::vector<LineFilter>>(const DeleteRequest& request)>;
  virtual void set_delete_filter_factory(LineFilterFactory factory) = 0;
  virtual base::Result<std::string> add_delete(DeleteRequest request) = 0;  // returns its id
  virtual std::vector<DeleteRequest> deletes(std::string_view tenant) = 0;
  virtual base::Status cancel_delete(std::string_view tenant, std::string_view id) = 0;

  // Consistent, incremental copy (hard links where possible) with MANIFEST of sizes and CRC32C.
  virtual base::Status backup(const std::string& directory) = 0;

  // Fired after each append with what was appended; for live tail. Must return fast.
  using AppendListener =
      std::function<void(std::string_view tenant, const model::PushBatch& batch)>;
  virtual void set_append_listener(AppendListener listener) = 0;
};

// Offline tools (the store must not be running).
base::Status restore(base::FileSystem& fs, const std::string& backup_dir,
                     const std::string& data_dir);
struct CheckReport {
  std::uint64_t parts = 0, damaged_parts = 0, bytes = 0;
  std::vector<std::string> findings;
};
base::Result<CheckReport> check(base::FileSystem& fs, const std::string& data_dir, bool deep,
                                bool rebuild_index);

}  // namespace skald::store
