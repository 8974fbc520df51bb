#pragma once
// One client connection. Private to the HTTP server; a template over the stream (plain or TLS),
// instantiated in http_plain.cc and http_tls.cc.
//
// A read is pending nearly always, also while a handler runs: that is how a client that goes away
// is noticed. Bytes read meanwhile are the next, pipelined request and wait in the buffer.

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <cctype>
#include <deque>
#include <optional>

#include "proto/net/http_core.h"
#include "proto/net/http_exchange.h"
#include "proto/net/http_websocket.h"

namespace skald::net {

namespace asio = boost::asio;
namespace http = boost::beast::http;

// A body that grows as bytes arrive: a Content-Length alone allocates nothing to speak of.
struct GrowingBody {
  using value_type = std::string;
  static std::uint64_t size(const value_type& body) { return body.size(); }
  class reader {
   public:
    template <bool request, class Fields>
    reader(http::header<request, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<std::uint64_t>& length, boost::system::error_code& error) {
      error = {};
      if (length)
        body_.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(*length, 2U << 20)));
    }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      std::size_t size = 0;
      for (const auto buffer : boost::beast::buffers_range_ref(buffers)) {
        body_.append(static_cast<const char*>(buffer.data()), buffer.size());
        size += buffer.size();
      }
      return size;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

using RequestParser = http::request_parser<GrowingBody>;

template <typename Stream>
class Connection final : public ConnectionBase, public Outlet {
 public:
  template <typename... Args>
  Connection(ServerCore& core, std::string peer, Args&&... args)
      : core_(core), stream_(std::forward<Args>(args)...), peer_(std::move(peer)) {
    deadline_ns_ = monotonic_ns() + core_.options.head_timeout_ns;
  }
  ~Connection() override { count_body(0); }

  void start() override {
    if constexpr (kTls) {
      handshaking_ = true;
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = self()](boost::system::error_code error) {
                                self->handshaking_ = false;
                                if (error || self->closed_) return self->close_now();
                                self->client_name_ = self->certificate_name();
                                self->read_more();
                              });
    } else {
      read_more();
    }
  }

  void tick(std::int64_t now_ns) override {
    if (closed_ || upgraded_) return;
    if (write_deadline_ns_ != 0 && now_ns > write_deadline_ns_) return timed_out();
    if (deadline_ns_ == 0 || now_ns <= deadline_ns_) return;
    if (state_ == State::kReading && head_started_) {
      core_.timeouts.fetch_add(1, std::memory_order_relaxed);
      return refuse(408, "the request did not arrive in time\n");
    }
    timed_out();
  }

  void drain() override {
    draining_ = true;
    if (state_ == State::kReading && !head_started_ && !handshaking_) close_now();
  }

  void close_now() override {
    if (closed_) return;
    closed_ = true;
    if (exchange_ != nullptr) exchange_->client_gone();
    boost::system::error_code ignored;
    lowest().close(ignored);
    core_.connections.erase(shared_from_this());
  }

  // Outlet: from a worker.
  void send(std::string bytes, bool last, bool keep_alive) override {
    asio::post(core_.io, [self = self(), bytes = std::move(bytes), last, keep_alive]() mutable {
      self->enqueue(std::move(bytes), last, keep_alive);
    });
  }
  void abort() override {
    asio::post(core_.io, [self = self()] {
      self->close_now();
      self->exchange_.reset();
    });
  }
  void upgrade(std::function<void(std::shared_ptr<WebSocket>)> opened) override {
    asio::post(core_.io, [self = self(), opened = std::move(opened)]() mutable {
      self->become_websocket(std::move(opened));
    });
  }

 private:
  static constexpr bool kTls = !std::is_same_v<Stream, asio::ip::tcp::socket>;
  static constexpr std::size_t kReadMin = 4U << 10, kReadMax = 128U << 10;
  static constexpr std::size_t kPipelinedMax = 64U << 10;  // read ahead while a handler runs
  static constexpr std::int64_t kLingerNs = 2'000'000'000;
  enum class State : unsigned char { kReading, kHandling, kLingering };

  std::shared_ptr<Connection> self() {
    return std::static_pointer_cast<Connection>(shared_from_this());
  }
  auto& lowest() { return stream_.lowest_layer(); }

  void timed_out() {
    core_.timeouts.fetch_add(1, std::memory_order_relaxed);
    close_now();
  }

  std::string certificate_name() {
    std::string name;
    if constexpr (kTls) {
      X509* certificate = SSL_get_peer_certificate(stream_.native_handle());
      if (certificate == nullptr) return name;
      char text[256];
      const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                                 text, sizeof text);
      if (size > 0) name.assign(text, static_cast<std::size_t>(size));
      X509_free(certificate);
    }
    return name;
  }

  // ---- reading
  // A read fills scratch_, which nothing else touches while the read is pending. What the parser
  // does not take at once waits in ahead_.

  void read_more() {
    if (reading_ || closed_) return;
    if (state_ == State::kHandling &&
        (ahead_.size() >= kPipelinedMax || (exchange_ != nullptr && exchange_->upgrade)))
      return;
    scratch_.resize(std::clamp(read_size_, kReadMin, kReadMax));
    reading_ = true;
    stream_.async_read_some(asio::buffer(scratch_),
                            [self = self()](boost::system::error_code error, std::size_t size) {
                              self->on_read(error, size);
                            });
  }

  void on_read(boost::system::error_code error, std::size_t size) {
    reading_ = false;
    if (closed_) return;
    core_.bytes_in.fetch_add(size, std::memory_order_relaxed);
    if (error) {
      peer_closed_ = true;
      if (state_ != State::kHandling) return close_now();
      if (exchange_ != nullptr) exchange_->client_gone();
      return;
    }
    read_size_ =
        size == scratch_.size() ? size * 2 : read_size_;  // bulk bodies: fewer, larger reads
    if (state_ == State::kReading && ahead_.empty()) {
      const std::size_t taken = parse(scratch_.data(), size);
      ahead_.append(scratch_.data() + taken, size - taken);
    } else if (state_ != State::kLingering) {
      ahead_.append(scratch_.data(), size);
      parse_ahead();
    }
    read_more();
  }

  void parse_ahead() {
    if (state_ != State::kReading || ahead_.empty()) return;
    ahead_.erase(0, parse(ahead_.data(), ahead_.size()));
  }

  // Feeds the parser until it needs more or a request is complete; returns the bytes it took.
  std::size_t parse(const char* data, std::size_t size) {
    std::size_t at = 0;
    while (state_ == State::kReading && at < size && !closed_) {
      if (!parser_) begin_request();
      boost::system::error_code error;
      const std::size_t taken = parser_->put(asio::buffer(data + at, size - at), error);
      at += taken;
      const bool need_more = error == http::error::need_more;
      if (error && !need_more) {
        refuse_parse(error);
        break;
      }
      if (!on_progress()) break;
      if (parser_->is_done()) {
        dispatch();
      } else if (need_more || taken == 0) {
        if (size - at > core_.options.head_bytes_max + kReadMax)
          refuse(400, "a chunk header is too long\n");
        break;
      }
    }
    return at;
  }

  void begin_request() {
    parser_.emplace();
    parser_->eager(true);
    parser_->header_limit(static_cast<std::uint32_t>(core_.options.head_bytes_max));
    parser_->body_limit(core_.options.body_bytes_max);
    head_started_ = true;
    head_done_ = false;
    request_started_ns_ = monotonic_ns();
    deadline_ns_ = request_started_ns_ + core_.options.head_timeout_ns;
  }

  bool on_progress() {  // false: the request was refused
    if (!parser_->is_header_done()) return true;
    if (!head_done_) {
      head_done_ = true;
      if (!parser_->is_done() && expects_continue()) enqueue_raw("HTTP/1.1 100 Continue\r\n\r\n");
    }
    const std::size_t size = parser_->get().body().size();
    count_body(size);
    if (core_.body_bytes > core_.options.body_bytes_total_max) {
      refuse(503, "the server is receiving too many large bodies, try again\n");
      return false;
    }
    // Whichever ends first: a pause, or the time a client at the lowest allowed rate would need.
    const std::int64_t by_rate =
        request_started_ns_ + core_.options.head_timeout_ns + core_.options.body_stall_timeout_ns +
        static_cast<std::int64_t>(size / core_.options.body_rate_min) * 1'000'000'000;
    deadline_ns_ = std::min(monotonic_ns() + core_.options.body_stall_timeout_ns, by_rate);
    return true;
  }

  bool expects_continue() const {
    const auto value = parser_->get()[http::field::expect];
    return value.size() == 12 && std::equal(value.begin(), value.end(), "100-continue",
                                            [](char a, char b) { return std::tolower(a) == b; });
  }

  void count_body(std::size_t size) {
    core_.body_bytes += size - body_counted_;
    body_counted_ = size;
  }

  void refuse_parse(const boost::system::error_code& error) {
    if (error == http::error::body_limit)
      return refuse(413, "request body too large: the limit is " +
                             std::to_string(core_.options.body_bytes_max) + " bytes\n");
    if (error == http::error::header_limit)
      return refuse(431, "request head too large: the limit is " +
                             std::to_string(core_.options.head_bytes_max) + " bytes\n");
    refuse(400, "malformed HTTP request: " + error.message() + "\n");
  }

  // Answers without a handler and gives the connection up.
  void refuse(int status, std::string text) {
    core_.requests_total.fetch_add(1, std::memory_order_relaxed);
    count_body(0);
    state_ = State::kHandling;
    deadline_ns_ = 0;
    exchange_ = std::make_shared<Exchange>();
    enqueue(serialize_response(ServerResponse::text(status, std::move(text)), false, false), true,
            false);
  }

  // ---- handling

  void dispatch() {
    core_.requests_total.fetch_add(1, std::memory_order_relaxed);
    state_ = State::kHandling;
    deadline_ns_ = 0;
    auto& message = parser_->get();
    auto exchange = std::make_shared<Exchange>();
    exchange->keep_alive = message.keep_alive() && !draining_ && !core_.draining;
    exchange->http_1_0 = message.version() < 11;
    exchange->head_only = message.method() == http::verb::head;
    exchange->upgrade = boost::beast::websocket::is_upgrade(message);
    fill_request(exchange->request, message);
    exchange->request.cancelled = &exchange->cancelled;
    if (core_.options.compress)
      exchange->coding = choose_coding(exchange->request.header("accept-encoding"));
    exchange->outlet = self();
    exchange_ = exchange;
    if (exchange->upgrade) upgrade_head_ = std::move(message.base());
    count_body(0);
    parser_.reset();
    read_size_ = kReadMin;
    run_on_lane(std::move(exchange));
  }

  template <typename Message>
  void fill_request(ServerRequest& request, Message& message) {
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    request.peer = peer_;
    request.client_name = client_name_;
    for (const auto& field : message) {
      std::string name(field.name_string());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request.headers.emplace_back(std::move(name), std::string(field.value()));
    }
    request.body = std::move(message.body());
  }

  void run_on_lane(std::shared_ptr<Exchange> exchange) {
    const std::size_t lane =
        core_.options.lane_of ? core_.options.lane_of(exchange->request) : std::size_t{0};
    WorkerLane& pool = *core_.lanes[std::min(lane, core_.lanes.size() - 1)];
    const bool keep_alive = exchange->keep_alive;
    core_.requests_running.fetch_add(1, std::memory_order_relaxed);
    const bool taken = pool.submit([&core = core_, exchange = std::move(exchange)] {
      run_exchange(*exchange, core.handler);
      core.requests_running.fetch_sub(1, std::memory_order_relaxed);
    });
    if (taken) return;
    core_.requests_running.fetch_sub(1, std::memory_order_relaxed);
    enqueue(serialize_response(ServerResponse::text(429, "too many outstanding requests\n"),
                               keep_alive, false),
            true, keep_alive);
  }

  // ---- writing

  void enqueue_raw(std::string bytes) {
    out_.push_back(std::move(bytes));
    write_more();
  }

  void enqueue(std::string bytes, bool last, bool keep_alive) {
    if (closed_) {
      if (exchange_ != nullptr) exchange_->written(bytes.size());
      if (last) exchange_.reset();
      return;
    }
    out_.push_back(std::move(bytes));
    if (last) {
      answer_complete_ = true;
      keep_ = keep_alive && !peer_closed_ && !draining_;
    }
    write_more();
  }

  void write_more() {
    if (writing_ || closed_) return;
    if (out_.empty()) {
      write_deadline_ns_ = 0;
      if (answer_complete_) finish_exchange();
      return;
    }
    writing_ = true;
    write_deadline_ns_ = monotonic_ns() + core_.options.write_stall_timeout_ns;
    const std::string& front = out_.front();
    stream_.async_write_some(asio::buffer(front.data() + out_at_, front.size() - out_at_),
                             [self = self()](boost::system::error_code error, std::size_t size) {
                               self->on_written(error, size);
                             });
  }

  void on_written(boost::system::error_code error, std::size_t size) {
    writing_ = false;
    core_.bytes_out.fetch_add(size, std::memory_order_relaxed);
    if (exchange_ != nullptr) exchange_->written(size);
    if (error) {
      close_now();
      exchange_.reset();
      return;
    }
    out_at_ += size;
    if (out_at_ == out_.front().size()) {
      out_.pop_front();
      out_at_ = 0;
    }
    write_more();
  }

  void finish_exchange() {
    exchange_.reset();
    answer_complete_ = false;
    parser_.reset();
    head_started_ = false;
    if (!keep_) return linger();
    state_ = State::kReading;
    deadline_ns_ = monotonic_ns() + core_.options.idle_timeout_ns;
    if (core_.draining && ahead_.empty()) return close_now();
    parse_ahead();
    read_more();
  }

  void linger() {
    if (peer_closed_ || draining_ || core_.draining) return close_now();
    state_ = State::kLingering;
    deadline_ns_ = monotonic_ns() + kLingerNs;
    ahead_.clear();
    boost::system::error_code ignored;
    if constexpr (kTls) {
      stream_.async_shutdown([self = self()](boost::system::error_code) { self->close_now(); });
    } else {
      // A client that still sends must be able to read the answer before the reset.
      lowest().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
      read_more();
    }
  }

  // ---- upgrade

  void become_websocket(std::function<void(std::shared_ptr<WebSocket>)> opened) {
    exchange_.reset();
    if (closed_) return;
    upgraded_ = true;
    closed_ = true;  // what lives on is the session
    auto session = std::make_shared<WebSocketSession<Stream>>(core_, std::move(stream_));
    core_.connections.insert(session);
    core_.connections.erase(shared_from_this());
    session->accept(upgrade_head_, std::move(opened));
  }

  ServerCore& core_;
  Stream stream_;
  const std::string peer_;
  std::string client_name_;
  State state_ = State::kReading;
  bool handshaking_ = false, reading_ = false, writing_ = false, closed_ = false;
  bool head_started_ = false, head_done_ = false, peer_closed_ = false, draining_ = false;
  bool answer_complete_ = false, keep_ = false, upgraded_ = false;
  std::int64_t deadline_ns_ = 0, write_deadline_ns_ = 0, request_started_ns_ = 0;
  std::vector<char> scratch_;
  std::size_t read_size_ = kReadMin;
  std::string ahead_;
  std::size_t body_counted_ = 0;
  std::optional<RequestParser> parser_;
  http::request_header<> upgrade_head_;
  std::shared_ptr<Exchange> exchange_;
  std::deque<std::string> out_;
  std::size_t out_at_ = 0;
};

}  // namespace skald::net
