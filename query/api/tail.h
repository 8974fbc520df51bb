#pragma once
// Live tail: what was appended goes, through the query's pipeline, to WebSockets.
//
// Appends hand matching lines to a tail's inbox (bounded: beyond it lines are dropped and named in
// `dropped_entries`); one thread runs the pipelines and sends. A tail is registered before its
// backlog is read, so that nothing falls between the two; what is in both is sent once.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "proto/base/clock.h"
#include "proto/model/push.h"
#include "proto/net/http_server.h"

namespace skald::query::api {

struct Tailer;

class TailHub {
 public:
  explicit TailHub(const base::Clock& clock);
  ~TailHub();

  // The store's append listener: copies what some tail wants, returns at once.
  void on_append(std::string_view tenant, const model::PushBatch& batch);

  void add(const std::shared_ptr<Tailer>& tailer);
  void remove(const std::shared_ptr<Tailer>& tailer);
  void wake();
  std::size_t count(std::string_view tenant) const;
  void stop();  // closes all tails

 private:
  void run();
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  bool woken_ = false, stopping_ = false;
  std::vector<std::shared_ptr<Tailer>> tailers_;
  std::atomic<std::size_t> count_{0};
  std::thread thread_;
};

}  // namespace skald::query::api
