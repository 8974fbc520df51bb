#include "query/server/server.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <mutex>

#include "query/alert/ruler.h"
#include "query/server/machine_memory.h"

namespace skald::query::server {

namespace {

// Half of what the process may use: the other is the head's, the merges' and the kernel's cache of
// the parts. One query alone gets all of its own, and small ones something beside it.
std::uint64_t queries_memory_max(const ServerConfig& config) {
  if (config.queries_memory_max > 0) return config.queries_memory_max;
  const std::uint64_t one = config.engine.memory_max;
  return std::max(machine_memory_bytes() / 2, one + one / 4);
}

}  // namespace

struct Server::Impl {
  ServerConfig config;
  std::string config_path;
  std::mutex reload_mutex;
  // The store asks for retention from its own threads, as long as it lives.
  std::mutex settings_mutex;
  std::shared_ptr<const api::ApiSettings> settings;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<alert::Ruler> ruler;
  std::unique_ptr<api::Api> api;
  std::unique_ptr<net::HttpServer> http;
  bool stopped = false;

  base::Status open();
  base::Status open_ruler();
  base::Status reload();
  void stop();
  api::ApiDeps api_deps();
  std::shared_ptr<const api::ApiSettings> current_settings() {
    std::lock_guard lock(settings_mutex);
    return settings;
  }
};

base::Status Server::Impl::open() {
  settings = config.api;
  config.store.retention = [this](std::string_view tenant) {
    return current_settings()->limits_of(tenant).retention;
  };
  SKALD_TRY_ASSIGN(store, store::Store::open(config.store));
  config.engine.memory_pool = std::make_shared<MemoryPool>(queries_memory_max(config));
  engine = std::make_unique<Engine>(*store, base::Clock::system(), config.engine);
  SKALD_TRY(open_ruler());
  api = std::make_unique<api::Api>(api_deps(), config.api);
  config.http.lanes = api::Api::lanes(config.query_threads);
  config.http.lane_of = api::Api::lane_of;
  SKALD_TRY_ASSIGN(http, net::HttpServer::start(config.http, [this](net::ServerRequest& request) {
                     return api->handle(request);
                   }));
  ruler->start();
  api->set_ready(true);
  return {};
}

base::Status Server::Impl::open_ruler() {
  SKALD_TRY_ASSIGN(alert::RulerOptions options,
                   alert::read_ruler_options(config.text, config.store.data_dir));
  alert::RulerDeps deps;
  deps.query = alert::engine_query(*engine, options.query_timeout_ns);
  deps.queries = alert::engine_queries(*engine, options.query_timeout_ns);
  deps.store = store.get();
  SKALD_TRY_ASSIGN(ruler, alert::Ruler::create(std::move(options), std::move(deps)));
  return {};
}

api::ApiDeps Server::Impl::api_deps() {
  api::ApiDeps deps;
  deps.store = store.get();
  deps.engine = engine.get();
  deps.reload = [this] { return reload(); };
  deps.server_stats = [this] { return http->stats(); };
  deps.set_log_level = [](const std::string& level) {
    const auto parsed = spdlog::level::from_str(level);
    if (parsed == spdlog::level::off && level != "off") return false;
    spdlog::set_level(parsed);
    return true;
  };
  deps.rules = [this](net::ServerRequest& request, const std::string& tenant) {
    return ruler->handle(request, tenant);
  };
  deps.more_metrics = [this](std::string& out) { ruler->append_metrics(out); };
  deps.log_level = [] {
    const auto name = spdlog::level::to_string_view(spdlog::get_level());
    return std::string(name.data(), name.size());
  };
  return deps;
}

base::Status Server::Impl::reload() {
  std::lock_guard lock(reload_mutex);
  SKALD_TRY_ASSIGN(ServerConfig fresh, load_config(config_path));
  SKALD_TRY(http->reload_tls());
  {
    std::lock_guard settings_lock(settings_mutex);
    settings = fresh.api;
  }
  api->set_settings(fresh.api);
  spdlog::set_level(spdlog::level::from_str(fresh.log_level));
  spdlog::info("configuration reloaded");
  return ruler->reload();
}

void Server::Impl::stop() {
  if (stopped) return;
  stopped = true;
  if (api != nullptr) api->stop();
  if (http != nullptr) http->stop(config.drain_ns);
  if (ruler != nullptr) ruler->stop();
  if (store == nullptr) return;
  if (const base::Status status = store->flush(); !status.ok())
    spdlog::error("flush at stop: {}; the write-ahead log has the entries", status.to_string());
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  stop();
  // Users before what they use.
  impl_->http.reset();
  impl_->api.reset();
  impl_->ruler.reset();
  impl_->engine.reset();
  impl_->store.reset();
}

base::Result<std::unique_ptr<Server>> Server::start(ServerConfig config, std::string config_path) {
  auto impl = std::make_unique<Impl>();
  impl->config = std::move(config);
  impl->config_path = std::move(config_path);
  std::unique_ptr<Server> server(new Server(std::move(impl)));
  SKALD_TRY(server->impl_->open());
  return server;
}

std::string Server::url() const { return impl_->http->url(); }
base::Status Server::reload() { return impl_->reload(); }
void Server::stop() { impl_->stop(); }

}  // namespace skald::query::server
