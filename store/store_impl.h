#pragma once
// The Store behind store.h: wires the rooms below together and owns the threads.
//
// Lock order: seal_mutex_ / compact_mutex_ -> index_mutex_ -> the committer's -> a tenant's ->
// small leaf mutexes.

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "store/catalog/layout.h"
#include "store/catalog/part_handle.h"
#include "store/compact/merge.h"
#include "store/index/index_db.h"
#include "store/ingest/committer.h"
#include "store/ingest/tenant.h"
#include "store/read/scan_plan.h"
#include "store/store.h"
#include "store/wal/wal_writer.h"

namespace skald::store {

class KeptSince;

class StoreImpl final : public Store {
 public:
  explicit StoreImpl(StoreOptions options);
  ~StoreImpl() override;
  base::Status start();  // everything open() does

  base::Result<AppendResult> append(std::string_view tenant,
                                    const model::PushBatch& batch) override;
  std::vector<model::FileMark> marks(std::string_view tenant, std::string_view agent_id) override;
  base::Result<std::unique_ptr<Scan>> open_scan(const ScanRequest& request) override;
  base::Result<std::vector<std::string>> label_names(const LabelQuery& query) override;
  base::Result<std::vector<std::string>> label_values(const LabelQuery& query,
                                                      std::string_view name) override;
  base::Result<std::vector<StreamInfo>> series(const LabelQuery& query) override;
  base::Result<std::vector<VolumeRow>> volume(const LabelQuery& query) override;
  std::uint64_t stream_count(std::string_view tenant) override;
  std::vector<std::string> tenants() override;
  base::Status flush() override;
  base::Status compact() override;
  base::Status enforce_retention() override;
  StoreStats stats() const override;
  void set_delete_filter_factory(LineFilterFactory factory) override;
  base::Result<std::string> add_delete(DeleteRequest request) override;
  std::vector<DeleteRequest> deletes(std::string_view tenant) override;
  base::Status cancel_delete(std::string_view tenant, std::string_view id) override;
  base::Status backup(const std::string& directory) override;
  void set_append_listener(AppendListener listener) override;

 private:
  struct Counters {
    std::atomic<std::uint64_t> quarantined{0}, index_rebuilds{0}, seals{0}, compactions{0},
        compacted_bytes{0}, retention_parts{0}, retention_bytes{0}, merged_expired{0},
        merged_deleted{0}, merged_duplicates{0};
  };

  // store_open.cc
  base::Status lock_directory();
  base::Status check_format();
  base::Status load_checkpoint();
  base::Status load_tenants();
  base::Status load_deletes(ingest::Tenant& tenant);
  base::Status load_tenant(const std::string& name);
  base::Status load_part(ingest::Tenant& tenant, const catalog::PartName& name,
                         std::uint64_t file_bytes);
  base::Result<catalog::PartMeta> read_part(ingest::Tenant& tenant, const catalog::PartName& name);
  void quarantine(const std::string& tenant, const std::string& file, const base::Status& why);
  base::Status recover_wal();
  void start_threads();

  // store_index.cc
  void open_index();
  void take_streams(ingest::Tenant& tenant);
  bool take_part(ingest::Tenant& tenant, const catalog::PartName& name, std::uint64_t file_bytes);
  void forget_index_of(const std::string& tenant);
  void sync_index();

  // store_append.cc
  base::Status check_space();
  RetentionPolicy policy_of(std::string_view tenant) const;

  // store_seal.cc
  void seal_loop();
  base::Status seal_one();
  base::Status write_checkpoint(const ingest::Generation& generation);

  // store_upkeep.cc
  enum class Reach { kBackground, kEverything };
  void maintenance_loop();
  bool quiet();
  base::Status compact_tenants(Reach reach);
  base::Status compact_tenant(ingest::Tenant& tenant, Reach reach);
  bool emptied_parts_are_gone(const ingest::Tenant& tenant);
  compact::MergeOptions merge_options(const ingest::Tenant& tenant, Reach reach);
  // After such an error of run_merge() others may go on: see compact::merge().
  static bool concerns_one_run(const base::Status& status);
  void retry_unread_parts(ingest::Tenant& tenant);
  base::Status run_merge(ingest::Tenant& tenant, const compact::MergeRun& run,
                         const compact::MergeOptions& merge_options);

  // store_retention.cc
  KeptSince kept_since(const ingest::Tenant& tenant) const;
  std::vector<model::TimestampNs> byte_cutoffs(const ingest::Tenant& tenant);
  void drop_part(ingest::Tenant& tenant, const std::shared_ptr<catalog::PartHandle>& part,
                 std::string_view why);
  void drop_expired(ingest::Tenant& tenant);
  void drop_beyond_bytes();

  // store_backup.cc
  base::Result<std::vector<std::string>> backup_files();  // paths below the data directory

  // store_deletes.cc
  base::Result<std::vector<LineFilter>> delete_filters(const std::string& tenant,
                                                       const retention::DeleteRecord& record);
  read::DeleteFilters delete_filter_source(const std::string& tenant);
  base::Status save_deletes(ingest::Tenant& tenant, retention::DeleteList deletes);
  base::Status settle_deletes(ingest::Tenant& tenant);
  void settle_all_deletes();
  base::Status mark_processed(ingest::Tenant& tenant,
                              const std::vector<read::PlannedDelete>& applied);

  StoreOptions options_;
  const catalog::Layout layout_;
  base::FileSystem& fs_;
  const base::Clock& clock_;
  int lock_fd_ = -1;

  ingest::TenantTable tenants_;
  catalog::PartCache cache_;
  std::unique_ptr<wal::WalWriter> wal_;
  std::unique_ptr<ingest::Committer> committer_;
  std::atomic<std::uint64_t> sealed_through_{0};
  std::uint64_t hash_seed_ = 0;
  std::string recovered_recent_;
  std::vector<std::string> findings_;
  mutable Counters counters_;

  // The index file: what it said at start-up (only during start), and what it holds now.
  struct IndexedState {
    std::uint32_t streams = 0;
    std::set<std::string> parts;
  };
  std::mutex index_mutex_;
  std::unique_ptr<index::IndexDb> index_;  // null: none, every start reads the parts
  index::IndexContents index_contents_;
  std::map<std::string, IndexedState> indexed_;
  bool checkpoint_lost_ = false;

  compact::ThrottleTotals compaction_io_;
  compact::Throttle throttle_;     // of merges in the background
  compact::Throttle unthrottled_;  // of those that somebody waits for

  std::mutex seal_mutex_;     // one seal at a time
  std::mutex compact_mutex_;  // one merge, retention pass or backup at a time
  struct EmptiedPart {
    std::weak_ptr<catalog::PartHandle> part;
    std::string path;
    catalog::PartName name;
  };
  std::vector<EmptiedPart> emptied_;  // under it
  // By tenant, what limits of bytes on streams cut off at the last retention pass. Under it.
  std::map<std::string, std::vector<model::TimestampNs>> byte_cutoffs_;
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stopping_{false};
  std::thread sealer_, maintenance_;
  std::uint64_t quiet_bytes_ = 0;  // appended when the maintenance thread looked last
  std::int64_t quiet_since_ns_ = 0;
  std::int64_t retention_at_ns_ = 0;

  std::mutex space_mutex_;
  std::int64_t space_checked_ns_ = 0;
  base::Status space_status_;
  std::atomic<bool> no_space_{false};

  std::mutex hooks_mutex_;
  std::shared_ptr<const AppendListener> listener_;
  LineFilterFactory filter_factory_;
  std::map<std::string, std::vector<LineFilter>> filters_by_delete_;
  std::mutex deletes_mutex_;  // one change of a deletes file at a time
  // Tenants whose file may have a change that was refused. Under it.
  std::set<std::string> unsettled_deletes_;
};

}  // namespace skald::store
