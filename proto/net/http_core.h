#pragma once
// What all connections of one HTTP server share. Private to the HTTP server. Everything but the
// counters belongs to the I/O thread.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <unordered_set>
#include <vector>

#include "proto/net/http_lanes.h"
#include "proto/net/http_server.h"

namespace skald::net {

class ConnectionBase : public std::enable_shared_from_this<ConnectionBase> {
 public:
  virtual ~ConnectionBase() = default;
  virtual void start() = 0;
  virtual void tick(std::int64_t now_ns) = 0;  // enforces deadlines; twice a second
  virtual void drain() = 0;                    // closes if idle, else after the answer under way
  virtual void close_now() = 0;                // cancels whatever runs
};

struct ServerCore {
  ServerOptions options;
  Handler handler;
  boost::asio::io_context io{1};
  std::vector<std::unique_ptr<WorkerLane>> lanes;
  std::unordered_set<std::shared_ptr<ConnectionBase>> connections;
  std::shared_ptr<boost::asio::ssl::context> tls;
  bool draining = false;
  // Being received, all connections. Atomic: the last owner of a connection may be a worker.
  std::atomic<std::size_t> body_bytes{0};

  std::atomic<std::uint64_t> connections_open{0}, connections_total{0}, connections_refused{0};
  std::atomic<std::uint64_t> requests_total{0}, requests_running{0}, timeouts{0};
  std::atomic<std::uint64_t> bytes_in{0}, bytes_out{0};
};

std::int64_t monotonic_ns() noexcept;

std::shared_ptr<ConnectionBase> make_plain_connection(ServerCore& core,
                                                      boost::asio::ip::tcp::socket socket);
// kInvalidArgument: a file that cannot be read or used.
base::Result<std::shared_ptr<boost::asio::ssl::context>> load_tls(const ServerTls& tls);
std::shared_ptr<ConnectionBase> make_tls_connection(ServerCore& core,
                                                    boost::asio::ip::tcp::socket socket);

}  // namespace skald::net
