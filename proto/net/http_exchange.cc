#include "proto/net/http_exchange.h"

#include <ctime>
#include <exception>

#include "proto/net/http_status.h"

namespace skald::net {
namespace {

constexpr std::size_t kFlushBytes = 64U << 10;    // a streamed body leaves in pieces of this size
constexpr std::size_t kInFlightMax = 512U << 10;  // sent but not taken by the kernel
constexpr std::size_t kCompressMin = 1024;        // smaller answers gain nothing

bool has_body(int status) noexcept { return status >= 200 && status != 204 && status != 304; }

bool is_compressible(std::string_view type) noexcept {
  return type.substr(0, 5) == "text/" || type.find("json") != std::string_view::npos ||
         type.find("yaml") != std::string_view::npos;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value)  // an answer must not be split by what a client put into it
    out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  out.append("\r\n");
}

std::string response_head(const ServerResponse& response, bool keep_alive) {
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + ' ';
  out.append(reason_phrase(response.status)).append("\r\n");
  char date[64];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  out.append(date, std::strftime(date, sizeof date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc));
  if (!response.content_type.empty() && has_body(response.status))
    append_header(out, "Content-Type", response.content_type);
  for (const auto& [name, value] : response.headers) append_header(out, name, value);
  if (!keep_alive) out.append("Connection: close\r\n");
  return out;
}

void append_coding(std::string& head, Coding coding) {
  append_header(head, "Content-Encoding", coding_name(coding));
  head.append("Vary: Accept-Encoding\r\n");
}

// The body of one streamed answer: collects, compresses, frames, and holds the worker back when
// the client does not keep up. Answers that fit into one piece are sent with their length.
class StreamSink final : public BodySink {
 public:
  StreamSink(Exchange& exchange, const ServerResponse& response)
      : exchange_(exchange), response_(response) {}

  base::Status write(std::string_view bytes) override {
    pending_.append(bytes);
    return pending_.size() < kFlushBytes ? base::Status() : flush(false);
  }

  bool started() const noexcept { return started_; }

  base::Status finish() {
    if (started_) return flush(true);
    ServerResponse whole;
    whole.status = response_.status;
    whole.content_type = response_.content_type;
    whole.headers = response_.headers;
    whole.body = std::move(pending_);
    send_whole(exchange_, std::move(whole));
    return {};
  }

  static void send_whole(Exchange& exchange, ServerResponse response);

 private:
  base::Status flush(bool last) {
    std::string out;
    if (!started_) out = start();
    if (exchange_.head_only) {
      pending_.clear();
    } else {
      std::string coded;
      if (compressor_ != nullptr) {
        if (!compressor_->append(pending_, last, coded))
          return base::internal("compression of the answer ran out of memory");
        pending_.clear();
      } else {
        coded.swap(pending_);
      }
      frame(coded, last, out);
    }
    if (!exchange_.wait_below(kInFlightMax)) return base::cancelled("the client went away");
    exchange_.add_in_flight(out.size());
    exchange_.outlet->send(std::move(out), last, exchange_.keep_alive);
    return {};
  }

  std::string start() {
    started_ = true;
    if (exchange_.http_1_0) exchange_.keep_alive = false;
    std::string head = response_head(response_, exchange_.keep_alive);
    if (is_compressible(response_.content_type)) compressor_ = Compressor::create(exchange_.coding);
    if (compressor_ != nullptr) append_coding(head, exchange_.coding);
    if (!exchange_.http_1_0) head.append("Transfer-Encoding: chunked\r\n");
    return head.append("\r\n");
  }

  void frame(std::string_view body, bool last, std::string& out) const {
    if (exchange_.http_1_0) {
      out.append(body);
      return;
    }
    if (!body.empty()) {
      char size[20];
      out.append(
          size, static_cast<std::size_t>(std::snprintf(size, sizeof size, "%zx\r\n", body.size())));
      out.append(body).append("\r\n");
    }
    if (last) out.append("0\r\n\r\n");
  }

  Exchange& exchange_;
  const ServerResponse& response_;
  std::string pending_;
  std::unique_ptr<Compressor> compressor_;
  bool started_ = false;
};

void StreamSink::send_whole(Exchange& exchange, ServerResponse response) {
  Coding coding = Coding::kIdentity;
  if (response.body.size() >= kCompressMin && is_compressible(response.content_type)) {
    std::string coded;
    const auto compressor = Compressor::create(exchange.coding);
    if (compressor != nullptr && compressor->append(response.body, true, coded)) {
      coding = exchange.coding;
      response.body.swap(coded);
      response.headers.emplace_back("Content-Encoding", coding_name(coding));
      response.headers.emplace_back("Vary", "Accept-Encoding");
    }
  }
  std::string out = serialize_response(response, exchange.keep_alive, exchange.head_only);
  exchange.add_in_flight(out.size());
  exchange.outlet->send(std::move(out), true, exchange.keep_alive);
}

ServerResponse call(const Handler& handler, ServerRequest& request) {
  try {
    return handler(request);
  } catch (const std::exception& error) {  // task root: a library below threw
    return ServerResponse::text(500, std::string("internal error: ") + error.what() + "\n");
  }
}

void stream_answer(Exchange& exchange, ServerResponse& response) {
  StreamSink sink(exchange, response);
  base::Status status;
  try {
    status = response.stream(sink);
  } catch (const std::exception& error) {  // task root
    status = base::internal(error.what());
  }
  if (status.ok()) status = sink.finish();
  if (status.ok()) return;
  if (sink.started()) return exchange.outlet->abort();
  StreamSink::send_whole(exchange, ServerResponse::text(500, std::string(status.message())));
}

}  // namespace

void Exchange::add_in_flight(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  in_flight_ += bytes;
}

void Exchange::written(std::size_t bytes) {
  {
    std::lock_guard lock(mutex_);
    in_flight_ -= std::min(bytes, in_flight_);
  }
  moved_.notify_all();
}

bool Exchange::wait_below(std::size_t bytes) {
  std::unique_lock lock(mutex_);
  moved_.wait(lock, [&] { return in_flight_ < bytes || cancelled.load(); });
  return !cancelled.load();
}

void Exchange::client_gone() {
  {
    std::lock_guard lock(mutex_);
    cancelled.store(true);
  }
  moved_.notify_all();
}

void run_exchange(Exchange& exchange, const Handler& handler) {
  ServerResponse response = call(handler, exchange.request);
  if (response.websocket != nullptr) {
    if (exchange.upgrade) return exchange.outlet->upgrade(std::move(response.websocket));
    response = ServerResponse::text(400, "Bad Request: websocket upgrade expected\n");
  }
  if (response.stream != nullptr)
    stream_answer(exchange, response);
  else
    StreamSink::send_whole(exchange, std::move(response));
}

std::string serialize_response(const ServerResponse& response, bool keep_alive, bool head_only) {
  std::string out = response_head(response, keep_alive);
  if (!has_body(response.status)) return out.append("\r\n");
  append_header(out, "Content-Length", std::to_string(response.body.size()));
  out.append("\r\n");
  if (!head_only) out.append(response.body);
  return out;
}

}  // namespace skald::net
