#include "query/alert/recorder.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "proto/model/push.h"
#include "query/alert/encode.h"
#include "query/alert/limits.h"

namespace skald::query::alert {
namespace {

struct Line {
  std::string tenant, name, text;
  std::int64_t timestamp_ns = 0;
};

model::PushBatch batch_of(const std::vector<const Line*>& lines) {
  std::map<std::string_view, model::PushStream> streams;
  for (const Line* line : lines) {
    model::PushStream& stream = streams[line->name];
    if (stream.entries.empty()) stream.labels = model::Labels{{"__name__", line->name}};
    stream.entries.push_back({line->timestamp_ns, line->text, nullptr});
  }
  model::PushBatch batch;
  for (auto& [name, stream] : streams) batch.streams.push_back(std::move(stream));
  return batch;
}

}  // namespace

struct Recorder::Impl {
  store::Store& store;
  mutable std::mutex mutex;
  std::condition_variable wake, idle;
  std::deque<Line> queue;
  RecorderStats stats;
  bool stopping = false, busy = false;
  std::thread thread;

  explicit Impl(store::Store& s) : store(s) {}

  void loop() {
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [&] { return stopping || !queue.empty(); });
      if (queue.empty()) break;
      const std::deque<Line> lines = std::move(queue);
      queue.clear();
      busy = true;
      lock.unlock();
      append(lines);
      lock.lock();
      busy = false;
      if (queue.empty()) idle.notify_all();
    }
  }

  void append(const std::deque<Line>& lines) {
    std::map<std::string_view, std::vector<const Line*>> by_tenant;
    for (const Line& line : lines) by_tenant[line.tenant].push_back(&line);
    for (const auto& [tenant, some] : by_tenant) {
      const auto appended = store.append(tenant, batch_of(some));
      if (!appended.ok())
        spdlog::warn("recorded series of tenant {}: {}", tenant, appended.status().message());
      const std::lock_guard lock(mutex);
      if (appended.ok())
        stats.stored += some.size();
      else
        ++stats.failures;
    }
  }
};

Recorder::Recorder(store::Store& store) : impl_(std::make_unique<Impl>(store)) {}
Recorder::~Recorder() { stop(); }

void Recorder::start() {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->thread.joinable() || impl_->stopping) return;
  impl_->thread = std::thread([impl = impl_.get()] { impl->loop(); });
}

void Recorder::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void Recorder::push(const std::string& tenant, const std::vector<RecordedSample>& samples) {
  {
    const std::lock_guard lock(impl_->mutex);
    for (const RecordedSample& sample : samples) {
      if (sample.alert_series || sample.stale) continue;
      if (impl_->queue.size() >= kWriteQueueMax) {
        impl_->queue.pop_front();
        ++impl_->stats.dropped;
      }
      impl_->queue.push_back({tenant, std::string(sample.labels.get("__name__")),
                              recorded_line(sample), sample.timestamp_ms * base::kNsPerMs});
    }
  }
  impl_->wake.notify_all();
}

bool Recorder::flush(std::int64_t timeout_ns) {
  std::unique_lock lock(impl_->mutex);
  return impl_->idle.wait_for(lock, std::chrono::nanoseconds(timeout_ns),
                              [&] { return impl_->queue.empty() && !impl_->busy; });
}

RecorderStats Recorder::stats() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->stats;
}

}  // namespace skald::query::alert
