#include "proto/net/byte_listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/unique_handle.h"
#include "proto/net/http_core.h"
#include "proto/net/ssl_error.h"

namespace skald::net {
namespace {

constexpr std::size_t kReadBytes = 64U << 10;  // a UDP datagram at its largest
constexpr int kTickMs = 500;                   // how exact idle_timeout is

struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  explicit Descriptor(int value) : fd(value) {}
  Descriptor(Descriptor&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd, other.fd);
    return *this;
  }
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// "host" and "port" of "host:port"; false without a port.
bool split_address(const std::string& text, std::string& host, std::string& port) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size()) return false;
  host = text.substr(0, colon);
  port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return true;
}

std::string text_of(const sockaddr_storage& address, socklen_t size, bool with_port) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "";
  std::string text = host;
  if (text.starts_with("::ffff:") && text.find('.') != std::string::npos) text.erase(0, 7);
  if (!with_port) return text;
  return (text.find(':') != std::string::npos ? "[" + text + "]" : text) + ":" + port;
}

base::Result<Descriptor> bind_one(const addrinfo& info, bool udp) {
  Descriptor socket(
      ::socket(info.ai_family, info.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info.ai_protocol));
  const int on = 1;
  if (socket.fd < 0 || ::setsockopt(socket.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket.fd, info.ai_addr, info.ai_addrlen) != 0 ||
      (!udp && ::listen(socket.fd, SOMAXCONN) != 0))
    return base::unavailable(std::strerror(errno));
  return socket;
}

base::Result<Descriptor> open_socket(const std::string& listen, bool udp) {
  std::string host, port;
  if (!split_address(listen, host, port))
    return base::invalid_argument("`" + listen + "` is not host:port");
  addrinfo hints{};
  hints.ai_socktype = udp ? SOCK_DGRAM : SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) return base::invalid_argument("`" + listen + "`: " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  base::Result<Descriptor> last = base::unavailable("no address");
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    last = bind_one(*info, udp);
    if (last.ok()) return last;
  }
  return std::move(last).status().with_context("listen on " + listen);
}

class PollListener final : public ByteListener {
 public:
  PollListener(ByteListenerOptions options, ByteSink& sink, Descriptor socket,
               std::shared_ptr<boost::asio::ssl::context> tls)
      : options_(std::move(options)),
        sink_(sink),
        tls_(std::move(tls)),
        socket_(std::move(socket)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        buffer_(new char[kReadBytes]) {
    thread_ = std::thread([this] { run(); });
  }
  ~PollListener() override { stop(); }

  void stop() override {
    stopping_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_.fd, &one, sizeof one);
    if (thread_.joinable()) thread_.join();
  }

  std::string address() const override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(socket_.fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
    return text_of(address, size, true);
  }

 private:
  struct Connection {
    Descriptor socket;
    std::uint64_t number = 0;
    std::int64_t heard_ns = 0;
    base::UniqueHandle<SSL, SSL_free> tls;
    bool wants_write = false;  // TLS: to go on
  };

  void run() {
    std::vector<pollfd> fds;
    while (!stopping_) {
      fds.assign({{wake_.fd, POLLIN, 0}, {socket_.fd, POLLIN, 0}});
      for (const Connection& connection : connections_)
        fds.push_back({connection.socket.fd,
                       static_cast<short>(connection.wants_write ? POLLIN | POLLOUT : POLLIN), 0});
      if (::poll(fds.data(), fds.size(), connections_.empty() ? -1 : kTickMs) < 0 && errno != EINTR)
        break;
      if (stopping_) break;
      const std::int64_t now_ns = base::Clock::system().monotonic_ns();
      for (std::size_t i = 2; i < fds.size() && !stopping_; ++i)
        serve(connections_[i - 2], fds[i].revents != 0, now_ns);
      std::erase_if(connections_, [](const Connection& c) { return c.socket.fd < 0; });
      if (fds[1].revents != 0 && !stopping_) options_.udp ? take_datagrams() : accept_all(now_ns);
    }
    for (Connection& connection : connections_) close(connection);
  }

  void close(Connection& connection) {
    connection.tls.reset();
    connection.socket = Descriptor();
    sink_.on_close(connection.number);
  }

  void serve(Connection& connection, bool readable, std::int64_t now_ns) {
    if (!readable) {
      if (now_ns - connection.heard_ns > options_.idle_timeout_ns) close(connection);
      return;
    }
    if (connection.tls != nullptr) return serve_tls(connection, now_ns);
    const ssize_t n = ::recv(connection.socket.fd, buffer_.get(), kReadBytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    connection.heard_ns = now_ns;
    if (n <= 0 || !sink_.on_bytes(connection.number, {buffer_.get(), static_cast<std::size_t>(n)}))
      close(connection);
  }

  // Reads until the socket has no more: poll() does not know what OpenSSL has read already.
  void serve_tls(Connection& connection, std::int64_t now_ns) {
    connection.heard_ns = now_ns;
    connection.wants_write = false;
    do {
      ERR_clear_error();
      const int n = SSL_read(connection.tls.get(), buffer_.get(), static_cast<int>(kReadBytes));
      if (n <= 0) {
        const int error = SSL_get_error(connection.tls.get(), n);
        connection.wants_write = error == SSL_ERROR_WANT_WRITE;
        if (connection.wants_write || error == SSL_ERROR_WANT_READ) return;
        if (error == SSL_ERROR_SSL) sink_.on_failure(connection.number, "TLS: " + ssl_error_text());
        return close(connection);
      }
      if (!sink_.on_bytes(connection.number, {buffer_.get(), static_cast<std::size_t>(n)}))
        return close(connection);
    } while (SSL_pending(connection.tls.get()) > 0);
  }

  void accept_all(std::int64_t now_ns) {
    for (;;) {
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      Descriptor socket(::accept4(socket_.fd, reinterpret_cast<sockaddr*>(&address), &size,
                                  SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (socket.fd < 0) {
        // Out of descriptors: the connection stays in the kernel's queue; do not spin on it.
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) ::usleep(kTickMs * 100);
        return;
      }
      if (connections_.size() >= options_.connections_max) continue;
      base::UniqueHandle<SSL, SSL_free> tls;
      if (tls_ != nullptr) {
        tls.reset(SSL_new(tls_->native_handle()));
        if (tls == nullptr || SSL_set_fd(tls.get(), socket.fd) != 1) continue;
        SSL_set_accept_state(tls.get());
      }
      connections_.push_back({std::move(socket), ++last_number_, now_ns, std::move(tls), false});
      sink_.on_open(last_number_, text_of(address, size, false));
    }
  }

  void take_datagrams() {
    while (!stopping_) {
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      const ssize_t n = ::recvfrom(socket_.fd, buffer_.get(), kReadBytes, 0,
                                   reinterpret_cast<sockaddr*>(&address), &size);
      if (n < 0) return;
      sink_.on_datagram(text_of(address, size, false),
                        {buffer_.get(), static_cast<std::size_t>(n)});
    }
  }

  const ByteListenerOptions options_;
  ByteSink& sink_;
  const std::shared_ptr<boost::asio::ssl::context> tls_;  // null: none
  const Descriptor socket_;
  const Descriptor wake_;
  const std::unique_ptr<char[]> buffer_;
  std::vector<Connection> connections_;
  std::uint64_t last_number_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

base::Result<std::unique_ptr<ByteListener>> ByteListener::start(ByteListenerOptions options,
                                                                ByteSink& sink) {
  std::shared_ptr<boost::asio::ssl::context> tls;
  if (options.tls) {
    SKALD_TRY_ASSIGN(tls, load_tls(*options.tls));
  }
  SKALD_TRY_ASSIGN(Descriptor socket, open_socket(options.listen, options.udp));
  return std::unique_ptr<ByteListener>(
      new PollListener(std::move(options), sink, std::move(socket), std::move(tls)));
}

}  // namespace skald::net
