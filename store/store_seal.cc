// Seals: the head becomes parts.

#include <spdlog/spdlog.h>

#include <chrono>

#include "store/catalog/checkpoint.h"
#include "store/ingest/limits.h"
#include "store/ingest/sealer.h"
#include "store/limits.h"
#include "store/store_impl.h"

namespace skald::store {

void StoreImpl::seal_loop() {
  std::int64_t retry_at_ns = 0;
  for (;;) {
    {
      std::unique_lock lock(wake_mutex_);
      wake_.wait_for(lock, std::chrono::milliseconds(kSealPollMs), [&] {
        return stopping_.load() || committer_->wants_seal(options_.head_age_max_ns);
      });
      if (stopping_) return;
    }
    const std::int64_t now_ns = base::Clock::system().monotonic_ns();
    if (now_ns < retry_at_ns || !committer_->wants_seal(options_.head_age_max_ns)) {
      if (now_ns < retry_at_ns) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      continue;
    }
    const std::scoped_lock lock(seal_mutex_);
    base::Status status = seal_one();
    if (status.ok()) {
      committer_->set_stalled({});
      continue;
    }
    spdlog::error("store: the head could not be made a part, trying again: {}", status.to_string());
    committer_->set_stalled(std::move(status));
    retry_at_ns = now_ns + ingest::kSealRetryNs;
  }
}

// Under seal_mutex_. Takes the frozen generation, or freezes the open one.
base::Status StoreImpl::seal_one() {
  auto generation = committer_->frozen_or_freeze();
  if (generation == nullptr) return {};
  std::size_t parts_count = 0;
  std::uint64_t bytes = 0;
  const std::int64_t start_ns = base::Clock::system().monotonic_ns();
  for (auto at = generation->heads.begin(); at != generation->heads.end();) {
    auto& [tenant, head] = at->second;
    SKALD_TRY_ASSIGN(const catalog::PartList parts,
                     ingest::write_parts(fs_, layout_, *tenant, *head));
    ingest::publish_parts(*tenant, head, parts);
    parts_count += parts.size();
    for (const auto& part : parts) bytes += part->meta().file_bytes;
    at = generation->heads.erase(at);
  }
  SKALD_TRY(write_checkpoint(*generation));
  sync_index();
  const base::Status dropped = wal_->drop_through(generation->last_sequence);
  if (!dropped.ok()) spdlog::warn("store: {}", dropped.to_string());
  ++counters_.seals;
  spdlog::info("store: sealed {} entries, {} bytes of lines, into {} parts of {} bytes in {} ms",
               generation->entries, generation->line_bytes, parts_count, bytes,
               (base::Clock::system().monotonic_ns() - start_ns) / base::kNsPerMs);
  committer_->retire(generation);
  return {};
}

base::Status StoreImpl::write_checkpoint(const ingest::Generation& generation) {
  catalog::Checkpoint checkpoint;
  checkpoint.sealed_through = generation.last_sequence;
  checkpoint.hash_seed = hash_seed_;
  checkpoint.marks = generation.marks;
  checkpoint.recent = generation.recent;
  SKALD_TRY(base::write_file_atomically(fs_, layout_.checkpoint_file(),
                                        catalog::encode_checkpoint(checkpoint)));
  sealed_through_ = generation.last_sequence;
  return {};
}

base::Status StoreImpl::flush() {
  const std::scoped_lock lock(seal_mutex_);
  // What was frozen before, and what is open now.
  SKALD_TRY(seal_one());
  return seal_one();
}

}  // namespace skald::store
