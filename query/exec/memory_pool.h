#pragma once
// What all queries of a process hold together: those that run, and their answers while they are
// sent. A query takes a share that grows as it does and goes with its answer.
//
// The last part of the pool is for queries that hold little, so that they are answered while greedy
// ones fill the rest. Nobody waits: whoever waited would hold what others wait for.
//
// Threads: every call is safe from any thread; a share is grown by several workers at once.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace skald::query {

class MemoryPool {
 public:
  class Share;

  explicit MemoryPool(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  std::uint64_t bytes_max() const noexcept { return bytes_max_; }
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  // Shares that were refused more: their queries failed, or try again with another.
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  const std::uint64_t bytes_max_;
  std::mutex mutex_;  // of what changes it; metrics only look
  std::atomic<std::uint64_t> bytes_{0}, refused_{0};
};

// Of one query. What it has taken it keeps until shrink(): freed memory is not at once another's.
class MemoryPool::Share {
 public:
  // Without a pool there is no bound.
  explicit Share(std::shared_ptr<MemoryPool> pool) : pool_(std::move(pool)) {}
  ~Share() { shrink(0); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  // Has at least so many bytes from now on; false: the pool has no more, and this query fails.
  bool cover(std::uint64_t bytes) noexcept {
    return pool_ == nullptr || bytes <= bytes_.load(std::memory_order_relaxed) || grow(bytes);
  }
  // Has no more than so many bytes.
  void shrink(std::uint64_t bytes) noexcept;
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  bool was_refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  bool grow(std::uint64_t bytes) noexcept;

  const std::shared_ptr<MemoryPool> pool_;
  std::atomic<std::uint64_t> bytes_{0};  // changed under the pool's mutex
  std::atomic<bool> refused_{false};
};

}  // namespace skald::query
