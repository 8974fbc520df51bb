#pragma once
// A WebSocket client (RFC 6455) as live tail needs it: plain TCP, text frames in, pongs out.
// Blocking, one thread. Frames are capped at kFrameBytesMax.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/base/status.h"

namespace skald::query::cli {

constexpr std::size_t kFrameBytesMax = 64U << 20;  // a tail frame holds at most some 100 entries

class WebSocketClient {
 public:
  WebSocketClient() = default;
  ~WebSocketClient();
  WebSocketClient(const WebSocketClient&) = delete;
  WebSocketClient& operator=(const WebSocketClient&) = delete;

  // `url` is http://host:port/path?query. kInvalidArgument with the server's text if it refuses
  // the upgrade; kUnsupported for https.
  base::Status connect(const std::string& url,
                       const std::vector<std::pair<std::string, std::string>>& headers);
  // The next text message. kCancelled with the reason when the server closed the socket.
  base::Result<std::string> receive();

 private:
  base::Status fill(std::size_t bytes);  // until `buffer_` holds so many
  base::Status send_frame(unsigned char opcode, std::string_view payload);
  base::Status send_all(std::string_view bytes);
  base::Status read_refusal(std::string_view head);

  int fd_ = -1;
  std::string buffer_;  // received, not yet consumed
};

}  // namespace skald::query::cli
