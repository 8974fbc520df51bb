#include "agent/ship/sender.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>

#include "proto/wire/push_encoder.h"

namespace skald::agent {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

std::string error_text(const base::Result<net::HttpResponse>& response) {
  if (!response.ok()) return response.status().to_string();
  std::string text = "HTTP " + std::to_string(response->status);
  if (!response->body.empty()) text += ": " + response->body.substr(0, kErrorTextMax);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::int64_t retry_after_ns(const net::HttpResponse& response) {
  const std::string_view text = response.header("retry-after");
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0) return 0;
  return std::min(seconds, kRetryAfterMaxNs / base::kNsPerSecond) * base::kNsPerSecond;
}

bool is_about_size(std::string_view text) {
  for (const std::string_view sign : {"too large", "too big", "larger than max", "message larger"})
    if (text.find(sign) != std::string_view::npos) return true;
  return false;
}

std::string host_of(const std::string& url) {
  auto parts = net::parse_http_url(url);
  return parts.ok() ? parts->authority() : url;
}

}  // namespace

std::string marks_url_of(std::string_view push_url) {
  const std::size_t query = push_url.find('?');
  std::string_view base = push_url.substr(0, query);
  if (base.ends_with(wire::kPushPath))
    base.remove_suffix(wire::kPushPath.size());
  else if (const std::size_t scheme = base.find("://"); scheme != std::string_view::npos)
    base = base.substr(0, base.find('/', scheme + 3));
  return std::string(base) + "/skald/v1/marks";
}

Sender::Sender(SenderOptions options, std::unique_ptr<net::HttpTransport> transport,
               const base::Clock& clock, std::function<void()> notify, Log log)
    : options_(std::move(options)),
      transport_(std::move(transport)),
      clock_(clock),
      notify_(std::move(notify)),
      log_(std::move(log)),
      random_(options_.random_seed) {
  counters_.host = host_of(options_.url);
}

Sender::~Sender() = default;

void Sender::start(std::vector<std::string> tenants, bool several_tenants) {
  const std::lock_guard lock(mutex_);
  several_tenants_ = several_tenants || tenants.size() > 1;
  asked_tenants_ = std::move(tenants);
  started_ = true;
  ++changes_;
  wake_.notify_all();
}

bool Sender::has_room() const {
  const std::lock_guard lock(mutex_);
  const std::size_t bytes_max = several_tenants_ ? kTenantsQueueBytesMax : kQueueBytesMax;
  return queue_bytes_ < bytes_max && queue_.size() < kQueueBatchesMax;
}

std::vector<std::string> Sender::full_tenants() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> full;
  if (!several_tenants_) return full;  // has_room() says it all
  for (const auto& [tenant, bytes] : tenant_bytes_) {
    const auto state = tenants_.find(tenant);
    const bool failing = state != tenants_.end() && state->second.failures > 0;
    if (bytes > 0 && (failing || bytes >= kTenantQueueBytesMax)) full.push_back(tenant);
  }
  return full;
}

void Sender::enqueue(SealedBatch batch) {
  const std::lock_guard lock(mutex_);
  queue_bytes_ += batch.body.size();
  tenant_bytes_[batch.tenant] += batch.body.size();
  counters_.encoded_bytes += batch.body.size();
  queue_.push_back(std::move(batch));
  ++changes_;
  wake_.notify_all();
}

bool Sender::idle() const {
  const std::lock_guard lock(mutex_);
  return queue_.empty() && !busy_;
}

std::vector<SenderEvent> Sender::take_events() {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

void Sender::post(SenderEvent event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  notify_();
}

std::int64_t Sender::backoff_ns(int failures) {
  std::int64_t delay = std::max<std::int64_t>(options_.backoff_min_ns, base::kNsPerMs);
  for (int i = 1; i < failures && delay < options_.backoff_max_ns; ++i) delay *= 2;
  delay = std::min(delay, std::max(options_.backoff_max_ns, base::kNsPerMs));
  return delay + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(delay));
}

base::Result<net::HttpResponse> Sender::send(const std::string& method, const std::string& url,
                                             const std::string& tenant, const SealedBatch* batch) {
  net::HttpRequest request;
  request.method = method;
  request.url = url;
  request.timeout_ns = options_.timeout_ns;
  if (!tenant.empty()) request.headers.emplace_back("X-Scope-OrgID", tenant);
  if (batch != nullptr) {
    request.body = batch->body;
    request.headers.emplace_back("Content-Type", wire::kProtobufType);
    // Loki takes snappy for granted; naming it would make it look for a framed stream.
    if (batch->encoding == Encoding::kZstd)
      request.headers.emplace_back("Content-Encoding", wire::kZstdEncoding);
  }
  for (const auto& extra : options_.headers) {
    const bool taken = std::any_of(request.headers.begin(), request.headers.end(),
                                   [&](const auto& header) { return header.first == extra.first; });
    if (!taken) request.headers.push_back(extra);
  }
  if (options_.authorization) {
    SKALD_TRY_ASSIGN(std::string value, options_.authorization());
    if (!value.empty()) request.headers.emplace_back("Authorization", std::move(value));
  }
  const std::int64_t start_ns = clock_.monotonic_ns();
  auto response = transport_->exchange(request);
  for (int hop = 0; hop < kRedirectsMax && options_.follow_redirects && response.ok() &&
                    (response->status == 307 || response->status == 308);
       ++hop) {
    std::string location(response->header("location"));
    if (!location.starts_with("http")) break;
    // Credentials are for the configured host only.
    if (host_of(location) != counters_.host)
      std::erase_if(request.headers, [](const auto& h) { return h.first == "Authorization"; });
    request.url = std::move(location);
    response = transport_->exchange(request);
  }
  const double seconds = static_cast<double>(clock_.monotonic_ns() - start_ns) / 1e9;
  const std::lock_guard lock(mutex_);
  auto& durations =
      counters_.durations[response.ok() ? std::to_string(response->status) : std::string("-1")];
  ++durations.count;
  durations.sum_seconds += seconds;
  for (std::size_t i = 0; i < SenderCounters::kBounds.size(); ++i)
    if (seconds <= SenderCounters::kBounds[i]) ++durations.buckets[i];
  return response;
}

// True: the question was answered, `is_skald` says by whom.
bool Sender::ask_marks(const std::string& tenant, std::vector<StoredMark>& out, bool& is_skald) {
  const std::string url =
      marks_url_of(options_.url) + "?agent=" + net::percent_encode(options_.agent_id);
  const auto response = send("GET", url, tenant, nullptr);
  const bool answered =
      response.ok() && response->status < 500 && response->status != 429 && response->status != 408;
  if (answered && response->status == 200) {
    auto marks = parse_marks(response->body);
    is_skald = marks.ok();  // else: some other server that has a page for every path
    if (marks.ok()) out = std::move(marks).value();
    return true;
  }
  is_skald = false;
  const bool refused = answered && (response->status == 401 || response->status == 403);
  // A proxy may refuse paths it does not know. Wrong credentials look the same; they will show at
  // the first push.
  if (answered && (!refused || ++probe_refusals_ >= 3)) return true;
  log_(true, options_.name + ": " + url + ": " + error_text(response) + "; asking again");
  return false;
}

void Sender::probe() {
  std::vector<std::string> tenants;
  {
    const std::lock_guard lock(mutex_);
    tenants = asked_tenants_;
  }
  SenderEvent event;
  event.kind = SenderEvent::Kind::kReady;
  for (const std::string& tenant : tenants) {
    bool is_skald = false;
    if (!ask_marks(tenant, event.marks[tenant], is_skald)) {
      probe_not_before_ns_ = clock_.monotonic_ns() + backoff_ns(++probe_failures_);
      return;
    }
    event.is_skald = event.is_skald || is_skald;
    if (!event.is_skald) break;
  }
  log_(false, options_.name + ": " + options_.url + " is " +
                  (event.is_skald ? "Skald: exactly once" : "not Skald: at least once, as Loki"));
  {
    const std::lock_guard lock(mutex_);
    ready_ = true;
    is_skald_ = event.is_skald;
  }
  post(std::move(event));
}

std::int64_t Sender::step() {
  std::unique_lock lock(mutex_);
  if (stopped_ || !started_) return kNever;
  const std::int64_t now = clock_.monotonic_ns();
  if (!ready_) {
    if (probe_not_before_ns_ > now) return probe_not_before_ns_ - now;
    lock.unlock();
    probe();
    return 0;
  }
  std::int64_t wait_ns = kNever;
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    const std::string& tenant = queue_[i].tenant;
    bool first_of_tenant = true;
    for (std::size_t j = 0; j < i; ++j) first_of_tenant &= queue_[j].tenant != tenant;
    if (!first_of_tenant) continue;
    const std::int64_t not_before_ns = tenants_[tenant].not_before_ns;
    if (not_before_ns > now) {
      wait_ns = std::min(wait_ns, not_before_ns - now);
      continue;
    }
    SealedBatch batch = std::move(queue_[i]);
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
    busy_ = true;
    lock.unlock();
    deliver(batch);
    lock.lock();
    busy_ = false;
    return 0;
  }
  return wait_ns;
}

Sender::Verdict Sender::judge(const base::Result<net::HttpResponse>& response,
                              const SealedBatch& batch) const {
  if (!response.ok()) return Verdict::kRetry;
  const int status = response->status;
  if (status >= 200 && status < 300) return Verdict::kDone;
  if (status == 409 && is_skald_) return Verdict::kConflict;
  if (status == 429) return options_.drop_rate_limited ? Verdict::kDrop : Verdict::kRetry;
  if (status >= 500 || status == 408) return Verdict::kRetry;
  const bool about_size = status == 413 || (status == 400 && is_about_size(response->body));
  if (about_size && batch.entries > 1) return Verdict::kSplit;
  // Skald was replaced by a Loki, which answers 400 to zstd.
  if ((status == 400 || status == 415) && batch.encoding == Encoding::kZstd && !about_size)
    return Verdict::kNotSkald;
  return Verdict::kDrop;
}

void Sender::deliver(SealedBatch& batch) {
  const auto response = send("POST", options_.url, batch.tenant, &batch);
  switch (judge(response, batch)) {
    case Verdict::kDone: {
      {
        const std::lock_guard lock(mutex_);
        tenants_[batch.tenant] = {};
        counters_.sent_bytes += batch.body.size();
        counters_.sent_entries += batch.entries;
      }
      return finish(batch, SenderEvent::Kind::kAcknowledged);
    }
    case Verdict::kRetry: return retry(batch, response);
    case Verdict::kDrop: return drop(batch, response);
    case Verdict::kSplit: return split(batch, response);
    case Verdict::kConflict: return conflict(batch);
    case Verdict::kNotSkald: {
      std::vector<StoredMark> marks;
      bool is_skald = true;
      if (!ask_marks(batch.tenant, marks, is_skald)) return retry(batch, response);
      return is_skald ? drop(batch, response) : not_skald(batch);
    }
  }
}

// The batch has its answer; half-batches (no spans) have none to report.
void Sender::finish(SealedBatch& batch, SenderEvent::Kind kind) {
  {
    const std::lock_guard lock(mutex_);
    queue_bytes_ -= batch.body.size();
    tenant_bytes_[batch.tenant] -= batch.body.size();
    if (batch.spans.empty() && kind == SenderEvent::Kind::kAcknowledged) return;
  }
  SenderEvent event;
  event.kind = kind;
  event.tenant = batch.tenant;
  event.numbers = {batch.number};
  post(std::move(event));
}

void Sender::retry(SealedBatch& batch, const base::Result<net::HttpResponse>& response) {
  if (!response.ok() && response.status().code() == base::Code::kInvalidArgument) {
    // URL or TLS files: nothing will change by itself, but the files may be repaired.
    log_(true, options_.name + ": " + error_text(response));
  }
  std::int64_t delay_ns = 0;
  int failures = 0;
  {
    const std::lock_guard lock(mutex_);
    TenantState& tenant = tenants_[batch.tenant];
    failures = ++tenant.failures;
    delay_ns = backoff_ns(failures);
    if (response.ok()) delay_ns = std::max(delay_ns, retry_after_ns(*response));
    tenant.not_before_ns = clock_.monotonic_ns() + delay_ns;
    ++counters_.retries[batch.tenant];
    queue_.push_front(std::move(batch));
  }
  if (failures == 1) notify_();  // full_tenants() changed
  // The first failure and then each doubling: an hour's outage is a dozen lines.
  if ((failures & (failures - 1)) == 0)
    log_(true, options_.name + ": push failed " + std::to_string(failures) +
                   " times: " + error_text(response) + "; trying again in " +
                   std::to_string(delay_ns / base::kNsPerMs) + " ms, nothing is lost meanwhile");
}

void Sender::drop(SealedBatch& batch, const base::Result<net::HttpResponse>& response) {
  const bool limited = response.ok() && response->status == 429;
  const std::string reason = limited ? "rate_limited" : "ingester_error";
  log_(true, options_.name + ": " + std::to_string(batch.entries) + " entries dropped (" + reason +
                 "): " + error_text(response));
  const bool settles_marks = is_skald_ && batch.entries > 0 && !batch.marks.empty();
  {
    const std::lock_guard lock(mutex_);
    auto& dropped = counters_.dropped[{batch.tenant, reason}];
    dropped.entries += batch.entries;
    dropped.bytes += batch.line_bytes;
  }
  if (settles_marks) {
    if (auto bare = without_entries(batch); bare.ok()) {
      const std::lock_guard lock(mutex_);
      queue_bytes_ += bare->body.size() - batch.body.size();
      tenant_bytes_[batch.tenant] += bare->body.size() - batch.body.size();
      queue_.push_front(std::move(bare).value());
      return;
    }
  }
  finish(batch, SenderEvent::Kind::kDropped);
}

void Sender::split(SealedBatch& batch, const base::Result<net::HttpResponse>& response) {
  auto halves = split_batch(batch);
  if (!halves.ok()) return drop(batch, response);
  const std::lock_guard lock(mutex_);
  const std::size_t grown =
      halves->first.body.size() + halves->second.body.size() - batch.body.size();
  queue_bytes_ += grown;
  tenant_bytes_[batch.tenant] += grown;
  queue_.push_front(std::move(halves->second));
  queue_.push_front(std::move(halves->first));
}

void Sender::conflict(SealedBatch& batch) {
  SenderEvent event;
  event.kind = SenderEvent::Kind::kConflict;
  event.tenant = batch.tenant;
  bool is_skald = false;
  if (!ask_marks(batch.tenant, event.marks[batch.tenant], is_skald) || !is_skald) {
    return retry(batch, base::unavailable("409 Conflict, and the store's marks cannot be had"));
  }
  log_(false, options_.name + ": the store knows other offsets than we do; reading again from its");
  {
    const std::lock_guard lock(mutex_);
    queue_.push_front(std::move(batch));
    const std::string& tenant = event.tenant;
    for (const SealedBatch& queued : queue_) {
      if (queued.tenant != tenant) continue;
      event.numbers.push_back(queued.number);
      queue_bytes_ -= queued.body.size();
      tenant_bytes_[tenant] -= queued.body.size();
    }
    std::erase_if(queue_, [&](const SealedBatch& queued) { return queued.tenant == tenant; });
    // Should it happen again at once, not in a tight circle.
    TenantState& state = tenants_[tenant];
    if (++state.failures > 1)
      state.not_before_ns = clock_.monotonic_ns() + backoff_ns(state.failures);
  }
  post(std::move(event));
}

// What waits was made for Skald; it is given back, to be read again and made anew.
void Sender::not_skald(SealedBatch& batch) {
  log_(true, options_.name + ": the server is no longer Skald; going on as with Loki");
  SenderEvent event;
  event.kind = SenderEvent::Kind::kReady;
  event.is_skald = false;
  {
    const std::lock_guard lock(mutex_);
    is_skald_ = false;
    queue_.push_front(std::move(batch));
    for (const SealedBatch& queued : queue_) event.numbers.push_back(queued.number);
    queue_.clear();
    queue_bytes_ = 0;
    tenant_bytes_.clear();
  }
  post(std::move(event));
}

void Sender::run() {
  for (;;) {
    std::uint64_t seen = 0;
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) return;
      seen = changes_;
    }
    const std::int64_t wait_ns = step();
    if (wait_ns == 0) continue;
    std::unique_lock lock(mutex_);
    const auto changed = [&] { return stopped_ || changes_ != seen; };
    if (wait_ns == kNever)
      wake_.wait(lock, changed);
    else
      wake_.wait_for(lock, std::chrono::nanoseconds(wait_ns), changed);
  }
}

void Sender::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    wake_.notify_all();
  }
  transport_->cancel();
}

void Sender::retry_now() {
  const std::lock_guard lock(mutex_);
  for (auto& [name, tenant] : tenants_) tenant.not_before_ns = 0;
  ++changes_;
  wake_.notify_all();
}

SenderCounters Sender::counters() const {
  const std::lock_guard lock(mutex_);
  SenderCounters counters = counters_;
  counters.queue_batches = queue_.size();
  counters.queue_bytes = queue_bytes_;
  return counters;
}

}  // namespace skald::agent
