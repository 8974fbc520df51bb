#include "proto/net/http_client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "proto/base/clock.h"
#include "proto/base/text_code.h"
#include "proto/base/unique_handle.h"
#include "proto/net/ssl_error.h"

// Own sockets with poll(), because every wait must end at the deadline or at cancel(); the bytes
// of the answer are parsed by Beast.

namespace skald::net {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kHeadBytesMax = 64U << 10;
constexpr std::size_t kReadBytes = 16U << 10;

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_ = -1;
};

// Waits on one socket until ready, deadline or cancellation.
class Waiter {
 public:
  explicit Waiter(const base::Clock& clock) : clock_(clock), wake_(::eventfd(0, EFD_CLOEXEC)) {}

  void set_deadline(std::int64_t deadline_ns) { deadline_ns_ = deadline_ns; }
  void cancel() noexcept {
    cancelled_.store(true);
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
  }
  bool cancelled() const noexcept { return cancelled_.load(); }

  base::Status wait(int fd, short events) {
    for (;;) {
      if (cancelled()) return base::cancelled("the exchange was cancelled");
      const std::int64_t left_ns = deadline_ns_ - clock_.monotonic_ns();
      if (left_ns <= 0) return base::deadline_exceeded("no answer within the deadline");
      pollfd fds[2] = {{fd, events, 0}, {wake_.get(), POLLIN, 0}};
      const std::int64_t left_ms = left_ns / base::kNsPerMs + 1;
      const int n = ::poll(fds, 2, static_cast<int>(std::min<std::int64_t>(left_ms, 1 << 30)));
      if (n < 0 && errno != EINTR) return base::from_errno(errno, "poll");
      if (n > 0 && fds[0].revents != 0) return {};
    }
  }

 private:
  const base::Clock& clock_;
  Descriptor wake_;
  std::atomic<bool> cancelled_{false};
  std::int64_t deadline_ns_ = 0;
};

base::Status lost(const std::string& what, int errno_value) {
  return base::Status(base::Code::kUnavailable, what + ": " + std::strerror(errno_value),
                      errno_value);
}

struct AddressFree {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

base::Result<Descriptor> connect_one(const addrinfo& address, Waiter& waiter,
                                     const std::string& where) {
  Descriptor fd(::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                         address.ai_protocol));
  if (fd.get() < 0) return lost("socket for " + where, errno);
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return lost("connect to " + where, errno);
    SKALD_TRY(waiter.wait(fd.get(), POLLOUT));
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return lost("connect to " + where, error);
  }
  return fd;
}

base::Result<Descriptor> connect_to(const HttpUrl& url, Waiter& waiter) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  in6_addr scratch{};
  if (::inet_pton(AF_INET, url.host.c_str(), &scratch) == 1 ||
      ::inet_pton(AF_INET6, url.host.c_str(), &scratch) == 1)
    hints.ai_flags = AI_NUMERICHOST;
  addrinfo* raw = nullptr;
  const std::string where = url.authority();
  if (const int code = ::getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &raw); code != 0)
    return base::unavailable("look up " + url.host + ": " + ::gai_strerror(code));
  const std::unique_ptr<addrinfo, AddressFree> list(raw);
  base::Status last = base::unavailable("look up " + url.host + ": no address");
  for (const addrinfo* address = list.get(); address != nullptr; address = address->ai_next) {
    auto fd = connect_one(*address, waiter, where);
    if (fd.ok()) return fd;
    last = std::move(fd).status();
    if (last.code() != base::Code::kUnavailable) break;
  }
  return last;
}

using SslContext = base::UniqueHandle<SSL_CTX, SSL_CTX_free>;
using Ssl = base::UniqueHandle<SSL, SSL_free>;

using Bio = base::UniqueHandle<BIO, BIO_free>;
using X509Ptr = base::UniqueHandle<X509, X509_free>;
using Key = base::UniqueHandle<EVP_PKEY, EVP_PKEY_free>;

Bio bio_of(const std::string& pem) {
  return Bio(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

int tls_version(const std::string& name, int fallback) {
  if (name == "TLS10") return TLS1_VERSION;
  if (name == "TLS11") return TLS1_1_VERSION;
  if (name == "TLS12") return TLS1_2_VERSION;
  if (name == "TLS13") return TLS1_3_VERSION;
  return fallback;
}

base::Status load_authorities(SSL_CTX* context, const TlsOptions& options) {
  if (!options.ca_file.empty()) {
    if (::SSL_CTX_load_verify_locations(context, options.ca_file.c_str(), nullptr) != 1)
      return base::invalid_argument("TLS ca_file " + options.ca_file + ": " + ssl_error_text());
    return {};
  }
  if (options.ca_pem.empty()) {
    ::SSL_CTX_set_default_verify_paths(context);
    return {};
  }
  const Bio bio = bio_of(options.ca_pem);
  int count = 0;
  while (const X509Ptr certificate{::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context), certificate.get());
    ++count;
  }
  ::ERR_clear_error();
  if (count == 0) return base::invalid_argument("TLS ca: no certificate in it");
  return {};
}

base::Status load_identity(SSL_CTX* context, const TlsOptions& options) {
  if (!options.cert_file.empty()) {
    if (::SSL_CTX_use_certificate_chain_file(context, options.cert_file.c_str()) != 1)
      return base::invalid_argument("TLS cert_file " + options.cert_file + ": " + ssl_error_text());
  } else if (!options.cert_pem.empty()) {
    const Bio bio = bio_of(options.cert_pem);
    const X509Ptr certificate(::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr || ::SSL_CTX_use_certificate(context, certificate.get()) != 1)
      return base::invalid_argument("TLS cert: " + ssl_error_text());
  }
  if (!options.key_file.empty()) {
    if (::SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
      return base::invalid_argument("TLS key_file " + options.key_file + ": " + ssl_error_text());
  } else if (!options.key_pem.empty()) {
    const Bio bio = bio_of(options.key_pem);
    const Key key(::PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    if (key == nullptr || ::SSL_CTX_use_PrivateKey(context, key.get()) != 1)
      return base::invalid_argument("TLS key: " + ssl_error_text());
  }
  return {};
}

base::Result<SslContext> make_ssl_context(const TlsOptions& options) {
  SslContext context(::SSL_CTX_new(::TLS_client_method()));
  if (context == nullptr) return base::internal("TLS: " + ssl_error_text());
  ::SSL_CTX_set_min_proto_version(context.get(), tls_version(options.min_version, TLS1_2_VERSION));
  ::SSL_CTX_set_max_proto_version(context.get(), tls_version(options.max_version, 0));
  SKALD_TRY(load_authorities(context.get(), options));
  SKALD_TRY(load_identity(context.get(), options));
  ::SSL_CTX_set_verify(context.get(),
                       options.insecure_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  return context;
}

// A TCP or TLS connection; every call ends at the waiter's deadline.
class Connection {
 public:
  Connection(Descriptor fd, Waiter& waiter, std::string key)
      : fd_(std::move(fd)), waiter_(waiter), key_(std::move(key)) {}

  const std::string& key() const noexcept { return key_; }

  base::Status start_tls(SSL_CTX* context, const std::string& name) {
    ssl_.reset(::SSL_new(context));
    if (ssl_ == nullptr || ::SSL_set_fd(ssl_.get(), fd_.get()) != 1)
      return base::internal("TLS: " + ssl_error_text());
    in6_addr scratch{};
    const bool numeric = ::inet_pton(AF_INET, name.c_str(), &scratch) == 1 ||
                         ::inet_pton(AF_INET6, name.c_str(), &scratch) == 1;
    if (numeric) {
      ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl_.get()), name.c_str());
    } else {
      SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
      ::SSL_set1_host(ssl_.get(), name.c_str());
    }
    for (;;) {
      const int n = ::SSL_connect(ssl_.get());
      if (n == 1) return {};
      SKALD_TRY(wait_for_ssl(n, "TLS handshake with " + name));
    }
  }

  // True if the peer has closed (or sent bytes nobody asked for) since the last exchange.
  bool is_stale() const {
    pollfd fd{fd_.get(), POLLIN | POLLRDHUP, 0};
    return ::poll(&fd, 1, 0) != 0;
  }

  base::Status write(std::string_view bytes) {
    while (!bytes.empty()) {
      std::size_t count = 0;
      if (ssl_ != nullptr) {
        const int n = ::SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
        if (n != 1) {
          SKALD_TRY(wait_for_ssl(n, "write"));
          continue;
        }
      } else {
        const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0) {
          if (errno != EAGAIN && errno != EINTR) return lost("write", errno);
          SKALD_TRY(waiter_.wait(fd_.get(), POLLOUT));
          continue;
        }
        count = static_cast<std::size_t>(n);
      }
      bytes.remove_prefix(count);
    }
    return {};
  }

  // 0 at the end of the stream.
  base::Result<std::size_t> read(char* out, std::size_t size) {
    for (;;) {
      std::size_t count = 0;
      if (ssl_ != nullptr) {
        const int n = ::SSL_read_ex(ssl_.get(), out, size, &count);
        if (n == 1) return count;
        if (::SSL_get_error(ssl_.get(), n) == SSL_ERROR_ZERO_RETURN) return std::size_t{0};
        SKALD_TRY(wait_for_ssl(n, "read"));
      } else {
        const ssize_t n = ::recv(fd_.get(), out, size, 0);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EAGAIN && errno != EINTR) return lost("read", errno);
        SKALD_TRY(waiter_.wait(fd_.get(), POLLIN));
      }
    }
  }

 private:
  base::Status wait_for_ssl(int result, const std::string& what) {
    switch (::SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ: return waiter_.wait(fd_.get(), POLLIN);
      case SSL_ERROR_WANT_WRITE: return waiter_.wait(fd_.get(), POLLOUT);
      default: break;
    }
    if (const long verified = ::SSL_get_verify_result(ssl_.get()); verified != X509_V_OK) {
      ::ERR_clear_error();
      return base::unavailable(what +
                               ": certificate: " + ::X509_verify_cert_error_string(verified));
    }
    return base::unavailable(what + ": " + ssl_error_text());
  }

  Descriptor fd_;  // outlives ssl_
  Ssl ssl_;
  Waiter& waiter_;
  std::string key_;  // scheme and authority
};

// libssl writes with write(2), which raises SIGPIPE; a library must not change the process's
// handler, so this thread keeps the signal blocked.
void block_sigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

bool has_header(const HttpRequest& request, std::string_view name) {
  for (const auto& header : request.headers)
    if (header.first.size() == name.size() &&
        ::strncasecmp(header.first.data(), name.data(), name.size()) == 0)
      return true;
  return false;
}

base::Result<std::string> request_head(const HttpRequest& request, const HttpUrl& url) {
  std::string head = request.method + " " + url.target + " HTTP/1.1\r\nHost: " + url.authority();
  for (const auto& [name, value] : request.headers) {
    if (name.find_first_of(": \r\n") != std::string::npos ||
        value.find_first_of("\r\n") != std::string::npos)
      return base::invalid_argument("HTTP header '" + name + "' has a forbidden byte");
    head += "\r\n" + name + ": " + value;
  }
  if (!has_header(request, "User-Agent")) head += "\r\nUser-Agent: skald/0.1";
  if (!url.user_info.empty() && !has_header(request, "Authorization"))
    head += "\r\nAuthorization: Basic " + base::base64_encode(url.user_info);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT")
    head += "\r\nContent-Length: " + std::to_string(request.body.size());
  head += "\r\n\r\n";
  return head;
}

class HttpClient final : public HttpTransport {
 public:
  explicit HttpClient(HttpClientOptions options) : options_(std::move(options)) {}

  base::Result<HttpResponse> exchange(const HttpRequest& request) override {
    waiter_.set_deadline(base::Clock::system().monotonic_ns() + request.timeout_ns);
    if (waiter_.cancelled()) return base::cancelled("the client was cancelled");
    SKALD_TRY_ASSIGN(const HttpUrl url, parse_http_url(request.url));
    SKALD_TRY_ASSIGN(std::string head, request_head(request, url));
    const std::string key = (url.tls ? "https://" : "http://") + url.authority();
    if (connection_.has_value() && (connection_->key() != key || connection_->is_stale()))
      connection_.reset();
    const bool reused = connection_.has_value();
    bool answered = false;
    auto response = try_once(url, key, head, request, answered);
    if (!response.ok() && reused && !answered &&
        response.status().code() == base::Code::kUnavailable)
      response = try_once(url, key, head, request, answered);
    return response;
  }

  void cancel() override { waiter_.cancel(); }

 private:
  base::Result<HttpResponse> try_once(const HttpUrl& url, const std::string& key,
                                      const std::string& head, const HttpRequest& request,
                                      bool& answered) {
    auto response = attempt(url, key, head, request, answered);
    if (!response.ok()) connection_.reset();
    return response;
  }

  base::Result<HttpResponse> attempt(const HttpUrl& url, const std::string& key,
                                     const std::string& head, const HttpRequest& request,
                                     bool& answered) {
    if (!connection_.has_value()) SKALD_TRY(open(url, key));
    // One write for small requests: head and body in one segment.
    const base::Status sent = request.body.size() <= kReadBytes
                                  ? connection_->write(head + std::string(request.body))
                                  : write_both(head, request.body);
    // A server that refuses a body (413) may answer and close before reading it all: the answer
    // counts more than the failed write.
    if (!sent.ok() && sent.code() != base::Code::kUnavailable) return sent;
    auto response = read_response(request.method == "HEAD", answered);
    if (!response.ok() && !sent.ok() && !answered) return sent;
    if (!sent.ok()) connection_.reset();
    return response;
  }

  base::Status write_both(const std::string& head, std::string_view body) {
    SKALD_TRY(connection_->write(head));
    return connection_->write(body);
  }

  base::Status open(const HttpUrl& url, const std::string& key) {
    SKALD_TRY_ASSIGN(Descriptor fd, connect_to(url, waiter_));
    connection_.emplace(std::move(fd), waiter_, key);
    if (!url.tls) return {};
    block_sigpipe();
    if (ssl_context_ == nullptr) {
      SKALD_TRY_ASSIGN(ssl_context_, make_ssl_context(options_.tls));
    }
    return connection_->start_tls(
        ssl_context_.get(), options_.tls.server_name.empty() ? url.host : options_.tls.server_name);
  }

  using Parser = http::response_parser<http::string_body>;

  base::Result<HttpResponse> read_response(bool is_head, bool& answered) {
    std::string pending;  // bytes the parser has not taken yet
    for (;;) {
      Parser parser;
      parser.header_limit(kHeadBytesMax);
      parser.body_limit(options_.body_max);
      parser.eager(true);
      if (is_head) parser.skip(true);
      SKALD_TRY(parse_message(parser, pending, answered));
      const unsigned status = parser.get().result_int();
      if (status >= 100 && status < 200) continue;  // interim, the real answer follows
      HttpResponse response;
      response.status = static_cast<int>(status);
      for (const auto& field : parser.get()) {
        std::string name(field.name_string());
        for (char& c : name)
          if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
        response.headers.emplace_back(std::move(name), std::string(field.value()));
      }
      if (!parser.keep_alive() || !pending.empty()) connection_.reset();
      response.body = std::move(parser.get().body());
      return response;
    }
  }

  base::Status parse_message(Parser& parser, std::string& pending, bool& answered) {
    boost::system::error_code error;
    bool need_more = pending.empty();
    while (!parser.is_done()) {
      if (need_more) {
        char bytes[kReadBytes];
        SKALD_TRY_ASSIGN(const std::size_t count, connection_->read(bytes, sizeof bytes));
        if (count == 0) {
          if (parser.got_some()) parser.put_eof(error);
          if (!parser.got_some() || error || !parser.is_done())
            return base::unavailable("the connection ended before the answer was complete");
          return {};
        }
        answered = true;
        pending.append(bytes, count);
      }
      const std::size_t used =
          parser.put(boost::asio::buffer(pending.data(), pending.size()), error);
      pending.erase(0, used);
      if (error == http::error::need_more) {
        error = {};
        need_more = true;
        continue;
      }
      if (error == http::error::body_limit)
        return base::resource_exhausted("the answer is larger than " +
                                        std::to_string(options_.body_max) + " bytes");
      if (error) return base::corrupt("not an HTTP answer: " + error.message());
      need_more = pending.empty();
    }
    return {};
  }

  const HttpClientOptions options_;
  Waiter waiter_{base::Clock::system()};
  SslContext ssl_context_;
  std::optional<Connection> connection_;
};

}  // namespace

std::unique_ptr<HttpTransport> make_http_client(HttpClientOptions options) {
  return std::make_unique<HttpClient>(std::move(options));
}

}  // namespace skald::net
