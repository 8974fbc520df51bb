#include "proto/net/http_server.h"

#include <sys/resource.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <ctime>
#include <future>
#include <thread>

#include "proto/net/http_core.h"

namespace skald::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kTick = std::chrono::milliseconds(500);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);  // after EMFILE and its like
constexpr std::uint64_t kFilesWanted = 65'536;

struct Address {
  std::string host;
  std::uint16_t port = 0;
};

base::Result<Address> parse_address(const std::string& text) {
  const auto bad = [&] {
    return base::invalid_argument("listen address '" + text + "' is not host:port");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size()) return bad();
  Address address;
  address.host = text.substr(0, colon);
  if (address.host.size() > 1 && address.host.front() == '[' && address.host.back() == ']')
    address.host = address.host.substr(1, address.host.size() - 2);
  if (address.host.empty()) address.host = "0.0.0.0";
  if (address.host == "localhost") address.host = "127.0.0.1";
  unsigned port = 0;
  for (const char c : text.substr(colon + 1)) {
    if (c < '0' || c > '9') return bad();
    port = port * 10 + static_cast<unsigned>(c - '0');
    if (port > 65'535) return bad();
  }
  address.port = static_cast<std::uint16_t>(port);
  return address;
}

// Thousands of idle sockets must not run into a soft limit of 1,024 files.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kFilesWanted) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, kFilesWanted);
  setrlimit(RLIMIT_NOFILE, &limit);
}

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(ServerOptions options, Handler handler)
      : acceptor_(core_.io), pause_(core_.io), ticker_(core_.io) {
    core_.options = std::move(options);
    core_.handler = std::move(handler);
  }

  ~HttpServerImpl() override { stop(0); }

  base::Status open() {
    raise_file_limit();
    if (core_.options.tls) {
      SKALD_TRY_ASSIGN(core_.tls, load_tls(*core_.options.tls));
    }
    SKALD_TRY_ASSIGN(const Address address, parse_address(core_.options.listen));
    SKALD_TRY(bind(address));
    if (core_.options.lanes.empty()) core_.options.lanes.push_back(Lane{"work"});
    for (const Lane& lane : core_.options.lanes)
      core_.lanes.push_back(std::make_unique<WorkerLane>(lane));
    accept_next();
    tick_later();
    io_thread_ = std::thread([this] { core_.io.run(); });
    pthread_setname_np(io_thread_.native_handle(), "http-io");
    return {};
  }

  std::uint16_t port() const noexcept override { return endpoint_.port(); }

  std::string url() const override {
    std::string host = endpoint_.address().to_string();
    if (endpoint_.address().is_unspecified()) host = "127.0.0.1";
    if (endpoint_.address().is_v6()) host = "[" + host + "]";
    return (core_.options.tls ? "https://" : "http://") + host + ":" +
           std::to_string(endpoint_.port());
  }

  ServerStats stats() const override {
    ServerStats stats;
    stats.connections_open = core_.connections_open.load(std::memory_order_relaxed);
    stats.connections_total = core_.connections_total.load(std::memory_order_relaxed);
    stats.connections_refused = core_.connections_refused.load(std::memory_order_relaxed);
    stats.requests_total = core_.requests_total.load(std::memory_order_relaxed);
    stats.requests_running = core_.requests_running.load(std::memory_order_relaxed);
    stats.timeouts = core_.timeouts.load(std::memory_order_relaxed);
    stats.bytes_in = core_.bytes_in.load(std::memory_order_relaxed);
    stats.bytes_out = core_.bytes_out.load(std::memory_order_relaxed);
    for (const auto& lane : core_.lanes) stats.lane_queued.push_back(lane->queued());
    return stats;
  }

  void stop(std::int64_t drain_ns) override {
    std::lock_guard lock(stop_mutex_);
    if (!io_thread_.joinable()) return;
    asio::post(core_.io, [this] {
      boost::system::error_code ignored;
      acceptor_.close(ignored);
      core_.draining = true;
      for (const auto& connection : snapshot()) connection->drain();
    });
    wait_until_quiet(monotonic_ns() + drain_ns);
    asio::post(core_.io, [this] {
      for (const auto& connection : snapshot()) connection->close_now();
    });
    for (const auto& lane : core_.lanes) lane->close();
    for (const auto& lane : core_.lanes) lane->join();
    asio::post(core_.io, [this] { core_.io.stop(); });  // after what the last handlers posted
    io_thread_.join();
    core_.connections.clear();
  }

  base::Status reload_tls() override {
    if (!core_.options.tls) return {};
    SKALD_TRY_ASSIGN(auto context, load_tls(*core_.options.tls));
    asio::post(core_.io, [this, context = std::move(context)] { core_.tls = context; });
    return {};
  }

 private:
  base::Status bind(const Address& address) {
    boost::system::error_code error;
    const auto host = asio::ip::make_address(address.host, error);
    if (error)
      return base::invalid_argument("listen address '" + core_.options.listen +
                                    "': the host must be an IP address or localhost");
    const tcp::endpoint endpoint(host, address.port);
    const auto failed = [&](const char* what) {
      return base::unavailable("cannot " + std::string(what) + " " + core_.options.listen + ": " +
                               error.message());
    };
    acceptor_.open(endpoint.protocol(), error);
    if (error) return failed("open");
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    acceptor_.bind(endpoint, error);
    if (error) return failed("bind");
    acceptor_.listen(4096, error);
    if (error) return failed("listen on");
    endpoint_ = acceptor_.local_endpoint(error);
    if (error) return failed("name");
    return {};
  }

  void accept_next() {
    acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
      if (!acceptor_.is_open()) return;
      if (error) {
        pause_.expires_after(kAcceptPause);
        pause_.async_wait([this](boost::system::error_code) {
          if (acceptor_.is_open()) accept_next();
        });
        return;
      }
      admit(std::move(socket));
      accept_next();
    });
  }

  void admit(tcp::socket socket) {
    core_.connections_total.fetch_add(1, std::memory_order_relaxed);
    if (core_.connections.size() >= core_.options.connections_max) {
      core_.connections_refused.fetch_add(1, std::memory_order_relaxed);
      return;  // the socket closes
    }
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto connection = core_.options.tls ? make_tls_connection(core_, std::move(socket))
                                              : make_plain_connection(core_, std::move(socket));
    core_.connections.insert(connection);
    connection->start();
  }

  std::vector<std::shared_ptr<ConnectionBase>> snapshot() const {
    return {core_.connections.begin(), core_.connections.end()};
  }

  void tick_later() {
    ticker_.expires_after(kTick);
    ticker_.async_wait([this](boost::system::error_code error) {
      if (error) return;
      const std::int64_t now_ns = monotonic_ns();
      for (const auto& connection : snapshot()) connection->tick(now_ns);
      core_.connections_open.store(core_.connections.size(), std::memory_order_relaxed);
      tick_later();
    });
  }

  // Every handler has returned and every answer is with the kernel, or the time is up.
  void wait_until_quiet(std::int64_t deadline_ns) {
    while (monotonic_ns() < deadline_ns) {
      std::promise<std::size_t> open;
      asio::post(core_.io, [&] { open.set_value(core_.connections.size()); });
      if (open.get_future().get() == 0 && core_.requests_running.load() == 0) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  ServerCore core_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_, ticker_;
  tcp::endpoint endpoint_;
  std::thread io_thread_;
  std::mutex stop_mutex_;
};

}  // namespace

std::int64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

base::Result<std::unique_ptr<HttpServer>> HttpServer::start(ServerOptions options,
                                                            Handler handler) {
  auto server = std::make_unique<HttpServerImpl>(std::move(options), std::move(handler));
  SKALD_TRY(server->open());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace skald::net
