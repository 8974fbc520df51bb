#pragma once
// Listens on one TCP or UDP address and hands on what arrives, as it arrives: for protocols with
// their own framing (syslog). One thread of its own, poll(); a sink that blocks holds up its
// senders, which is TCP's way of waiting.
//
// Threads: the sink is called from the listener's thread only; start(), stop() from another.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proto/base/status.h"
#include "proto/net/http_server.h"

namespace skald::net {

struct ByteListenerOptions {
  std::string listen;  // "host:port", ":port", "[::1]:port"; port 0: any free one
  bool udp = false;
  std::int64_t idle_timeout_ns = 120'000'000'000;  // TCP: a connection without a byte is closed
  std::size_t connections_max = 1024;              // TCP: beyond, accepted and closed
  std::optional<ServerTls> tls;                    // TCP
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // TCP. `connection` is a number never used twice; `peer` is an address without its port.
  virtual void on_open(std::uint64_t connection, const std::string& peer) = 0;
  // False: close this connection. The view lives during the call.
  virtual bool on_bytes(std::uint64_t connection, std::string_view bytes) = 0;
  // TLS went wrong (a stranger's certificate, plain text); on_close() follows.
  virtual void on_failure(std::uint64_t connection, const std::string& what) = 0;
  virtual void on_close(std::uint64_t connection) = 0;  // by the peer, the sink, or for idleness
  // UDP.
  virtual void on_datagram(const std::string& peer, std::string_view bytes) = 0;
};

class ByteListener {
 public:
  // `sink` outlives it. kInvalidArgument: not an address, or TLS files; kUnavailable: it is taken,
  // or not ours.
  static base::Result<std::unique_ptr<ByteListener>> start(ByteListenerOptions options,
                                                           ByteSink& sink);
  virtual ~ByteListener() = default;  // stops
  // Takes no more, waits for the call under way (make the sink return) and closes all.
  virtual void stop() = 0;
  virtual std::string address() const = 0;  // "127.0.0.1:1514", "[::]:1514"
};

}  // namespace skald::net
