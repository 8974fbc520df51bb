#include "agent/receivers.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "agent/label/relabel.h"
#include "agent/log.h"
#include "proto/net/http_server.h"
#include "proto/wire/push_decoder.h"

namespace skald::agent {
namespace {

constexpr std::int64_t kDeliveryTimeoutNs = 10 * base::kNsPerSecond;
constexpr std::int64_t kDeliveryPollNs = 5 * base::kNsPerMs;

// One loki_push_api block: takes pushes, sends their lines through the job's pipeline, and answers
// 204 once every client's server has them.
class PushReceiver {
 public:
  static base::Result<std::unique_ptr<PushReceiver>> start(
      const ScrapeConfig& config, std::size_t job,
      const std::vector<std::unique_ptr<Lane>>& lanes) {
    std::unique_ptr<PushReceiver> receiver(new PushReceiver(config, job, lanes));
    for (const RelabelConfig& rule : config.target.relabel_configs) {
      SKALD_TRY_ASSIGN(RelabelRule built, RelabelRule::create(rule));
      receiver->rules_.push_back(std::move(built));
    }
    const ServerConfig& server = config.push_api->server;
    net::ServerOptions options;
    options.listen = (server.http_listen_address.empty() ? "0.0.0.0" : server.http_listen_address) +
                     ":" + std::to_string(server.http_listen_port);
    options.connections_max = 256;
    options.body_bytes_max = 8U << 20;
    options.body_bytes_total_max = 16U << 20;
    options.lanes = {net::Lane{"push", 2, 64}};
    PushReceiver* const self = receiver.get();
    SKALD_TRY_ASSIGN(receiver->server_,
                     net::HttpServer::start(options, [self](net::ServerRequest& request) {
                       return self->answer(request);
                     }));
    return receiver;
  }
  ~PushReceiver() {
    if (server_ != nullptr) server_->stop(base::kNsPerSecond);
  }
  std::string address() const {
    return "loki_push_api " + config_.job_name() + " " + server_->url();
  }

 private:
  PushReceiver(const ScrapeConfig& config, std::size_t job,
               const std::vector<std::unique_ptr<Lane>>& lanes)
      : config_(config), job_(job), lanes_(lanes) {}

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
    const int code = status.code() == base::Code::kInvalidArgument     ? 400
                     : status.code() == base::Code::kResourceExhausted ? 413
                                                                       : 503;
    return net::ServerResponse::text(code, std::string(status.message()) + "\n");
  }

  // Incoming labels without __*, the configured ones over them, then relabelled. False: dropped.
  bool final_labels(model::Labels& labels, std::string_view tenant) const {
    for (const auto& [name, value] : config_.push_api->labels) labels.set(name, value);
    if (!apply_rules(rules_, labels)) return false;
    std::vector<std::string> reserved;
    for (const auto& [name, value] : labels)
      if (name.starts_with("__") && name != kTenantLabel) reserved.push_back(name);
    for (const std::string& name : reserved) labels.erase(name);
    if (!tenant.empty() && !labels.has(kTenantLabel)) labels.set(kTenantLabel, tenant);
    return true;
  }

  base::Status take_push(net::ServerRequest& request, bool legacy) {
    wire::PushInput input;
    if (legacy) input.form = wire::PushForm::kLegacy;
    input.content_type = request.header("content-type");
    input.content_encoding = request.header("content-encoding");
    input.now_ns = base::Clock::system().wall_ns();
    wire::PushDecoder decoder;  // pushes to an agent are few: its memory is not kept
    SKALD_TRY_ASSIGN(wire::DecodedPush * push, decoder.decode(input, request.body));
    std::vector<std::uint64_t> tickets(lanes_.size());
    for (const model::PushStream& stream : push->batch.streams) {
      model::Labels labels = stream.labels;
      if (!final_labels(labels, request.header("x-scope-orgid"))) continue;
      for (const model::EntryView& entry : stream.entries) {
        if (entry.metadata != nullptr && !entry.metadata->empty() &&
            !warned_metadata_.exchange(true))
          log_warn(config_.job_name() +
                   ": structured metadata of received entries is not passed on");
        SKALD_TRY(push_line(
            labels, entry.line,
            config_.push_api->use_incoming_timestamp ? entry.timestamp_ns : input.now_ns++,
            tickets));
      }
    }
    SKALD_TRY(wait(tickets));
    if (!push->refused.empty()) return base::invalid_argument(push->refused.front());
    return {};
  }

  base::Status take_raw(net::ServerRequest& request) {
    model::Labels labels;
    if (!final_labels(labels, request.header("x-scope-orgid"))) return {};
    std::vector<std::uint64_t> tickets(lanes_.size());
    std::int64_t now_ns = base::Clock::system().wall_ns();
    for (std::string_view rest = request.body; !rest.empty();) {
      const std::size_t newline = rest.find('\n');
      const std::string_view line = rest.substr(0, newline);
      rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
      if (!line.empty()) SKALD_TRY(push_line(labels, line, now_ns++, tickets));
    }
    return wait(tickets);
  }

  base::Status push_line(const model::Labels& labels, std::string_view line,
                         std::int64_t timestamp_ns, std::vector<std::uint64_t>& tickets) {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      SKALD_TRY_ASSIGN(tickets[i], lanes_[i]->push(job_, labels, line, timestamp_ns));
    }
    return {};
  }

  base::Status wait(const std::vector<std::uint64_t>& tickets) const {
    const base::Clock& clock = base::Clock::system();
    const std::int64_t deadline_ns = clock.monotonic_ns() + kDeliveryTimeoutNs;
    for (std::size_t i = 0; i < lanes_.size(); ++i)
      while (!lanes_[i]->is_delivered(job_, tickets[i])) {
        if (lanes_[i]->is_stopping() || clock.monotonic_ns() > deadline_ns)
          return base::unavailable("not delivered yet: send it again");
        std::this_thread::sleep_for(std::chrono::nanoseconds(kDeliveryPollNs));
      }
    return {};
  }

  const ScrapeConfig& config_;
  const std::size_t job_;
  const std::vector<std::unique_ptr<Lane>>& lanes_;
  std::vector<RelabelRule> rules_;
  std::atomic<bool> warned_metadata_{false};
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace

struct Receivers::Impl {
  std::vector<std::unique_ptr<PushReceiver>> push;
};

Receivers::Receivers(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Receivers::~Receivers() = default;

base::Result<std::unique_ptr<Receivers>> Receivers::start(
    const AgentConfig& config, const std::vector<std::unique_ptr<Lane>>& lanes) {
  auto impl = std::make_unique<Impl>();
  for (std::size_t job = 0; job < config.scrape_configs.size(); ++job) {
    const ScrapeConfig& scrape = config.scrape_configs[job];
    if (!scrape.push_api) continue;
    auto receiver = PushReceiver::start(scrape, job, lanes);
    if (!receiver.ok())
      return std::move(receiver).status().with_context("loki_push_api of job " + scrape.job_name());
    log_info((*receiver)->address());
    impl->push.push_back(std::move(receiver).value());
  }
  return std::unique_ptr<Receivers>(new Receivers(std::move(impl)));
}

std::vector<std::string> Receivers::addresses() const {
  std::vector<std::string> out;
  for (const auto& receiver : impl_->push) out.push_back(receiver->address());
  return out;
}

}  // namespace skald::agent
