#include "query/cli/websocket.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <memory>

namespace skald::query::cli {
namespace {

constexpr unsigned char kText = 1, kClose = 8, kPing = 9, kPong = 10;
constexpr std::size_t kHeadBytesMax = 64U << 10;
// Keys and masks protect caches on the way from scripts in browsers (RFC 6455, 10.3); a command
// line tool gains nothing from random ones.
constexpr std::string_view kKey = "c2thbGRjdGwgc2thbGRjdA==";

struct Target {
  std::string host, port, path;
};

base::Result<Target> parse_target(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (url.compare(0, kScheme.size(), kScheme) != 0) {
    return base::unsupported("live tail needs an http:// address");
  }
  Target target;
  std::string rest = url.substr(kScheme.size());
  const std::size_t slash = rest.find('/');
  target.path = slash == std::string::npos ? "/" : rest.substr(slash);
  rest.resize(std::min(slash, rest.size()));
  const std::size_t bracket = rest.rfind(']');
  const std::size_t colon = rest.rfind(':');
  const bool has_port =
      colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  target.port = has_port ? rest.substr(colon + 1) : "80";
  target.host = has_port ? rest.substr(0, colon) : rest;
  if (target.host.size() > 2 && target.host.front() == '[') {
    target.host = target.host.substr(1, target.host.size() - 2);
  }
  return target;
}

base::Result<int> connect_to(const Target& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found);
  if (error != 0) {
    return base::unavailable(target.host + ":" + target.port + ": " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  int last = ECONNREFUSED;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const int fd = ::socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    if (::connect(fd, address->ai_addr, address->ai_addrlen) == 0) return fd;
    last = errno;
    ::close(fd);
  }
  return base::unavailable(
      std::string(base::from_errno(last, target.host + ":" + target.port).message()));
}

std::size_t content_length(std::string_view head) {
  std::string lower(head);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::size_t at = lower.find("\r\ncontent-length:");
  if (at == std::string::npos) return 0;
  std::size_t value = 0;
  for (std::size_t i = at + 17; i < lower.size() && value < kHeadBytesMax; ++i) {
    if (lower[i] == ' ') continue;
    if (std::isdigit(static_cast<unsigned char>(lower[i])) == 0) break;
    value = value * 10 + static_cast<std::size_t>(lower[i] - '0');
  }
  return value;
}

}  // namespace

WebSocketClient::~WebSocketClient() {
  if (fd_ >= 0) ::close(fd_);
}

base::Status WebSocketClient::connect(
    const std::string& url, const std::vector<std::pair<std::string, std::string>>& headers) {
  SKALD_TRY_ASSIGN(const Target target, parse_target(url));
  SKALD_TRY_ASSIGN(fd_, connect_to(target));
  std::string request = "GET " + target.path + " HTTP/1.1\r\nHost: " + target.host + ":" +
                        target.port + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + std::string(kKey) +
                        "\r\n";
  for (const auto& [name, value] : headers) request += name + ": " + value + "\r\n";
  SKALD_TRY(send_all(request + "\r\n"));
  std::size_t end = std::string::npos;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (buffer_.size() > kHeadBytesMax) return base::corrupt("the answer's head is too long");
    SKALD_TRY(fill(buffer_.size() + 1));
  }
  const std::string head = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  if (head.find(" 101 ") != std::string::npos && head.compare(0, 5, "HTTP/") == 0) return {};
  return read_refusal(head);
}

base::Status WebSocketClient::read_refusal(std::string_view head) {
  const std::size_t length = content_length(head);
  if (length > 0) {
    base::Status status = fill(length);  // what came is shown even if this fails
    if (!status.ok() && buffer_.empty()) return status;
  }
  while (!buffer_.empty() && std::isspace(static_cast<unsigned char>(buffer_.back())) != 0) {
    buffer_.pop_back();
  }
  const std::string line(head.substr(0, head.find("\r\n")));
  return base::invalid_argument("the server refused to tail: " + line +
                                (buffer_.empty() ? "" : ": " + buffer_));
}

base::Result<std::string> WebSocketClient::receive() {
  std::string message;
  while (true) {
    SKALD_TRY(fill(2));
    const auto first = static_cast<unsigned char>(buffer_[0]);
    std::uint64_t length = static_cast<unsigned char>(buffer_[1]) & 0x7FU;
    const std::size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    SKALD_TRY(fill(2 + extra));
    if (extra > 0) length = 0;
    for (std::size_t i = 0; i < extra; ++i) {
      length = length << 8 | static_cast<unsigned char>(buffer_[2 + i]);
    }
    if (length > kFrameBytesMax || message.size() + length > kFrameBytesMax) {
      return base::corrupt("a frame of more than 64 MiB");
    }
    SKALD_TRY(fill(2 + extra + static_cast<std::size_t>(length)));
    const std::string payload = buffer_.substr(2 + extra, static_cast<std::size_t>(length));
    buffer_.erase(0, 2 + extra + static_cast<std::size_t>(length));
    const unsigned char opcode = first & 0x0FU;
    if (opcode == kClose) {
      const base::Status sent = send_frame(kClose, payload.substr(0, 2));
      return base::cancelled("the server ended the tail" +
                             (payload.size() > 2 ? ": " + payload.substr(2) : "") +
                             (sent.ok() ? "" : " (connection lost)"));
    }
    if (opcode == kPing) {
      SKALD_TRY(send_frame(kPong, payload));
    } else if (opcode <= kText + 1) {  // continuation, text, binary
      message += payload;
      if ((first & 0x80U) != 0) return message;
    }
  }
}

base::Status WebSocketClient::fill(std::size_t bytes) {
  char block[16 << 10];
  while (buffer_.size() < bytes) {
    const ssize_t got = ::recv(fd_, block, sizeof block, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::from_errno(errno, "tail");
    if (got == 0) return base::unavailable("the server closed the connection");
    buffer_.append(block, static_cast<std::size_t>(got));
  }
  return {};
}

base::Status WebSocketClient::send_frame(unsigned char opcode, std::string_view payload) {
  std::string frame;
  frame += static_cast<char>(0x80U | opcode);
  frame += static_cast<char>(0x80U | std::min<std::size_t>(payload.size(), 125));
  frame.append(4, '\0');  // a mask of zeros leaves the payload as it is
  frame += payload.substr(0, 125);
  return send_all(frame);
}

base::Status WebSocketClient::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return base::from_errno(errno, "tail");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

}  // namespace skald::query::cli
