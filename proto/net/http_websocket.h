#pragma once
// A connection after its upgrade to WebSocket (RFC 6455, by Beast). Private to the HTTP server.
//
// Nothing is expected from the client but pongs and a close; what it sends is read and dropped.

#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>
#include <mutex>

#include "proto/net/http_core.h"

namespace skald::net {

// What a handler holds: the queue of frames. It may outlive the session and the server.
class WebSocketQueue final : public WebSocket {
 public:
  bool send_text(std::string text) override {
    std::lock_guard lock(mutex_);
    if (!wake_ || close_asked_ || frames_.size() >= kWebSocketQueueMax) return false;
    frames_.push_back(std::move(text));
    wake_();
    return true;
  }

  std::size_t queued() const noexcept override {
    std::lock_guard lock(mutex_);
    return frames_.size();
  }

  void close(std::uint16_t code, std::string_view reason) override {
    std::lock_guard lock(mutex_);
    if (!wake_ || close_asked_) return;
    close_asked_ = true;
    close_code_ = code;
    close_reason_ = reason.substr(0, kReasonMax);
    wake_();
  }

  bool closed() const noexcept override {
    std::lock_guard lock(mutex_);
    return !wake_;
  }

  // For the session. `wake` is called, under the lock, when there is something to send.
  void open(std::function<void()> wake) {
    std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
  }
  void shut() {
    std::lock_guard lock(mutex_);
    wake_ = nullptr;
    frames_.clear();
  }
  enum class Next : unsigned char { kNothing, kFrame, kClose };
  Next pop(std::string& frame, boost::beast::websocket::close_reason& reason) {
    std::lock_guard lock(mutex_);
    if (!frames_.empty()) {
      frame = std::move(frames_.front());
      frames_.pop_front();
      return Next::kFrame;
    }
    if (!close_asked_) return Next::kNothing;
    reason.code = close_code_;
    reason.reason.assign(close_reason_.begin(), close_reason_.end());
    return Next::kClose;
  }

 private:
  static constexpr std::size_t kReasonMax = 123;  // RFC 6455: payload of a control frame
  mutable std::mutex mutex_;
  std::deque<std::string> frames_;
  std::function<void()> wake_;
  bool close_asked_ = false;
  std::uint16_t close_code_ = 1000;
  std::string close_reason_;
};

template <typename Stream>
class WebSocketSession final : public ConnectionBase {
 public:
  WebSocketSession(ServerCore& core, Stream stream) : core_(core), socket_(std::move(stream)) {}

  void accept(const boost::beast::http::request_header<>& head,
              std::function<void(std::shared_ptr<WebSocket>)> opened) {
    using Base = boost::beast::websocket::stream_base;
    socket_.set_option(Base::timeout{Base::none(), Base::none(), false});
    socket_.read_message_max(kMessageMax);
    socket_.control_callback(
        [this](boost::beast::websocket::frame_type, auto) { heard_ns_ = monotonic_ns(); });
    heard_ns_ = pinged_ns_ = monotonic_ns();
    const boost::beast::http::request<boost::beast::http::empty_body> request(head);
    socket_.async_accept(
        request, [self = self(), opened = std::move(opened)](boost::system::error_code error) {
          if (error || self->closed_) return self->close_now();
          self->open_ = true;
          WebSocketSession* session = self.get();  // shut() ends the calls before it can die
          self->queue_->open([session] {
            boost::asio::post(session->core_.io, [self = session->self()] { self->write_more(); });
          });
          opened(self->queue_);
          self->read_more();
          self->write_more();
        });
  }

  void start() override {}

  void tick(std::int64_t now_ns) override {
    if (now_ns - heard_ns_ > kSilenceMaxNs) return close_now();
    if (writing_ && now_ns - write_started_ns_ > core_.options.write_stall_timeout_ns)
      return close_now();
    if (!open_ || closing_ || pinging_) return;
    if (now_ns - pinged_ns_ + kTickSlackNs < core_.options.ping_interval_ns) return;
    pinged_ns_ = now_ns;
    pinging_ = true;
    socket_.async_ping({}, [self = self()](boost::system::error_code error) {
      self->pinging_ = false;
      if (error) self->close_now();
    });
  }

  void drain() override { queue_->close(1001, "the server is shutting down"); }

  void close_now() override {
    closed_ = true;
    queue_->shut();
    boost::system::error_code ignored;
    boost::beast::get_lowest_layer(socket_).close(ignored);
    core_.connections.erase(shared_from_this());
  }

 private:
  static constexpr std::size_t kMessageMax = 16U << 10;          // nobody sends us long messages
  static constexpr std::int64_t kSilenceMaxNs = 60'000'000'000;  // no pong: the client is gone
  static constexpr std::int64_t kTickSlackNs = 250'000'000;      // half a tick

  std::shared_ptr<WebSocketSession> self() {
    return std::static_pointer_cast<WebSocketSession>(shared_from_this());
  }

  void read_more() {
    socket_.async_read(in_, [self = self()](boost::system::error_code error, std::size_t) {
      if (error) return self->close_now();
      self->heard_ns_ = monotonic_ns();
      self->in_.clear();
      self->read_more();
    });
  }

  void write_more() {
    if (writing_ || !open_ || closing_ || closed_) return;
    boost::beast::websocket::close_reason reason;
    switch (queue_->pop(writing_text_, reason)) {
      case WebSocketQueue::Next::kNothing: return;
      case WebSocketQueue::Next::kClose: return send_close(reason);
      case WebSocketQueue::Next::kFrame: writing_ = true;
    }
    write_started_ns_ = monotonic_ns();
    socket_.text(true);
    socket_.async_write(boost::asio::buffer(writing_text_),
                        [self = self()](boost::system::error_code error, std::size_t size) {
                          self->writing_ = false;
                          self->core_.bytes_out.fetch_add(size, std::memory_order_relaxed);
                          if (error) return self->close_now();
                          self->write_more();
                        });
  }

  void send_close(const boost::beast::websocket::close_reason& reason) {
    closing_ = true;
    // Answers the client's close too; the read above then ends and closes the socket.
    socket_.async_close(reason, [self = self()](boost::system::error_code) { self->close_now(); });
  }

  ServerCore& core_;
  boost::beast::websocket::stream<Stream, false> socket_;
  boost::beast::flat_buffer in_;
  bool open_ = false, writing_ = false, pinging_ = false, closing_ = false;
  std::int64_t heard_ns_ = 0, pinged_ns_ = 0, write_started_ns_ = 0;
  std::string writing_text_;
  bool closed_ = false;
  const std::shared_ptr<WebSocketQueue> queue_ = std::make_shared<WebSocketQueue>();
};

}  // namespace skald::net
