#pragma once
// Sends one client's sealed batches, in order per tenant, until each is answered for good. One
// thread per client, so that a dead server holds up nobody else.
//
//   answer                      what happens
//   2xx                         acknowledged
//   409 (Skald)                 the store's marks differ: all waiting batches of the tenant are
//   given
//                               back with the store's marks; the owner reads again from there
//   429, 5xx, 408, no answer    tried again, the delay doubling with jitter, Retry-After honoured;
//                               for ever: the files keep what is unread
//   413, 400 about size         split in two and sent again
//   other                       dropped, counted by reason, logged with the server's text; Skald is
//                               told that its bytes are settled, so that what follows is adjacent
//
// At start it asks for the store's marks: 200 is Skald (zstd, marks), 404 and its like a Loki
// (snappy, at least once).
//
// Threads: enqueue(), has_room(), full_tenants(), take_events(), counters and stop() from any;
// step() from one.

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "agent/batch/batch.h"
#include "agent/ship/limits.h"
#include "proto/base/clock.h"
#include "proto/net/http_client.h"

namespace skald::agent {

struct SenderOptions {
  std::string name;  // in logs
  std::string url;   // full push path
  std::int64_t timeout_ns = 10'000'000'000;
  std::int64_t backoff_min_ns = 500'000'000;
  std::int64_t backoff_max_ns = 300'000'000'000;
  bool drop_rate_limited = false;
  std::vector<std::pair<std::string, std::string>> headers;
  // The Authorization header's value; asked per request, as secret files change. May be empty.
  std::function<base::Result<std::string>()> authorization;
  bool follow_redirects = true;
  std::string agent_id;
  std::uint64_t random_seed = 1;
};

struct StoredMark {
  std::string file_id;
  std::uint64_t end = 0;
};

struct SenderEvent {
  enum class Kind : unsigned char {
    kReady,         // whom we talk to: `is_skald`, `marks` by tenant. A second time: it is no
                    // longer Skald, and the batches `numbers` were given up
    kAcknowledged,  // numbers[0]
    kDropped,       // numbers[0]: never to be stored
    kConflict,      // `numbers` of `tenant` were given up; `marks` holds that tenant's
  };
  Kind kind = Kind::kReady;
  std::vector<std::uint64_t> numbers;
  std::string tenant;
  bool is_skald = false;
  std::map<std::string, std::vector<StoredMark>> marks;
};

// What Promtail's metrics count, per host and tenant where that matters.
struct SenderCounters {
  struct Dropped {
    std::uint64_t entries = 0, bytes = 0;
  };
  std::string host;
  std::uint64_t encoded_bytes = 0, sent_bytes = 0, sent_entries = 0;
  std::map<std::pair<std::string, std::string>, Dropped> dropped;  // tenant, reason
  std::map<std::string, std::uint64_t> retries;                    // tenant
  static constexpr std::array<double, 11> kBounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                     0.5,   1,    2.5,   5,    10};
  struct Durations {
    std::array<std::uint64_t, kBounds.size()> buckets{};
    std::uint64_t count = 0;
    double sum_seconds = 0;
  };
  std::map<std::string, Durations> durations;  // status code, "-1" without an answer
  std::size_t queue_batches = 0, queue_bytes = 0;
};

class Sender {
 public:
  using Log = std::function<void(bool is_error, const std::string& message)>;
  // `notify` is called from the sending thread when events wait.
  Sender(SenderOptions options, std::unique_ptr<net::HttpTransport> transport,
         const base::Clock& clock, std::function<void()> notify, Log log);
  ~Sender();

  // The tenants whose marks to ask for before anything is sent, and whether there may be more.
  void start(std::vector<std::string> tenants, bool several_tenants = false);
  bool has_room() const;
  // Tenants for which nothing more is to be enqueued now, though others may go on.
  std::vector<std::string> full_tenants() const;
  void enqueue(SealedBatch batch);
  bool idle() const;  // nothing waits and nothing is under way
  std::vector<SenderEvent> take_events();

  // Does the next thing that is due. Returns how long nothing will be due: 0 if more is, int64
  // max if nothing waits.
  std::int64_t step();
  // The thread's body: step() until stop().
  void run();
  // Ends run(); an exchange under way is cut off.
  void stop();
  // Ends every wait for a retry: the server may be back.
  void retry_now();

  SenderCounters counters() const;

 private:
  struct TenantState {
    int failures = 0;
    std::int64_t not_before_ns = 0;
  };
  enum class Verdict : unsigned char { kDone, kRetry, kDrop, kSplit, kConflict, kNotSkald };

  base::Result<net::HttpResponse> send(const std::string& method, const std::string& url,
                                       const std::string& tenant, const SealedBatch* batch);
  void probe();
  bool ask_marks(const std::string& tenant, std::vector<StoredMark>& out, bool& is_skald);
  void deliver(SealedBatch& batch);
  Verdict judge(const base::Result<net::HttpResponse>& response, const SealedBatch& batch) const;
  void retry(SealedBatch& batch, const base::Result<net::HttpResponse>& response);
  void drop(SealedBatch& batch, const base::Result<net::HttpResponse>& response);
  void split(SealedBatch& batch, const base::Result<net::HttpResponse>& response);
  void conflict(SealedBatch& batch);
  void not_skald(SealedBatch& batch);
  void finish(SealedBatch& batch, SenderEvent::Kind kind);
  std::int64_t backoff_ns(int failures);
  void post(SenderEvent event);
  std::string marks_url(const std::string& tenant) const;

  const SenderOptions options_;
  const std::unique_ptr<net::HttpTransport> transport_;
  const base::Clock& clock_;
  const std::function<void()> notify_;
  const Log log_;
  std::mt19937_64 random_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<SealedBatch> queue_;
  std::size_t queue_bytes_ = 0;
  std::map<std::string, std::size_t> tenant_bytes_;
  std::map<std::string, TenantState> tenants_;
  std::vector<SenderEvent> events_;
  std::vector<std::string> asked_tenants_;
  SenderCounters counters_;
  std::uint64_t changes_ = 0;  // of anything run() may wait for
  bool several_tenants_ = false;
  bool started_ = false, ready_ = false, is_skald_ = false, stopped_ = false, busy_ = false;
  int probe_failures_ = 0, probe_refusals_ = 0;
  std::int64_t probe_not_before_ns_ = 0;
};

// {base}/skald/v1/marks for a push URL {base}/loki/api/v1/push.
std::string marks_url_of(std::string_view push_url);
// [{"file_id":"...","end_offset":1},...]; numbers may be strings.
base::Result<std::vector<StoredMark>> parse_marks(std::string_view json);

}  // namespace skald::agent
