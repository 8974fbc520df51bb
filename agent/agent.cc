#include "agent/agent.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <thread>

#include "agent/limits.h"
#include "agent/log.h"
#include "agent/tail/paths.h"
#include "proto/base/fs.h"

namespace skald::agent {
namespace {

// For -dry-run: there is no server; whoever asks is told it is a Loki.
class NoTransport final : public net::HttpTransport {
 public:
  base::Result<net::HttpResponse> exchange(const net::HttpRequest&) override {
    net::HttpResponse response;
    response.status = 404;
    return response;
  }
  void cancel() override {}
};

}  // namespace

Agent::Running::~Running() { receivers.reset(); }
Agent::~Agent() { stop(0); }

base::Status Agent::open_positions(const AgentConfig& config) {
  base::FileSystem& fs = base::FileSystem::posix();
  promtail_file_ = config.positions.filename;
  const std::string own = promtail_file_ + ".skald";
  const std::size_t slash = own.rfind('/');
  if (options_.write_positions && slash != std::string::npos && slash > 0)
    SKALD_TRY(fs.make_directories(own.substr(0, slash)));
  SKALD_TRY_ASSIGN(PositionStore store, PositionStore::open(fs, own, !options_.write_positions));
  if (!store.warning().empty()) log_error("positions: " + store.warning());
  positions_ = std::make_unique<PositionStore>(std::move(store));
  auto text = fs.read_file(promtail_file_, kPositionsBytesMax);
  if (!text.ok()) return {};
  auto promtail = parse_promtail_positions(*text);
  if (!promtail.ok()) {
    if (config.positions.ignore_invalid_yaml || !positions_->is_new()) {
      log_error(promtail_file_ + ": " + promtail.status().to_string() + "; ignored");
      return {};
    }
    return std::move(promtail).status().with_context(promtail_file_);
  }
  for (PromtailPosition& position : *promtail) {
    const bool is_file = position.path.starts_with('/') && !is_compressed_name(position.path);
    (is_file ? imported_ : kept_).push_back(std::move(position));
  }
  if (!positions_->is_new()) imported_.clear();  // ours know better
  if (!imported_.empty())
    log_info("first start: " + std::to_string(imported_.size()) + " positions taken over from " +
             promtail_file_);
  return {};
}

base::Status Agent::save(ClientPositions positions) {
  const std::lock_guard lock(positions_mutex_);
  Positions all = positions_->positions();
  const auto it = std::find_if(all.clients.begin(), all.clients.end(), [&](const auto& client) {
    return client.client == positions.client;
  });
  if (it != all.clients.end())
    *it = std::move(positions);
  else
    all.clients.push_back(std::move(positions));
  SKALD_TRY(positions_->save(all));
  return save_promtail_file();
}

base::Status Agent::save_promtail_file() {
  // Promtail's own file: per name the offset that every client has.
  std::map<std::string, std::uint64_t> offsets;
  for (const ClientPositions& client : positions_->positions().clients) {
    std::map<std::string, const FilePosition*> current;  // the youngest life of each name
    for (const FilePosition& file : client.files) {
      auto& best = current[file.path];
      if (best == nullptr || file.id.birth >= best->id.birth) best = &file;
    }
    for (const auto& [path, file] : current) {
      const auto [entry, is_new] = offsets.try_emplace(path, file->offset);
      if (!is_new) entry->second = std::min(entry->second, file->offset);
    }
  }
  std::vector<PromtailPosition> promtail = kept_;
  for (const auto& [path, offset] : offsets) promtail.push_back({path, std::to_string(offset)});
  return base::write_file_atomically(base::FileSystem::posix(), promtail_file_,
                                     format_promtail_positions(promtail));
}

std::string Agent::cursor(const std::string& key) const {
  const std::lock_guard lock(positions_mutex_);
  for (const auto* list : {&kept_, &imported_})
    for (const PromtailPosition& position : *list)
      if (position.path == key) return position.value;
  return "";
}

std::vector<std::string> Agent::cursor_keys(const std::string& prefix) const {
  const std::lock_guard lock(positions_mutex_);
  std::vector<std::string> keys;
  for (const PromtailPosition& position : kept_)
    if (position.path.starts_with(prefix)) keys.push_back(position.path);
  return keys;
}

void Agent::set_cursors(const Pairs& pairs) {
  const std::lock_guard lock(positions_mutex_);
  for (const auto& [key, value] : pairs) {
    std::erase_if(kept_, [&key = key](const auto& position) { return position.path == key; });
    if (!value.empty()) kept_.push_back({key, value});
  }
  if (positions_ == nullptr || !options_.write_positions) return;
  if (const base::Status saved = save_promtail_file(); !saved.ok())
    log_error("positions: " + saved.to_string());
}

base::Result<std::unique_ptr<Agent::Running>> Agent::build(AgentConfig config) {
  auto running = std::make_unique<Running>();
  if (!options_.tail_files) {
    config.scrape_configs.resize(std::min<std::size_t>(1, config.scrape_configs.size()));
    for (ScrapeConfig& scrape : config.scrape_configs) {
      scrape.target = TargetConfig{};
      scrape.target.job_name = "stdin";
      scrape.push_api.reset();
      scrape.syslog.reset();
      scrape.journal.reset();
      scrape.decompression = {};
    }
  }
  const auto shared = std::make_shared<const AgentConfig>(std::move(config));
  running->config = shared;
  if (shared->clients.empty()) return base::invalid_argument("no client is configured");
  for (const ClientConfig& client : shared->clients) {
    LaneOptions lane;
    {
      const std::lock_guard lock(positions_mutex_);
      if (positions_ != nullptr) lane.agent_id = positions_->positions().agent_id;
    }
    if (options_.write_positions)
      lane.save = [this](ClientPositions positions) { return save(std::move(positions)); };
    lane.tap = options_.tap;
    lane.inspector = options_.inspector;
    std::unique_ptr<net::HttpTransport> transport;
    if (options_.tap)
      transport = std::make_unique<NoTransport>();
    else
      transport = net::make_http_client(http_options(client));
    SKALD_TRY_ASSIGN(auto built,
                     Lane::create(*shared, client, std::move(lane), std::move(transport),
                                  make_inotify_watcher(), base::Clock::system()));
    running->lanes.push_back(std::move(built));
    if (options_.tap) break;  // every line once
  }
  return running;
}

base::Result<std::unique_ptr<Agent>> Agent::create(AgentConfig config, Options options) {
  std::unique_ptr<Agent> agent(new Agent(std::move(options)));
  if (agent->options_.tail_files) SKALD_TRY(agent->open_positions(config));
  SKALD_TRY_ASSIGN(agent->running_, agent->build(std::move(config)));
  return agent;
}

base::Status Agent::run(Running& running) {
  for (const auto& lane : running.lanes) {
    ClientPositions positions;
    std::vector<PromtailPosition> imported;
    {
      const std::lock_guard lock(positions_mutex_);
      if (positions_ != nullptr) {
        for (const ClientPositions& client : positions_->positions().clients)
          if (client.client == lane->client_name()) positions = client;
        // Of a client that was renamed or reconfigured; or the very first start.
        if (positions.files.empty() && positions_->positions().clients.size() == 1)
          positions.files = positions_->positions().clients[0].files;
        imported = imported_;
      }
    }
    lane->begin(std::move(positions), std::move(imported));
    lane->start();
  }
  SKALD_TRY_ASSIGN(running.receivers, Receivers::start(*running.config, running.lanes, *this));
  return {};
}

base::Status Agent::start() {
  const std::lock_guard lock(mutex_);
  return run(*running_);
}

void Agent::halt(Running& running, std::int64_t drain_ns) {
  if (running.receivers != nullptr) running.receivers->stop();
  std::vector<std::thread> threads;  // side by side: one dead server takes the whole deadline
  for (const auto& lane : running.lanes)
    threads.emplace_back([&lane, drain_ns] { lane->stop(drain_ns); });
  for (std::thread& thread : threads) thread.join();
  running.receivers.reset();
}

void Agent::stop(std::int64_t drain_ns) {
  const std::lock_guard lock(mutex_);
  if (running_ != nullptr) halt(*running_, drain_ns);
}

base::Status Agent::reload(AgentConfig config) {
  auto next = build(std::move(config));
  if (!next.ok()) {
    ++reloads_failed_;
    return std::move(next).status();
  }
  const std::lock_guard lock(mutex_);
  halt(*running_, running_->config->skald.shutdown_timeout_ns / 4);
  running_ = std::move(next).value();
  base::Status status = run(*running_);
  ++(status.ok() ? reloads_succeeded_ : reloads_failed_);
  return status;
}

std::shared_ptr<const AgentConfig> Agent::config() const {
  const std::lock_guard lock(mutex_);
  return running_->config;
}

std::vector<LaneSnapshot> Agent::snapshot() const {
  const std::lock_guard lock(mutex_);
  std::vector<LaneSnapshot> snapshots;
  for (const auto& lane : running_->lanes) snapshots.push_back(lane->snapshot());
  return snapshots;
}

bool Agent::is_ready() const {
  const std::lock_guard lock(mutex_);
  bool wants_files = false;
  for (const ScrapeConfig& scrape : running_->config->scrape_configs)
    wants_files = wants_files || scrape.tails_files();
  if (!wants_files) return true;
  return std::any_of(running_->lanes.begin(), running_->lanes.end(),
                     [](const auto& lane) { return lane->has_tailed(); });
}

std::vector<ReceiverSnapshot> Agent::receivers() const {
  const std::lock_guard lock(mutex_);
  return running_->receivers == nullptr ? std::vector<ReceiverSnapshot>()
                                        : running_->receivers->snapshot();
}

std::uint64_t Agent::reloads(bool succeeded) const noexcept {
  return succeeded ? reloads_succeeded_.load() : reloads_failed_.load();
}

base::Status Agent::pump_stdin(const model::Labels& labels) {
  std::string pending;
  std::vector<std::uint64_t> tickets(running_->lanes.size());
  std::vector<std::size_t> accounts;
  for (const auto& lane : running_->lanes) accounts.push_back(lane->open_account(0));
  const auto push = [&](std::string_view line) -> base::Status {
    if (line.empty()) return {};
    for (std::size_t i = 0; i < tickets.size(); ++i) {
      SKALD_TRY_ASSIGN(tickets[i], running_->lanes[i]->push(
                                       accounts[i], labels,
                                       {line, base::Clock::system().wall_ns(), {}}, kForeverNs));
    }
    return {};
  };
  std::string bytes(64U << 10, '\0');
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    pending.append(bytes, 0, static_cast<std::size_t>(n));
    std::size_t start = 0;
    for (std::size_t end = pending.find('\n'); end != std::string::npos;
         end = pending.find('\n', start)) {
      SKALD_TRY(push(std::string_view(pending).substr(start, end - start)));
      start = end + 1;
    }
    pending.erase(0, start);
    if (pending.size() > kLineBytesMax) {
      SKALD_TRY(push(pending));
      pending.clear();
    }
  }
  SKALD_TRY(push(pending));
  for (std::size_t i = 0; i < tickets.size() && !options_.tap; ++i)
    while (running_->lanes[i]->delivered_to(accounts[i]) < tickets[i] &&
           !running_->lanes[i]->is_stopping())
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return {};
}

}  // namespace skald::agent
