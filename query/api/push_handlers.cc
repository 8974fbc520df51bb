// push (Loki, legacy, OTLP) and the agent's marks.
#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <semaphore>
#include <thread>
#include <vector>

#include "proto/wire/decoded_bound.h"
#include "proto/wire/push_decoder.h"
#include "query/api/api_impl.h"

namespace skald::query::api {
namespace {

using net::ServerResponse;

ServerResponse no_content() {
  ServerResponse response;
  response.status = 204;
  response.content_type.clear();
  return response;
}

// Decoders with their buffers (about 1.6 bytes per byte of the largest body), kept for the pushes
// that run at once rather than for every thread that ever ran one. The warmest is taken first.
class DecoderPool {
 public:
  std::unique_ptr<wire::PushDecoder> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<wire::PushDecoder>();
    auto out = std::move(idle_.back());
    idle_.pop_back();
    return out;
  }
  void give(std::unique_ptr<wire::PushDecoder> decoder) {
    decoder->release_large_buffers();
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kIdleDecodersMax) idle_.push_back(std::move(decoder));
  }

 private:
  static constexpr std::size_t kIdleDecodersMax = 4;
  std::mutex mutex_;
  std::vector<std::unique_ptr<wire::PushDecoder>> idle_;
};

class DecoderLease {
 public:
  explicit DecoderLease(DecoderPool& pool) : pool_(pool), decoder_(pool.take()) {}
  ~DecoderLease() { pool_.give(std::move(decoder_)); }
  DecoderLease(const DecoderLease&) = delete;
  DecoderLease& operator=(const DecoderLease&) = delete;
  wire::PushDecoder& operator*() const { return *decoder_; }

 private:
  DecoderPool& pool_;
  std::unique_ptr<wire::PushDecoder> decoder_;
};

DecoderPool& decoders() {
  static DecoderPool pool;
  return pool;
}

// Decoding is work for a processor, so more at once than there are would only take more memory:
// this is what bounds the cost of many decompression bombs together.
std::counting_semaphore<>& decoding_turns() {
  static std::counting_semaphore<> turns(std::clamp(std::thread::hardware_concurrency(), 1U, 8U));
  return turns;
}

// Decoded bodies that are in memory at once, from before they are decoded until they are stored.
class DecodedBytes {
 public:
  // Waits until there is room; a single one always has it.
  void reserve(std::size_t bytes) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return bytes_ == 0 || bytes_ + bytes <= kInFlightMax; });
    bytes_ += bytes;
  }
  void give_back(std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      bytes_ -= bytes;
    }
    room_.notify_all();
  }

 private:
  // One body of the largest size and several usual ones.
  static constexpr std::size_t kInFlightMax = wire::kDecodedBytesMax + (8U << 20);
  std::mutex mutex_;
  std::condition_variable room_;
  std::size_t bytes_ = 0;
};

class DecodedLease {
 public:
  explicit DecodedLease(std::size_t bytes) : bytes_(bytes) {
    if (bytes_ > 0) all().reserve(bytes_);
  }
  ~DecodedLease() { shrink(0); }
  DecodedLease(const DecodedLease&) = delete;
  DecodedLease& operator=(const DecodedLease&) = delete;
  void shrink(std::size_t bytes) {
    if (bytes >= bytes_) return;
    all().give_back(bytes_ - bytes);
    bytes_ = bytes;
  }

 private:
  static DecodedBytes& all() {
    static DecodedBytes bytes;
    return bytes;
  }
  std::size_t bytes_;
};

// A decoder's errors: what is malformed stays so; what is too large gets 413.
ServerResponse decode_error(const base::Status& status) {
  const int code =
      status.code() == base::Code::kResourceExhausted ? 413 : http_status(status.code());
  return ServerResponse::text(code, std::string(status.message()));
}

ServerResponse run(Call& call, wire::PushForm form) {
  wire::PushInput input;
  input.form = form;
  input.content_type = call.http.header("content-type");
  input.content_encoding = call.http.header("content-encoding");
  input.now_ns = call.now_ns;
  DecodedLease room(
      wire::decoded_bound(input.content_type, input.content_encoding, call.http.body));
  const DecoderLease decoder(decoders());
  decoding_turns().acquire();
  auto decoded = (*decoder).decode(input, call.http.body);
  decoding_turns().release();
  if (!decoded.ok()) return decode_error(decoded.status());
  room.shrink((*decoded)->decoded_bytes);
  IngestAnswer answer = call.api.ingest.append(call.tenant, call.limits(), **decoded);
  if (!answer.store_error.ok()) return error_response(answer.store_error, true);
  if (answer.status == 204) return no_content();
  ServerResponse response = ServerResponse::text(answer.status, std::move(answer.text));
  if (answer.status == 409) response.content_type = "application/json";
  return response;
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// OTLP clients want google.rpc.Status, and retry only on 429, 502, 503 and 504.
ServerResponse as_otlp(ServerResponse response) {
  if (response.status < 400) return response;
  if (response.status == 500 || response.status == 507) {
    response.status = 503;
  }
  std::string body = "\x12";
  put_varint(body, response.body.size());
  response.body = body + response.body;
  response.content_type = "application/x-protobuf";
  return response;
}

}  // namespace

ServerResponse push(Call& call) { return run(call, wire::PushForm::kAuto); }
ServerResponse push_legacy(Call& call) { return run(call, wire::PushForm::kLegacy); }
ServerResponse push_otlp(Call& call) { return as_otlp(run(call, wire::PushForm::kOtlp)); }

ServerResponse marks(Call& call) {
  const std::string agent(call.params.get("agent"));
  if (agent.empty()) return error_response(base::invalid_argument("parameter 'agent' is missing"));
  return ServerResponse::json(marks_to_json(call.api.deps.store->marks(call.tenant, agent)));
}

}  // namespace skald::query::api
