#include "proto/net/http_lanes.h"

#include <pthread.h>

namespace skald::net {

WorkerLane::WorkerLane(Lane lane) : lane_(std::move(lane)) {
  for (unsigned i = 0; i < std::max(1U, lane_.threads); ++i) {
    threads_.emplace_back([this] { run(); });
    pthread_setname_np(threads_.back().native_handle(),
                       ("http-" + lane_.name.substr(0, 9)).c_str());
  }
}

WorkerLane::~WorkerLane() {
  close();
  join();
}

bool WorkerLane::submit(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    if (closed_ || queue_.size() >= lane_.queue_max) return false;
    queue_.push_back(std::move(job));
  }
  ready_.notify_one();
  return true;
}

std::size_t WorkerLane::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

void WorkerLane::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  ready_.notify_all();
}

void WorkerLane::join() {
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

void WorkerLane::run() {
  while (true) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return closed_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }
}

}  // namespace skald::net
