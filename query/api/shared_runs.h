#pragma once
// Equal queries that run at once are run once: dashboards of many people ask the same at the same
// time. The answer is held once, by all who send it.
//
// Nobody gets an older answer than a run of its own would have given: who comes after an append or
// a delete does not join the run under way, but the next, which begins when that one is done; it
// has whoever came meanwhile. A client that leaves, or whose time is over, stops only itself: the
// run goes on for the others. They share answers, and errors that they would all have got; when a
// run fails for want of time or was cancelled, one of the others runs again in its own time.
//
// Threads: every call is safe from any thread.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "query/exec/engine.h"

namespace skald::query::api {

class SharedRuns {
 public:
  using Answer = base::Result<std::shared_ptr<const QueryResult>>;
  using Run = std::function<base::Result<QueryResult>(const QueryRequest&)>;

  // `normal`: the query's text in normal form; equal ones ask the same. `shared` says whether the
  // answer is another's.
  Answer run(const QueryRequest& request, const std::string& normal, const Run& run, bool& shared);

  // Data came or went: called before that is acknowledged.
  void on_change() noexcept { generation_.fetch_add(1); }
  std::uint32_t waiting() const;  // clients that wait for another's run
  std::uint64_t shared() const noexcept { return shared_.load(std::memory_order_relaxed); }
  // Of answers that are being sent, as their queries were charged.
  std::uint64_t answers_bytes() const noexcept { return answers_bytes_->load(); }

 private:
  struct Flight;
  struct Lane {
    std::shared_ptr<Flight> running, next;
  };
  std::shared_ptr<Flight> board(const std::string& key);
  Answer lead(Flight& flight, const std::string& key, const QueryRequest& request, const Run& run,
              std::unique_lock<std::mutex>& lock);
  std::shared_ptr<const QueryResult> held(QueryResult result) const;
  void leave(Flight& flight, const std::string& key);
  void land(const Flight& flight, const std::string& key);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, Lane> lanes_;
  std::atomic<std::uint64_t> generation_{0}, shared_{0};
  // Answers may outlive this.
  std::shared_ptr<std::atomic<std::uint64_t>> answers_bytes_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace skald::query::api
