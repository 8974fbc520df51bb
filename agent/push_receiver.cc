// loki_push_api: takes pushes, sends their lines through the job's pipeline, and answers 204 once
// every client's server has them.

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "agent/limits.h"
#include "agent/receiver.h"
#include "proto/net/http_server.h"
#include "proto/wire/push_decoder.h"

namespace skald::agent {
namespace {

constexpr std::int64_t kDeliveryTimeoutNs = 10 * base::kNsPerSecond;
constexpr std::int64_t kDeliveryPollNs = 5 * base::kNsPerMs;
// Requests wait in threads. One tenant has at most so many of them, and while one of its requests
// has waited longer than this (twice the usual batchwait), no more: a tenant that gets 429 must not
// take the threads of the others.
constexpr std::size_t kThreads = 16;
constexpr std::size_t kTenantRequestsMax = 12;
constexpr std::int64_t kStalledNs = 2 * base::kNsPerSecond;
constexpr std::size_t kTenantsMax = 1000;  // with an account each

// The accounts of one tenant, and who waits for them.
struct TenantPushes {
  TenantPushes(const std::vector<std::unique_ptr<Lane>>& lanes, std::size_t job)
      : fanout(lanes, job, WhenFull::kRefuse) {}
  std::mutex mutex;  // one request's lines at a time
  Fanout fanout;
  std::multiset<std::int64_t> since_ns;  // of each request under way; guarded by the receiver
};

class PushReceiver final : public Receiver {
 public:
  PushReceiver(const ScrapeConfig& config, std::size_t job,
               const std::vector<std::unique_ptr<Lane>>& lanes, ReceivedLabels labels)
      : config_(config), job_(job), lanes_(lanes), labels_(std::move(labels)) {}
  ~PushReceiver() override { PushReceiver::stop(); }
  void stop() override {
    {
      const std::lock_guard lock(tenants_mutex_);
      stopping_ = true;
      for (const auto& [name, tenant] : tenants_) tenant->fanout.cancel();
    }
    if (server_ != nullptr) server_->stop(base::kNsPerSecond);
  }

  base::Status listen() {
    const ServerConfig& server = config_.push_api->server;
    net::ServerOptions options;
    options.listen = (server.http_listen_address.empty() ? "0.0.0.0" : server.http_listen_address) +
                     ":" + std::to_string(server.http_listen_port);
    options.connections_max = 256;
    options.body_bytes_max = 8U << 20;
    options.body_bytes_total_max = 16U << 20;
    options.lanes = {net::Lane{"push", kThreads, 64}};
    SKALD_TRY_ASSIGN(server_, net::HttpServer::start(options, [this](net::ServerRequest& request) {
                       return answer(request);
                     }));
    return {};
  }

  ReceiverSnapshot snapshot() const override {
    return {"loki_push_api",
            config_.job_name(),
            server_->url(),
            counters_.entries,
            counters_.errors,
            counters_.empty,
            0};
  }

 private:
  // A request of a tenant while it is under way.
  class Visit {
   public:
    Visit(PushReceiver& receiver, TenantPushes& tenant)
        : receiver_(receiver), tenant_(tenant), losses_(tenant.fanout.losses()) {}
    ~Visit() {
      const std::lock_guard lock(receiver_.tenants_mutex_);
      tenant_.since_ns.erase(since_);
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    TenantPushes& tenant() noexcept { return tenant_; }
    // Until every client's server has what was pushed before `tickets`.
    base::Status wait(const std::vector<std::uint64_t>& tickets) const {
      const Fanout& fanout = tenant_.fanout;
      const base::Clock& clock = base::Clock::system();
      const std::int64_t deadline_ns = clock.monotonic_ns() + kDeliveryTimeoutNs;
      while (!fanout.is_delivered(tickets)) {
        if (fanout.cancelled() || clock.monotonic_ns() > deadline_ns)
          return base::unavailable("not delivered yet: send it again");
        std::this_thread::sleep_for(std::chrono::nanoseconds(kDeliveryPollNs));
      }
      if (fanout.losses() != losses_) return base::unavailable("the store changed: send it again");
      return {};
    }

   private:
    friend class PushReceiver;
    PushReceiver& receiver_;
    TenantPushes& tenant_;
    const std::uint64_t losses_;
    std::multiset<std::int64_t>::iterator since_;
  };

  // kUnavailable: the tenant has enough requests waiting.
  base::Result<std::unique_ptr<Visit>> visit(std::string_view name) {
    const std::int64_t now_ns = base::Clock::system().monotonic_ns();
    const std::lock_guard lock(tenants_mutex_);
    auto it = tenants_.find(name);
    if (it == tenants_.end()) {
      if (stopping_ || tenants_.size() >= kTenantsMax)
        return base::unavailable(stopping_ ? "the agent is stopping" : "too many tenants");
      it = tenants_.emplace(name, std::make_unique<TenantPushes>(lanes_, job_)).first;
    }
    TenantPushes& tenant = *it->second;
    if (tenant.since_ns.size() >= kTenantRequestsMax ||
        (!tenant.since_ns.empty() && now_ns - *tenant.since_ns.begin() > kStalledNs))
      return base::unavailable("earlier pushes of this tenant are not delivered yet");
    auto visit = std::make_unique<Visit>(*this, tenant);
    visit->since_ = tenant.since_ns.insert(now_ns);
    return visit;
  }

  net::ServerResponse answer(net::ServerRequest& request) {
    const std::string_view path = request.path();
    if (path == "/ready") return net::ServerResponse::text(200, "ready\n");
    if (request.method != "POST")
      return net::ServerResponse::text(405, "only POST is answered here\n");
    base::Status status;
    if (path == "/promtail/api/v1/raw" || path == "/loki/api/v1/raw")
      status = take_raw(request);
    else if (path == "/loki/api/v1/push" || path == "/api/prom/push")
      status = take_push(request, path == "/api/prom/push");
    else
      return net::ServerResponse::text(404, "404 page not found\n");
    if (status.ok()) return net::ServerResponse::text(204, "");
    ++counters_.errors;
    const int code =
        status.code() == base::Code::kInvalidArgument || status.code() == base::Code::kUnsupported
            ? 400
        : status.code() == base::Code::kResourceExhausted ? 413
                                                          : 503;
    return net::ServerResponse::text(code, std::string(status.message()) + "\n");
  }

  // The configured labels over those that came, then relabelled. False: dropped.
  bool final_labels(model::Labels& labels, std::string_view tenant) const {
    for (const auto& [name, value] : config_.push_api->labels) labels.set(name, value);
    if (!labels_.finish(labels)) return false;
    if (!tenant.empty() && !labels.has(kTenantLabel)) labels.set(kTenantLabel, tenant);
    return true;
  }

  base::Status take_push(net::ServerRequest& request, bool legacy) {
    wire::PushInput input;
    if (legacy) input.form = wire::PushForm::kLegacy;
    input.content_type = request.header("content-type");
    input.content_encoding = request.header("content-encoding");
    input.now_ns = base::Clock::system().wall_ns();
    SKALD_TRY_ASSIGN(const std::unique_ptr<Visit> visit,
                     this->visit(request.header("x-scope-orgid")));
    Fanout& fanout = visit->tenant().fanout;
    wire::PushDecoder decoder;  // pushes to an agent are few: its memory is not kept
    SKALD_TRY_ASSIGN(wire::DecodedPush * push, decoder.decode(input, request.body));
    std::vector<std::uint64_t> tickets;
    {
      const std::lock_guard lock(visit->tenant().mutex);
      for (const model::PushStream& stream : push->batch.streams) {
        model::Labels labels = stream.labels;
        if (!final_labels(labels, request.header("x-scope-orgid"))) continue;
        SKALD_TRY(push_entries(fanout, labels, stream.entries, input.now_ns));
      }
      tickets = fanout.tickets();
    }
    SKALD_TRY(visit->wait(tickets));
    if (!push->refused.empty()) return base::invalid_argument(push->refused.front());
    return {};
  }

  base::Status push_entries(Fanout& fanout, const model::Labels& labels,
                            const std::vector<model::EntryView>& entries, std::int64_t& now_ns) {
    std::vector<MetadataPair> metadata;
    for (const model::EntryView& entry : entries) {
      metadata.clear();
      if (entry.metadata != nullptr)
        for (const auto& [name, value] : *entry.metadata) metadata.emplace_back(name, value);
      SKALD_TRY(fanout.push(
          labels,
          {entry.line, config_.push_api->use_incoming_timestamp ? entry.timestamp_ns : now_ns++,
           metadata}));
      ++counters_.entries;
    }
    return {};
  }

  base::Status take_raw(net::ServerRequest& request) {
    model::Labels labels;
    if (!final_labels(labels, request.header("x-scope-orgid"))) return {};
    SKALD_TRY_ASSIGN(const std::unique_ptr<Visit> visit,
                     this->visit(request.header("x-scope-orgid")));
    Fanout& fanout = visit->tenant().fanout;
    std::vector<std::uint64_t> tickets;
    {
      const std::lock_guard lock(visit->tenant().mutex);
      std::int64_t now_ns = base::Clock::system().wall_ns();
      for (std::string_view rest = request.body; !rest.empty();) {
        const std::size_t newline = rest.find('\n');
        const std::string_view line = rest.substr(0, newline);
        rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
        if (line.empty()) continue;
        SKALD_TRY(fanout.push(labels, {line, now_ns++, {}}));
        ++counters_.entries;
      }
      tickets = fanout.tickets();
    }
    return visit->wait(tickets);
  }

  const ScrapeConfig& config_;
  const std::size_t job_;
  const std::vector<std::unique_ptr<Lane>>& lanes_;
  const ReceivedLabels labels_;
  ReceiverCounters counters_;
  std::mutex tenants_mutex_;
  std::map<std::string, std::unique_ptr<TenantPushes>, std::less<>> tenants_;
  bool stopping_ = false;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace

base::Result<std::unique_ptr<Receiver>> start_push_receiver(
    const ScrapeConfig& config, std::size_t job, const std::vector<std::unique_ptr<Lane>>& lanes) {
  SKALD_TRY_ASSIGN(ReceivedLabels labels, ReceivedLabels::create(config));
  auto receiver = std::make_unique<PushReceiver>(config, job, lanes, std::move(labels));
  SKALD_TRY(receiver->listen());
  return std::unique_ptr<Receiver>(std::move(receiver));
}

}  // namespace skald::agent
