#pragma once
// Incoming HTTP/1.1: one I/O thread owns every socket and never blocks; handlers run on bounded
// pools of workers ("lanes"), so they may block on disk and compute for seconds.
//
// What the server does by itself: keep-alive and pipelining (answers in order), chunked bodies,
// Expect: 100-continue, HEAD, caps on head, body and their sum over all connections, deadlines for
// slow clients, response compression (zstd, gzip) as the client accepts, TLS and mutual TLS,
// WebSocket upgrade, and telling a running handler that its client went away.
//
// A handler gets a whole request and returns a whole response, or a function that streams the
// body. Handlers are called from several workers at once and must not throw.
//
//   auto server = HttpServer::start(options, [&](ServerRequest& request) { return answer(request);
//   });
//
// Threads: HttpServer's calls are safe from any thread; stop() must not be called by a handler.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/status.h"

namespace skald::net {

struct ServerRequest {
  std::string method;                                        // "GET"
  std::string target;                                        // as sent: "/a%2Fb?x=1"
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string peer;         // "127.0.0.1:51234"
  std::string client_name;  // common name of a verified client certificate; else empty
  // Becomes true when the client closes its connection. Never null; lives as long as the request
  // is being handled, the streaming of its body included.
  const std::atomic<bool>* cancelled = nullptr;

  std::string_view path() const noexcept;   // still percent-encoded: "/a%2Fb"
  std::string_view query() const noexcept;  // "x=1", empty if none
  std::string_view header(std::string_view lower_case_name) const noexcept;  // empty if absent
};

// Where a streaming handler writes its body.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // Collects small writes. Blocks while the client reads slower than the handler writes;
  // kCancelled once the client is gone or too slow: stop then.
  virtual base::Status write(std::string_view bytes) = 0;
};

// A WebSocket after its upgrade. Safe from any thread. Pings and pongs are answered and sent by
// the server (ServerOptions::ping_interval_ns).
class WebSocket {
 public:
  virtual ~WebSocket() = default;
  // Queues one text frame, never blocks. False if the socket is closed or its queue full
  // (kWebSocketQueueMax): the frame was not taken.
  virtual bool send_text(std::string text) = 0;
  virtual std::size_t queued() const noexcept = 0;  // frames not yet handed to the kernel
  virtual void close(std::uint16_t code, std::string_view reason) = 0;  // after what is queued
  virtual bool closed() const noexcept = 0;
};

struct ServerResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";  // empty: no such header
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // If set, `body` is ignored and this writes it, on the handler's worker, after the handler has
  // returned. An error ends the connection, so that the client sees a torn body.
  std::function<base::Status(BodySink&)> stream;
  // If set, and the request asks for it, the connection becomes a WebSocket; this is called once
  // with it on the I/O thread and must return at once.
  std::function<void(std::shared_ptr<WebSocket>)> websocket;

  static ServerResponse text(int status, std::string body);
  static ServerResponse json(std::string body, int status = 200);
};

using Handler = std::function<ServerResponse(ServerRequest&)>;

// A pool of workers with a queue of its own, so that slow queries do not hold up pushes.
struct Lane {
  std::string name;
  unsigned threads = 4;
  std::size_t queue_max = 256;  // beyond: 429 "too many outstanding requests"
};

struct ServerTls {
  std::string cert_file, key_file;  // PEM
  std::string client_ca_file;       // set: clients must present a certificate of this authority
  bool client_cert_optional = false;
};

struct ServerOptions {
  std::string listen = "127.0.0.1:3100";  // "host:port", "[::1]:3100"; port 0: any free one
  std::optional<ServerTls> tls;
  std::size_t head_bytes_max = 64U << 10;
  std::size_t body_bytes_max = 100U << 20;              // beyond: 413
  std::size_t body_bytes_total_max = 384U << 20;        // being received, all connections: then 503
  std::size_t connections_max = 12'000;                 // beyond: accepted and closed
  std::int64_t head_timeout_ns = 10'000'000'000;        // first byte of a head to its end
  std::int64_t body_stall_timeout_ns = 20'000'000'000;  // without a byte of the body
  std::size_t body_rate_min = 1024;                     // bytes/s over the whole body
  std::int64_t idle_timeout_ns = 120'000'000'000;       // kept alive without a request
  std::int64_t write_stall_timeout_ns = 30'000'000'000;  // client takes no byte of the answer
  std::int64_t ping_interval_ns = 1'000'000'000;         // WebSocket
  bool compress = true;
  std::vector<Lane> lanes = {Lane{"work"}};
  // Picks the lane by method and path (the body is not there yet). Runs on the I/O thread.
  std::function<std::size_t(const ServerRequest&)> lane_of;
};

constexpr std::size_t kWebSocketQueueMax = 10;  // frames, as Loki's tailer buffers

struct ServerStats {
  std::uint64_t connections_open = 0, connections_total = 0, connections_refused = 0;
  std::uint64_t requests_total = 0, requests_running = 0, timeouts = 0, bytes_in = 0, bytes_out = 0;
  std::vector<std::size_t> lane_queued;
};

class HttpServer {
 public:
  // Binds, listens and serves. kInvalidArgument: address or TLS files; kUnavailable: port taken.
  static base::Result<std::unique_ptr<HttpServer>> start(ServerOptions options, Handler handler);
  virtual ~HttpServer() = default;  // stop(0) if it was not called

  virtual std::uint16_t port() const noexcept = 0;
  virtual std::string url() const = 0;  // "http://127.0.0.1:3100"
  virtual ServerStats stats() const = 0;
  // Takes no new connections, lets requests under way finish for `drain_ns`, then cancels them.
  // Returns when no handler runs any more.
  virtual void stop(std::int64_t drain_ns) = 0;
  // Reads certificate and key again; the old ones stay if that fails.
  virtual base::Status reload_tls() = 0;
};

}  // namespace skald::net
