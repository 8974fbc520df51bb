#include "query/alert/delivery.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "proto/base/text_code.h"

namespace skald::query::alert {
namespace {

// What becomes of a batch after one exchange.
enum class Outcome : std::uint8_t { kSent, kRetry, kRefused };

Outcome outcome_of(const base::Result<net::HttpResponse>& result, std::string& error) {
  if (!result.ok()) {
    error = result.status().to_string();
    const base::Code code = result.status().code();
    return code == base::Code::kInvalidArgument ? Outcome::kRefused : Outcome::kRetry;
  }
  if (result->status / 100 == 2) return Outcome::kSent;
  error = "HTTP " + std::to_string(result->status) + ": " +
          result->body.substr(0, std::min<std::size_t>(result->body.find('\n'), 256));
  const bool again = result->status / 100 == 5 || result->status == 429 || result->status == 408;
  return again ? Outcome::kRetry : Outcome::kRefused;
}

using Steady = std::chrono::steady_clock;

}  // namespace

struct Delivery::Impl {
  DeliveryOptions options;
  std::string url;
  std::unique_ptr<net::HttpTransport> transport;
  mutable std::mutex mutex;
  std::condition_variable wake, idle;
  std::deque<DeliveryItem> queue;
  DeliveryStats stats;
  bool stopping = false, busy = false, running = false;
  std::thread thread;

  std::vector<DeliveryItem> take_batch(std::unique_lock<std::mutex>& lock) {
    wake.wait(lock, [&] { return stopping || !queue.empty(); });
    std::vector<DeliveryItem> batch;
    while (!stopping && !queue.empty() && batch.size() < options.batch_max) {
      if (options.tenant_header && !batch.empty() && queue.front().tenant != batch[0].tenant) break;
      batch.push_back(std::move(queue.front()));
      queue.pop_front();
    }
    busy = !batch.empty();
    return batch;
  }

  void loop() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      const std::vector<DeliveryItem> batch = take_batch(lock);
      if (batch.empty()) continue;
      lock.unlock();
      deliver(batch);
      lock.lock();
      busy = false;
      if (queue.empty()) idle.notify_all();
    }
    idle.notify_all();
  }

  void deliver(const std::vector<DeliveryItem>& batch) {
    const std::string body = options.encode(batch);
    const Steady::time_point start = Steady::now();
    std::int64_t backoff = options.backoff_min_ns;
    for (bool first = true;; first = false) {
      std::string error;
      const Outcome outcome = exchange(batch, body, error);
      std::unique_lock lock(mutex);
      if (!first) ++stats.retried;
      if (outcome == Outcome::kSent) {
        stats.sent += batch.size();
        stats.last_error.clear();
        return;
      }
      ++stats.failed_requests;
      if (error != stats.last_error) spdlog::warn("{}: {}", stats.name, error);
      stats.last_error = error;
      const bool out_of_time =
          options.give_up_ns > 0 && (Steady::now() - start).count() + backoff > options.give_up_ns;
      if (outcome == Outcome::kRefused || stopping || out_of_time) {
        stats.dropped += batch.size();
        return;
      }
      wake.wait_for(lock, std::chrono::nanoseconds(backoff), [&] { return stopping; });
      if (stopping) {
        stats.dropped += batch.size();
        return;
      }
      backoff = std::min(backoff * 2, options.backoff_max_ns);
    }
  }

  Outcome exchange(const std::vector<DeliveryItem>& batch, const std::string& body,
                   std::string& error) {
    net::HttpRequest request;
    request.method = "POST";
    request.url = url;
    request.headers = options.headers;
    if (options.tenant_header) request.headers.emplace_back("X-Scope-OrgID", batch[0].tenant);
    request.body = body;
    request.timeout_ns = options.target.timeout_ns;
    const Steady::time_point start = Steady::now();
    const auto result = transport->exchange(request);
    const double seconds = std::chrono::duration<double>(Steady::now() - start).count();
    const std::lock_guard lock(mutex);
    ++stats.requests;
    stats.last_seconds = seconds;
    stats.seconds_total += seconds;
    return outcome_of(result, error);
  }
};

Delivery::Delivery(DeliveryOptions options, std::unique_ptr<net::HttpTransport> transport)
    : impl_(std::make_unique<Impl>()) {
  append_credentials(options.target, options.headers);
  impl_->url = options.target.url;
  if (!options.path.empty()) {
    while (!impl_->url.empty() && impl_->url.back() == '/') impl_->url.pop_back();
    impl_->url += options.path;
  }
  impl_->stats.name = options.target.name.empty() ? impl_->url : options.target.name;
  impl_->stats.queue_max = options.queue_max;
  impl_->options = std::move(options);
  impl_->transport = std::move(transport);
}

Delivery::~Delivery() { stop(); }

void Delivery::start() {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->running || impl_->stopping) return;
  impl_->running = true;
  impl_->thread = std::thread([impl = impl_.get()] { impl->loop(); });
}

void Delivery::stop(std::int64_t drain_ns) {
  bool running = false;
  {
    const std::lock_guard lock(impl_->mutex);
    running = impl_->running;
  }
  if (drain_ns > 0 && running) flush(drain_ns);
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  impl_->transport->cancel();
  if (impl_->thread.joinable()) impl_->thread.join();
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->queue.empty())
    spdlog::warn("{}: {} items were not sent before the stop", impl_->stats.name,
                 impl_->queue.size());
  impl_->stats.dropped += impl_->queue.size();
  impl_->queue.clear();
}

void Delivery::push(std::vector<DeliveryItem> items) {
  {
    const std::lock_guard lock(impl_->mutex);
    for (DeliveryItem& item : items) {
      if (impl_->queue.size() >= impl_->options.queue_max) {
        impl_->queue.pop_front();
        ++impl_->stats.dropped;
      }
      impl_->queue.push_back(std::move(item));
    }
  }
  impl_->wake.notify_all();
}

bool Delivery::flush(std::int64_t timeout_ns) {
  std::unique_lock lock(impl_->mutex);
  return impl_->idle.wait_for(lock, std::chrono::nanoseconds(timeout_ns),
                              [&] { return impl_->queue.empty() && !impl_->busy; });
}

DeliveryStats Delivery::stats() const {
  const std::lock_guard lock(impl_->mutex);
  DeliveryStats out = impl_->stats;
  out.queued = impl_->queue.size();
  return out;
}

void append_credentials(const Target& target,
                        std::vector<std::pair<std::string, std::string>>& headers) {
  for (const auto& header : target.headers) headers.push_back(header);
  if (!target.basic_user.empty() || !target.basic_password.empty()) {
    headers.emplace_back("Authorization", "Basic " + base::base64_encode(target.basic_user + ":" +
                                                                         target.basic_password));
  } else if (!target.bearer_token.empty()) {
    headers.emplace_back("Authorization", target.authorization_type + " " + target.bearer_token);
  }
}

}  // namespace skald::query::alert
