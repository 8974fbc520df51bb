#pragma once
// What all parts of one running query share: its bounds and its counters. Thread-safe.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>

#include "proto/base/clock.h"
#include "proto/base/status.h"
#include "query/exec/engine.h"
#include "query/exec/limits.h"
#include "store/scan.h"

namespace skald::query {

class RangeSource;

class QueryContext final : public store::ScanMemory {
 public:
  QueryContext(const QueryRequest& query, const EngineOptions& engine_options,
               const base::Clock& query_clock)
      : request(query),
        options(engine_options),
        clock(query_clock),
        now_ns(query_clock.wall_ns()),
        deadline_ns(query_clock.monotonic_ns() + query.timeout_ns),
        share_(std::make_shared<MemoryPool::Share>(engine_options.memory_pool)) {}
  // Of the same query, which goes on later.
  QueryContext(const QueryRequest& query, const EngineOptions& engine_options,
               const base::Clock& query_clock, std::int64_t query_now_ns)
      : request(query),
        options(engine_options),
        clock(query_clock),
        now_ns(query_now_ns),
        deadline_ns(query_clock.monotonic_ns() + query.timeout_ns),
        share_(std::make_shared<MemoryPool::Share>(engine_options.memory_pool)) {}

  // Memory that the query holds from now on. False, and from then on check() fails: too much.
  bool charge(std::uint64_t bytes) noexcept {
    const auto size = static_cast<std::int64_t>(bytes);
    const std::int64_t held = memory_.fetch_add(size, std::memory_order_relaxed) + size;
    if (held > static_cast<std::int64_t>(kLargeBytes) && !was_large())
      large_.store(true, std::memory_order_relaxed);
    if (held <= 0) return true;
    if (static_cast<std::uint64_t>(held) <= options.memory_max)
      return share_->cover(static_cast<std::uint64_t>(held));
    refused_.store(true, std::memory_order_relaxed);
    return false;
  }
  bool take(std::uint64_t bytes) noexcept override {
    if (charge(bytes)) return true;
    release(bytes);
    return false;
  }
  void give_back(std::uint64_t bytes) noexcept override { release(bytes); }
  void release(std::uint64_t bytes) noexcept {
    memory_.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }
  // Processor time of rows beyond their due; check() fails once it is too much.
  void overtime(std::int64_t cpu_ns) noexcept {
    if (overtime_ns_.fetch_add(cpu_ns, std::memory_order_relaxed) + cpu_ns > kOvertimeMaxNs)
      overworked_.store(true, std::memory_order_relaxed);
  }
  std::uint64_t held_bytes() const noexcept {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(memory_.load(), 0));
  }
  // What it still holds of the memory of all queries, for what outlives it. It takes no more.
  std::shared_ptr<const void> keep_share() {
    share_->shrink(held_bytes());
    return share_;
  }
  bool was_large() const noexcept { return large_.load(std::memory_order_relaxed); }
  base::Status check_memory() const {
    if (refused_.load(std::memory_order_relaxed))
      return base::resource_exhausted(
          "the query needs more than its " + std::to_string(options.memory_max >> 20) +
          " MiB of memory; select fewer streams, a shorter range, a larger step or fewer groups");
    if (share_->was_refused())
      return base::unavailable(
          "all queries together need more than the " +
          std::to_string(options.memory_pool->bytes_max() >> 20) +
          " MiB of querier.total_memory_max; try again when others are done, or select less");
    return {};
  }
  base::Status check_work() const {
    if (overworked_.load(std::memory_order_relaxed))
      return base::resource_exhausted(
          "the stages of the query take too long: more than " +
          std::to_string(kRowCpuNs / base::kNsPerUs) + " us a line and " +
          std::to_string(kByteCpuNs) + " ns a byte, and " +
          std::to_string(kOvertimeMaxNs / base::kNsPerMs) +
          " ms beyond that in all; use fewer stages, or simpler templates and regular expressions");
    return {};
  }
  // Not OK: over the memory budget, too much work, out of time, or cancelled.
  base::Status check() {
    SKALD_TRY(check_memory());
    SKALD_TRY(check_work());
    if (request.abandoned()) return base::cancelled("the query was cancelled");
    if (request.timeout_ns > 0 && clock.monotonic_ns() > deadline_ns)
      return base::deadline_exceeded("the query ran into its deadline of " +
                                     std::to_string(request.timeout_ns / base::kNsPerMs) + " ms");
    return {};
  }

  const QueryRequest& request;
  const EngineOptions& options;
  const base::Clock& clock;
  const std::int64_t now_ns;  // of templates
  const std::int64_t deadline_ns;
  RangeSource* ranges = nullptr;  // null: every range aggregation scans for itself

  std::atomic<std::uint64_t> lines{0}, line_bytes{0}, lines_kept{0};

 private:
  const std::shared_ptr<MemoryPool::Share> share_;
  // Estimates: a series that grew a label gives back a little more than it took.
  std::atomic<std::int64_t> memory_{0};
  std::atomic<bool> refused_{false}, large_{false}, overworked_{false};
  std::atomic<std::int64_t> overtime_ns_{0};
};

}  // namespace skald::query
