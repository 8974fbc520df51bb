#include "query/exec/memory_pool.h"

#include <algorithm>

#include "query/exec/limits.h"

namespace skald::query {

bool MemoryPool::Share::grow(std::uint64_t bytes) noexcept {
  const std::lock_guard lock(pool_->mutex_);
  const std::uint64_t own = bytes_.load(std::memory_order_relaxed);
  if (bytes <= own) return true;
  const std::uint64_t others = pool_->bytes_.load(std::memory_order_relaxed) - own;
  const std::uint64_t max = pool_->bytes_max_;
  const std::uint64_t open =
      bytes <= kSmallShareBytes ? max : max - std::min(max, std::max(max / 8, kSmallShareBytes));
  const std::uint64_t room = open - std::min(open, others);
  if (bytes > room) {
    if (!refused_.exchange(true, std::memory_order_relaxed))
      pool_->refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  // In steps, so that small charges seldom come here.
  const std::uint64_t taken = std::min(room, bytes + kShareStepBytes);
  bytes_.store(taken, std::memory_order_relaxed);
  pool_->bytes_.store(others + taken, std::memory_order_relaxed);
  return true;
}

void MemoryPool::Share::shrink(std::uint64_t bytes) noexcept {
  if (pool_ == nullptr) return;
  const std::lock_guard lock(pool_->mutex_);
  const std::uint64_t own = bytes_.load(std::memory_order_relaxed);
  if (own <= bytes) return;
  bytes_.store(bytes, std::memory_order_relaxed);
  pool_->bytes_.fetch_sub(own - bytes, std::memory_order_relaxed);
}

}  // namespace skald::query
