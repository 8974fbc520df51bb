#pragma once
// The worker pools behind the HTTP server. Each lane has its own threads and bounded queue.

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "proto/net/http_server.h"

namespace skald::net {

class WorkerLane {
 public:
  explicit WorkerLane(Lane lane);
  ~WorkerLane();  // close() and wait

  bool submit(std::function<void()> job);  // false: the queue is full or closed
  std::size_t queued() const;
  void close();  // no more jobs are taken; those queued still run
  void join();

 private:
  void run();
  const Lane lane_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> queue_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace skald::net
