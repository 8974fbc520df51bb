#pragma once
// The write path behind append(): group commit into the WAL, then the head.
//
// Callers queue; one of them at a time leads: it takes what is queued, decides in order what is a
// duplicate or a conflict, writes all records with one sync, makes the rows visible and wakes the
// others. All decisions are the leader's, in commit order, so a duplicate is acknowledged only
// together with or after what it duplicates.
//
// The head is a sequence of generations: an open one and at most one frozen one, which the sealer
// turns into parts. When the open one is full while the frozen one is not sealed yet, append()
// blocks: memory is bounded by twice head_bytes_max plus one group of batches.
//
// Threads: any; recover() before any other call.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/status.h"
#include "store/ingest/recent_set.h"
#include "store/ingest/tenant.h"
#include "store/wal/batch_codec.h"
#include "store/wal/wal_writer.h"

namespace skald::store::ingest {

// Rows of consecutive records, of all tenants.
struct Generation {
  std::uint64_t first_sequence = 0, last_sequence = 0;
  std::uint64_t bytes = 0;  // what it costs in memory
  std::uint64_t entries = 0, line_bytes = 0;
  std::int64_t opened_ns = 0;  // monotonic
  // As they were when it was frozen: what the checkpoint says once its parts are durable.
  std::map<std::string, catalog::MarkTable> marks;
  std::string recent;
  std::map<std::string, std::pair<std::shared_ptr<Tenant>, std::shared_ptr<TenantHead>>> heads;
};

struct CommitResult {
  std::uint64_t appended = 0;
  std::uint64_t duplicates = 0;
  std::vector<bool> dropped;  // by row of the batch; empty: none was
};

struct CommitterOptions {
  std::uint64_t head_bytes_max = 0;
  bool block_when_full = true;  // false: nobody seals in the background
  std::uint64_t hash_seed = 0;
  std::function<void()> on_full;  // the open generation wants to be sealed; must be quick
};

struct CommitterStats {
  std::uint64_t head_entries = 0, head_bytes = 0;
  std::uint64_t appended_entries = 0, appended_bytes = 0, duplicate_entries = 0;
};

class Committer {
 public:
  Committer(CommitterOptions options, const base::Clock& clock, TenantTable& tenants,
            wal::WalWriter& wal);

  // kConflict, kInvalidArgument (marks), kNoSpace, kIoError, kUnavailable (shutting down).
  base::Result<CommitResult> append(const std::shared_ptr<Tenant>& tenant, wal::EncodedBatch batch);

  // Takes a record of the log at start-up. `take(row)` refuses rows that are in parts already.
  template <typename Take>
  void recover(const wal::EncodedBatch& batch, std::uint64_t sequence, Take&& take);
  void recover_end(std::uint64_t next_sequence) { next_sequence_ = next_sequence; }

  // The frozen generation; if there is none, the open one becomes it. Null: nothing to seal.
  std::shared_ptr<Generation> frozen_or_freeze();
  bool wants_seal(std::int64_t age_max_ns) const;
  // The generation's parts are published (or its rows are given up): room for the next.
  void retire(const std::shared_ptr<const Generation>& generation);
  // While set, append() does not wait for room but fails with it.
  void set_stalled(base::Status status);
  void close();  // append() fails from now on; waiters wake

  // `read(marks)` between two commits: what a batch raises whose write may yet fail is not told.
  template <typename Read>
  auto read_marks(const Tenant& tenant, Read&& read) {
    const std::scoped_lock commit(commit_mutex_);
    const std::shared_lock lock(tenant.mutex);
    return read(tenant.marks);
  }

  void load_recent(std::string_view words) { recent_.load(words); }
  std::uint64_t hash_seed() const noexcept { return options_.hash_seed; }
  CommitterStats stats() const;

 private:
  struct Pending {
    std::shared_ptr<Tenant> tenant;
    wal::EncodedBatch batch;
    std::vector<std::uint64_t> hashes;
    std::uint64_t sequence = 0;  // 0: not written
    std::vector<std::uint64_t> inserted;
    std::vector<catalog::MarkTable::Undo> undo;
    base::Status status;
    CommitResult result;
    bool done = false;
  };

  base::Status wait_for_room();
  void lead(std::unique_lock<std::mutex>& lock, Pending& own);
  void commit_group(const std::vector<Pending*>& group);
  void judge(Pending& pending);
  void roll_back(Pending& pending, const base::Status& why);
  void apply(Pending& pending);
  template <typename Take>
  void add_rows(const std::shared_ptr<Tenant>& tenant, const wal::EncodedBatch& batch,
                std::uint64_t sequence, Take&& take);
  std::shared_ptr<TenantHead> open_head(const std::shared_ptr<Tenant>& tenant);
  std::vector<std::uint64_t> hash_rows(const wal::EncodedBatch& batch) const;
  void freeze_locked();

  const CommitterOptions options_;
  const base::Clock& clock_;
  TenantTable& tenants_;
  wal::WalWriter& wal_;

  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<Pending*> queue_;
  bool leading_ = false;

  // Held by the leader while it commits, and by whoever freezes: sequences, hashes, open heads.
  std::mutex commit_mutex_;
  std::uint64_t next_sequence_ = 1;
  RecentSet recent_;

  mutable std::mutex state_mutex_;  // generations and counters; innermost
  std::condition_variable room_;
  std::shared_ptr<Generation> open_ = std::make_shared<Generation>();
  std::shared_ptr<Generation> frozen_;
  base::Status stalled_;
  bool closed_ = false;
  CommitterStats totals_;
};

template <typename Take>
void Committer::add_rows(const std::shared_ptr<Tenant>& tenant, const wal::EncodedBatch& batch,
                         std::uint64_t sequence, Take&& take) {
  TenantHead::Added added;
  const std::shared_ptr<TenantHead> head = open_head(tenant);
  {
    const std::unique_lock lock(tenant->mutex);
    std::vector<std::uint32_t> numbers(batch.streams.size(), index::kNoStream);
    const auto take_and_number = [&](const wal::BatchRow& row) {
      if (!take(row)) return false;
      std::uint32_t& number = numbers[row.stream];
      if (number == index::kNoStream)
        number = tenant->labels.find_or_add(batch.streams[row.stream]);
      return true;
    };
    added = head->append(batch, numbers, sequence, take_and_number);
    if (tenant->heads.empty() || tenant->heads.back() != head) tenant->heads.push_back(head);
  }
  const std::scoped_lock lock(state_mutex_);
  if (open_->first_sequence == 0) {
    open_->first_sequence = sequence;
    open_->opened_ns = clock_.monotonic_ns();
  }
  open_->last_sequence = sequence;
  open_->entries += added.entries;
  open_->line_bytes += added.line_bytes;
  // Per batch: the record's and the streams' allocations; per row: its place in a chunk.
  open_->bytes += batch.owner_bytes + 512 + batch.rows.size() * sizeof(HeadRow);
  totals_.appended_entries += added.entries;
  totals_.appended_bytes += added.line_bytes;
}

template <typename Take>
void Committer::recover(const wal::EncodedBatch& batch, std::uint64_t sequence, Take&& take) {
  const std::shared_ptr<Tenant> tenant = tenants_.find_or_add(batch.tenant);
  tenant->marks.apply(batch.marks, clock_.wall_ns(), nullptr);
  for (const std::uint64_t hash : hash_rows(batch)) static_cast<void>(recent_.insert(hash));
  add_rows(tenant, batch, sequence, take);
}

}  // namespace skald::store::ingest
