#include "store/ingest/committer.h"

#include <algorithm>
#include <utility>

#include "store/ingest/limits.h"

namespace skald::store::ingest {
namespace {

constexpr std::size_t kPrefetchAhead = 16;  // rows: a look-up is a cache miss or two

}  // namespace

Committer::Committer(CommitterOptions options, const base::Clock& clock, TenantTable& tenants,
                     wal::WalWriter& wal)
    : options_(std::move(options)),
      clock_(clock),
      tenants_(tenants),
      wal_(wal),
      recent_(kRecentEntries, kRecentKept) {}

std::vector<std::uint64_t> Committer::hash_rows(const wal::EncodedBatch& batch) const {
  std::vector<std::uint64_t> hashes;
  hashes.reserve(batch.rows.size());
  std::uint32_t stream = index::kNoStream;
  std::uint64_t stream_hash = 0, metadata_hash = 0;
  const model::Labels* metadata = nullptr;
  for (const wal::BatchRow& row : batch.rows) {
    if (row.stream != stream) {
      stream = row.stream;
      stream_hash = hash_stream(options_.hash_seed, batch.tenant, batch.streams[stream]);
    }
    if (row.metadata != metadata) {
      metadata = row.metadata;
      metadata_hash = hash_metadata(metadata);
    }
    hashes.push_back(hash_entry(stream_hash, row.timestamp_ns, row.line, metadata_hash));
  }
  return hashes;
}

base::Status Committer::wait_for_room() {
  std::unique_lock lock(state_mutex_);
  room_.wait(lock, [&] {
    return closed_ || !options_.block_when_full || !stalled_.ok() || frozen_ == nullptr ||
           open_->bytes < options_.head_bytes_max;
  });
  if (closed_) return base::unavailable("the store is shutting down");
  if (!stalled_.ok() && open_->bytes >= options_.head_bytes_max) return stalled_;
  return {};
}

base::Result<CommitResult> Committer::append(const std::shared_ptr<Tenant>& tenant,
                                             wal::EncodedBatch batch) {
  SKALD_TRY(wait_for_room());
  Pending pending;
  pending.tenant = tenant;
  pending.batch = std::move(batch);
  pending.hashes = hash_rows(pending.batch);

  std::unique_lock lock(queue_mutex_);
  queue_.push_back(&pending);
  queue_changed_.wait(lock, [&] { return pending.done || !leading_; });
  if (!pending.done) lead(lock, pending);
  lock.unlock();
  if (!pending.status.ok()) return std::move(pending.status);
  return std::move(pending.result);
}

// Commits groups until its own batch is done; then a waiter leads, if there is one.
void Committer::lead(std::unique_lock<std::mutex>& lock, Pending& own) {
  leading_ = true;
  while (!own.done) {
    std::vector<Pending*> group;
    std::size_t bytes = 0;
    while (!queue_.empty() && (group.empty() || bytes < kGroupBytesMax)) {
      group.push_back(queue_.front());
      bytes += queue_.front()->batch.record->size;
      queue_.pop_front();
    }
    lock.unlock();
    commit_group(group);
    lock.lock();
    for (Pending* pending : group) pending->done = true;
    queue_changed_.notify_all();
  }
  leading_ = false;
  queue_changed_.notify_all();
}

void Committer::judge(Pending& pending) {
  const std::size_t rows = pending.batch.rows.size();
  {
    const std::unique_lock lock(pending.tenant->mutex);
    auto verdict = pending.tenant->marks.judge(pending.batch.marks);
    if (!verdict.ok()) {
      pending.status = std::move(verdict).status();
      return;
    }
    if (*verdict == catalog::MarkTable::Verdict::kDuplicate) {
      pending.result.duplicates = rows;
      pending.result.dropped.assign(rows, true);
      return;
    }
    pending.tenant->marks.apply(pending.batch.marks, clock_.wall_ns(), &pending.undo);
  }
  pending.inserted.reserve(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    if (i + kPrefetchAhead < rows) recent_.prefetch(pending.hashes[i + kPrefetchAhead]);
    if (recent_.insert(pending.hashes[i])) {
      pending.inserted.push_back(pending.hashes[i]);
      continue;
    }
    *pending.batch.rows[i].flags =
        static_cast<char>(*pending.batch.rows[i].flags | wal::kRowDropped);
    if (pending.result.dropped.empty()) pending.result.dropped.assign(rows, false);
    pending.result.dropped[i] = true;
    ++pending.result.duplicates;
  }
  pending.result.appended = rows - pending.result.duplicates;
  if (pending.result.appended == 0 && pending.batch.marks.empty()) return;
  pending.sequence = next_sequence_++;
  wal::finish_record(*pending.batch.record, pending.sequence);
}

void Committer::roll_back(Pending& pending, const base::Status& why) {
  for (const std::uint64_t hash : pending.inserted) recent_.erase(hash);
  {
    const std::unique_lock lock(pending.tenant->mutex);
    pending.tenant->marks.restore(pending.undo);
  }
  pending.status = why;
}

void Committer::apply(Pending& pending) {
  add_rows(pending.tenant, pending.batch, pending.sequence,
           [](const wal::BatchRow&) { return true; });
}

void Committer::commit_group(const std::vector<Pending*>& group) {
  const std::scoped_lock commit(commit_mutex_);
  std::vector<std::string_view> records;
  std::uint64_t first = 0, last = 0;
  for (Pending* pending : group) {
    judge(*pending);
    if (pending->sequence == 0) continue;
    if (first == 0) first = pending->sequence;
    last = pending->sequence;
    records.push_back(pending->batch.record->whole());
  }
  if (!records.empty()) {
    if (const base::Status status = wal_.append(records, first, last); !status.ok()) {
      // Newest first, so that marks return to what they were. A duplicate of something in this
      // group must not be acknowledged either.
      for (auto it = group.rbegin(); it != group.rend(); ++it)
        if ((*it)->status.ok()) roll_back(**it, status);
      return;
    }
    for (Pending* pending : group)
      if (pending->sequence != 0) apply(*pending);
  }
  const std::scoped_lock lock(state_mutex_);
  for (Pending* pending : group)
    if (pending->status.ok()) totals_.duplicate_entries += pending->result.duplicates;
  if (open_->bytes < options_.head_bytes_max || !options_.block_when_full) return;
  freeze_locked();
  if (options_.on_full) options_.on_full();
}

std::shared_ptr<TenantHead> Committer::open_head(const std::shared_ptr<Tenant>& tenant) {
  const std::scoped_lock lock(state_mutex_);
  auto& [owner, head] = open_->heads[tenant->name];
  if (head == nullptr) {
    owner = tenant;
    head = std::make_shared<TenantHead>();
  }
  return head;
}

// Under commit_mutex_ and state_mutex_.
void Committer::freeze_locked() {
  if (frozen_ != nullptr || open_->first_sequence == 0) return;
  frozen_ = std::exchange(open_, std::make_shared<Generation>());
  frozen_->recent = recent_.save();
  for (const auto& tenant : tenants_.all()) {
    const std::unique_lock lock(tenant->mutex);
    tenant->marks.forget_old(clock_.wall_ns());
    if (tenant->marks.size() > 0) frozen_->marks[tenant->name] = tenant->marks;
  }
  wal_.end_segment();
  room_.notify_all();
}

std::shared_ptr<Generation> Committer::frozen_or_freeze() {
  const std::scoped_lock commit(commit_mutex_);
  const std::scoped_lock lock(state_mutex_);
  freeze_locked();
  return frozen_;
}

bool Committer::wants_seal(std::int64_t age_max_ns) const {
  const std::scoped_lock lock(state_mutex_);
  if (frozen_ != nullptr) return true;
  if (open_->first_sequence == 0) return false;
  return open_->bytes >= options_.head_bytes_max ||
         clock_.monotonic_ns() - open_->opened_ns >= age_max_ns;
}

void Committer::retire(const std::shared_ptr<const Generation>& generation) {
  const std::scoped_lock lock(state_mutex_);
  if (frozen_ == generation) frozen_ = nullptr;
  room_.notify_all();
}

void Committer::set_stalled(base::Status status) {
  const std::scoped_lock lock(state_mutex_);
  stalled_ = std::move(status);
  room_.notify_all();
}

void Committer::close() {
  const std::scoped_lock lock(state_mutex_);
  closed_ = true;
  room_.notify_all();
}

CommitterStats Committer::stats() const {
  const std::scoped_lock lock(state_mutex_);
  CommitterStats out = totals_;
  for (const auto* generation : {open_.get(), frozen_.get()}) {
    if (generation == nullptr) continue;
    out.head_entries += generation->entries;
    out.head_bytes += generation->bytes;
  }
  return out;
}

}  // namespace skald::store::ingest
