#pragma once
// Sends items to one target over HTTP: a bounded queue, a thread, batches, retries with back-off.
// The notifier and the remote writer are two encodings over it.
//
// Threads: push() never blocks and is safe from any thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/net/http_client.h"
#include "query/alert/ruler.h"

namespace skald::query::alert {

struct DeliveryItem {
  std::string tenant;
  std::string bytes;  // one encoded alert or series
};

struct DeliveryOptions {
  Target target;
  std::string path;  // appended to target.url
  std::vector<std::pair<std::string, std::string>> headers;
  bool tenant_header = false;      // X-Scope-OrgID; then a batch holds one tenant's items
  std::size_t queue_max = 10'000;  // items; the oldest go first
  std::size_t batch_max = 256;
  std::int64_t give_up_ns = 0;  // a batch is dropped after trying for this long; 0: never
  std::int64_t backoff_min_ns = 100 * base::kNsPerMs;
  std::int64_t backoff_max_ns = 5 * base::kNsPerSecond;
  std::function<std::string(const std::vector<DeliveryItem>&)> encode;
};

struct DeliveryStats {
  std::string name;
  std::uint64_t sent = 0, dropped = 0, failed_requests = 0, retried = 0;  // items, items, requests
  std::size_t queued = 0, queue_max = 0;
  double last_seconds = 0, seconds_total = 0;
  std::uint64_t requests = 0;
  std::string last_error;
};

class Delivery {
 public:
  Delivery(DeliveryOptions options, std::unique_ptr<net::HttpTransport> transport);
  ~Delivery();  // stops
  void start();
  // Goes on sending for at most `drain_ns`, then ends the exchange under way. What could not be
  // sent is counted as dropped, and logged.
  void stop(std::int64_t drain_ns = 0);
  void push(std::vector<DeliveryItem> items);
  bool flush(std::int64_t timeout_ns);  // false: not empty in time
  DeliveryStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The request headers of a target's credentials.
void append_credentials(const Target& target,
                        std::vector<std::pair<std::string, std::string>>& headers);

}  // namespace skald::query::alert
