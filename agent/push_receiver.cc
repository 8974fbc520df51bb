// loki_push_api: takes pushes, sends their lines through the job's pipeline, and answers 204 once
// every client's server has them.

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "agent/limits.h"
#include "agent/receiver.h"
#include "proto/net/http_server.h"
#include "proto/wire/push_decoder.h"

namespace skald::agent {
namespace {

constexpr std::int64_t kDeliveryTimeoutNs = 10 * base::kNsPerSecond;
constexpr std::int64_t kDeliveryPollNs = 5 * base::kNsPerMs;

class PushReceiver final : public Receiver {
 public:
  PushReceiver(const ScrapeConfig& config, std::size_t job,
               const std::vector<std::unique_ptr<Lane>>& lanes, ReceivedLabels labels)
      : config_(config), fanout_(lanes, job), labels_(std::move(labels)) {}
  ~PushReceiver() override { PushReceiver::stop(); }
  void stop() override {
    fanout_.cancel();
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
    options.lanes = {net::Lane{"push", 2, 64}};
    SKALD_TRY_ASSIGN(server_, net::HttpServer::start(options, [this](net::ServerRequest& request) {
                       return answer(request);
                     }));
    return {};
  }

  ReceiverSnapshot snapshot() const override {
    return {"loki_push_api",  config_.job_name(), server_->url(),   counters_.entries,
            counters_.errors, counters_.empty,    fanout_.dropped()};
  }

 private:
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
    const std::uint64_t losses = fanout_.losses();
    wire::PushDecoder decoder;  // pushes to an agent are few: its memory is not kept
    SKALD_TRY_ASSIGN(wire::DecodedPush * push, decoder.decode(input, request.body));
    std::vector<std::uint64_t> tickets;
    {
      const std::lock_guard lock(mutex_);
      for (const model::PushStream& stream : push->batch.streams) {
        model::Labels labels = stream.labels;
        if (!final_labels(labels, request.header("x-scope-orgid"))) continue;
        SKALD_TRY(push_entries(labels, stream.entries, input.now_ns));
      }
      tickets = fanout_.tickets();
    }
    SKALD_TRY(wait(tickets, losses));
    if (!push->refused.empty()) return base::invalid_argument(push->refused.front());
    return {};
  }

  base::Status push_entries(const model::Labels& labels,
                            const std::vector<model::EntryView>& entries, std::int64_t& now_ns) {
    std::vector<MetadataPair> metadata;
    for (const model::EntryView& entry : entries) {
      metadata.clear();
      if (entry.metadata != nullptr)
        for (const auto& [name, value] : *entry.metadata) metadata.emplace_back(name, value);
      SKALD_TRY(fanout_.push(
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
    const std::uint64_t losses = fanout_.losses();
    std::vector<std::uint64_t> tickets;
    {
      const std::lock_guard lock(mutex_);
      std::int64_t now_ns = base::Clock::system().wall_ns();
      for (std::string_view rest = request.body; !rest.empty();) {
        const std::size_t newline = rest.find('\n');
        const std::string_view line = rest.substr(0, newline);
        rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
        if (line.empty()) continue;
        SKALD_TRY(fanout_.push(labels, {line, now_ns++, {}}));
        ++counters_.entries;
      }
      tickets = fanout_.tickets();
    }
    return wait(tickets, losses);
  }

  base::Status wait(const std::vector<std::uint64_t>& tickets, std::uint64_t losses) const {
    const base::Clock& clock = base::Clock::system();
    const std::int64_t deadline_ns = clock.monotonic_ns() + kDeliveryTimeoutNs;
    while (!fanout_.is_delivered(tickets)) {
      if (fanout_.cancelled() || clock.monotonic_ns() > deadline_ns)
        return base::unavailable("not delivered yet: send it again");
      std::this_thread::sleep_for(std::chrono::nanoseconds(kDeliveryPollNs));
    }
    if (fanout_.losses() != losses) return base::unavailable("the store changed: send it again");
    return {};
  }

  const ScrapeConfig& config_;
  std::mutex mutex_;  // one request's lines at a time
  Fanout fanout_;
  const ReceivedLabels labels_;
  ReceiverCounters counters_;
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
