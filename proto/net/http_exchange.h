#pragma once
// One request and its answer, between the connection that received it (I/O thread) and the worker
// that runs the handler. Private to the HTTP server.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "proto/net/compress.h"
#include "proto/net/http_server.h"

namespace skald::net {

// The connection as a worker sees it. Calls are safe from any thread and never block.
class Outlet {
 public:
  virtual ~Outlet() = default;
  // Bytes to the client; `last` ends the exchange, after which the connection is kept or closed.
  virtual void send(std::string bytes, bool last, bool keep_alive) = 0;
  virtual void abort() = 0;  // the answer cannot be finished: tear the connection
  virtual void upgrade(std::function<void(std::shared_ptr<WebSocket>)> opened) = 0;
};

struct Exchange {
  ServerRequest request;
  std::atomic<bool> cancelled{false};
  bool keep_alive = false;
  bool head_only = false;  // HEAD
  bool http_1_0 = false;   // no chunked answers
  bool upgrade = false;    // asks for a WebSocket
  Coding coding = Coding::kIdentity;
  std::shared_ptr<Outlet> outlet;

  // Flow control of a streamed answer.
  void add_in_flight(std::size_t bytes);
  void written(std::size_t bytes);
  bool wait_below(std::size_t bytes);  // false: the client is gone
  void client_gone();                  // sets cancelled and wakes wait_below()

 private:
  std::mutex mutex_;
  std::condition_variable moved_;
  std::size_t in_flight_ = 0;
};

// On a worker: runs the handler and sends its answer. Nothing escapes.
void run_exchange(Exchange& exchange, const Handler& handler);
// Sends a response that needs no handler (errors found by the connection itself).
std::string serialize_response(const ServerResponse& response, bool keep_alive, bool head_only);

}  // namespace skald::net
