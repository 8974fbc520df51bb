#include "proto/net/http_client.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "proto/base/clock.h"

namespace skald::net {
namespace {

// Accepts connections one after another and hands each to a script.
class ScriptedServer {
 public:
  using Script = std::function<void(int fd, int connection)>;
  explicit ScriptedServer(Script script) : script_(std::move(script)) {
    listen_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listen_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listen_, 8), 0);
    socklen_t size = sizeof address;
    ::getsockname(listen_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() {
    ::shutdown(listen_, SHUT_RDWR);
    thread_.join();
    ::close(listen_);
  }
  std::string url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  void serve() {
    for (int connection = 0;; ++connection) {
      const int fd = ::accept(listen_, nullptr, nullptr);
      if (fd < 0) return;
      script_(fd, connection);
      ::close(fd);
    }
  }
  Script script_;
  int listen_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

// Reads one request (head and Content-Length body); empty at the end of the stream.
std::string read_request(int fd) {
  std::string text;
  char bytes[4096];
  for (;;) {
    const std::size_t head_end = text.find("\r\n\r\n");
    if (head_end != std::string::npos) {
      const std::size_t at = text.find("Content-Length: ");
      const std::size_t size = at == std::string::npos ? 0 : std::stoul(text.substr(at + 16));
      if (text.size() >= head_end + 4 + size) return text;
    }
    const ssize_t n = ::recv(fd, bytes, sizeof bytes, 0);
    if (n <= 0) return {};
    text.append(bytes, static_cast<std::size_t>(n));
  }
}

void reply(int fd, std::string_view text) {
  static_cast<void>(::send(fd, text.data(), text.size(), MSG_NOSIGNAL));
}

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(HttpClient, KeepsTheConnectionAndSendsHeadersAndBody) {
  std::string first;
  ScriptedServer server([&](int fd, int connection) {
    if (connection == 0) first = read_request(fd);
    reply(fd, kOk);
    if (!read_request(fd).empty()) reply(fd, connection == 0 ? kOk : "x");
  });
  auto client = make_http_client();
  HttpRequest request;
  request.method = "POST";
  request.url = server.url("/a?b=c");
  request.headers = {{"X-Scope-OrgID", "t1"}};
  request.body = "hello";
  for (int i = 0; i < 2; ++i) {
    const auto response = client->exchange(request);
    ASSERT_TRUE(response.ok()) << response.status().to_string();
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "ok");
  }
  EXPECT_TRUE(first.starts_with("POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:"));
  EXPECT_NE(first.find("\r\nX-Scope-OrgID: t1\r\n"), std::string::npos);
  EXPECT_TRUE(first.ends_with("Content-Length: 5\r\n\r\nhello"));
}

TEST(HttpClient, ReplacesAKeptConnectionThatEnded) {
  ScriptedServer server([](int fd, int) {
    read_request(fd);
    reply(fd, kOk);
  });
  auto client = make_http_client();
  HttpRequest request;
  request.url = server.url();
  for (int i = 0; i < 3; ++i) {
    const auto response = client->exchange(request);
    ASSERT_TRUE(response.ok()) << response.status().to_string();
  }
}

TEST(HttpClient, ReadsEveryBodyFraming) {
  const std::string_view answers[] = {
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\nabcde",  // until the end of the stream
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
      "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
  };
  for (const std::string_view answer : answers) {
    ScriptedServer server([&](int fd, int) {
      read_request(fd);
      for (const char c : answer) reply(fd, std::string_view(&c, 1));  // one byte at a time
    });
    HttpRequest request;
    request.url = server.url();
    const auto response = make_http_client()->exchange(request);
    ASSERT_TRUE(response.ok()) << response.status().to_string() << answer;
    EXPECT_EQ(response->body, "abcde") << answer;
  }
}

TEST(HttpClient, ReportsEveryWayToFail) {
  const struct {
    std::string_view answer;
    base::Code code;
  } cases[] = {
      {"", base::Code::kUnavailable},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", base::Code::kUnavailable},
      {"garbage\r\n\r\n", base::Code::kCorrupt},
      {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", base::Code::kResourceExhausted},
  };
  for (const auto& c : cases) {
    ScriptedServer server([&](int fd, int) {
      read_request(fd);
      reply(fd, c.answer);
    });
    HttpRequest request;
    request.url = server.url();
    HttpClientOptions options;
    options.body_max = 50;
    const auto response = make_http_client(options)->exchange(request);
    ASSERT_FALSE(response.ok()) << c.answer;
    EXPECT_EQ(response.status().code(), c.code) << response.status().to_string();
  }
}

TEST(HttpClient, EndsAtTheDeadlineAndAtCancel) {
  std::atomic<bool> stop{false};
  ScriptedServer server([&](int fd, int) {
    read_request(fd);
    while (!stop) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  });
  auto client = make_http_client();
  HttpRequest request;
  request.url = server.url();
  request.timeout_ns = 50 * base::kNsPerMs;
  EXPECT_EQ(client->exchange(request).status().code(), base::Code::kDeadlineExceeded);
  stop = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  stop = false;
  request.timeout_ns = 20 * base::kNsPerSecond;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    client->cancel();
  });
  EXPECT_EQ(client->exchange(request).status().code(), base::Code::kCancelled);
  EXPECT_EQ(client->exchange(request).status().code(), base::Code::kCancelled);
  canceller.join();
  stop = true;
}

TEST(HttpClient, RefusedConnectionsAreUnavailable) {
  HttpRequest request;
  request.url = "http://127.0.0.1:1/";
  EXPECT_EQ(make_http_client()->exchange(request).status().code(), base::Code::kUnavailable);
}

TEST(HttpClient, RefusesHeadersThatWouldSplitTheRequest) {
  HttpRequest request;
  request.url = "http://127.0.0.1:1/";
  request.headers = {{"X", "a\r\nY: b"}};
  EXPECT_EQ(make_http_client()->exchange(request).status().code(), base::Code::kInvalidArgument);
}

TEST(HttpUrl, SplitsGoodUrlsAndRefusesBadOnes) {
  const struct {
    std::string_view url, host, port, target, user_info;
  } good[] = {
      {"http://a", "a", "80", "/", ""},
      {"https://a.b/c?d=e#f", "a.b", "443", "/c?d=e", ""},
      {"http://u:p%40@h:81?x=1", "h", "81", "/?x=1", "u:p@"},
      {"http://[::1]:3100/p", "::1", "3100", "/p", ""},
  };
  for (const auto& c : good) {
    const auto url = parse_http_url(c.url);
    ASSERT_TRUE(url.ok()) << c.url;
    EXPECT_EQ(url->host, c.host);
    EXPECT_EQ(url->port, c.port);
    EXPECT_EQ(url->target, c.target);
    EXPECT_EQ(url->user_info, c.user_info);
  }
  for (const std::string_view url : {"", "a", "ftp://a", "http://", "http://a:0", "http://a:x",
                                     "http://[::1", "http://a/b c", "http://a/\r\nX: y"})
    EXPECT_FALSE(parse_http_url(url).ok()) << url;
}

TEST(Encoding, EverythingButUnreservedIsPercentEncoded) {
  EXPECT_EQ(percent_encode("a b/\xC3\xA9~"), "a%20b%2F%C3%A9~");
}

}  // namespace
}  // namespace skald::net
