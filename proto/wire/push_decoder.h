#pragma once
// Push request bodies of every form Loki's clients send, decoded to a model::PushBatch. The wire
// forms are in PUSH.md.
//
// A PushDecoder belongs to one thread at a time (a worker keeps one) and keeps its buffers. The
// batch it returns, and all views in it, live until the next call and borrow from `body` too.
//
// Errors of a whole request: kInvalidArgument (malformed: 400), kResourceExhausted (decoded size
// over a limit: 413), kUnsupported (Content-Encoding unknown: 400). A stream whose labels cannot
// be read is left out of the batch and named in `refused`; its neighbours are kept.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/push.h"
#include "proto/wire/limits.h"

namespace skald::wire {

enum class PushForm : unsigned char {
  kAuto,    // /loki/api/v1/push: protobuf or JSON by Content-Type
  kLegacy,  // /api/prom/push: protobuf or the legacy JSON
  kOtlp,    // /otlp/v1/logs: OTLP protobuf or JSON
};

struct PushInput {
  PushForm form = PushForm::kAuto;
  std::string_view content_type;
  std::string_view content_encoding;
  std::int64_t now_ns = 0;  // the time of OTLP records that have none
};

struct DecodedPush {
  model::PushBatch batch;
  bool any_stream = false;           // the request named at least one stream
  std::vector<std::string> refused;  // texts, at most kRefusedTextsMax
  std::uint64_t refused_entries = 0, refused_bytes = 0;
  std::size_t decoded_bytes = 0;  // of the body after its coding
};

class PushDecoder {
 public:
  PushDecoder();
  ~PushDecoder();
  PushDecoder(PushDecoder&&) noexcept;
  PushDecoder& operator=(PushDecoder&&) noexcept;

  // `body` may be grown (padding for the JSON parser) and must outlive the batch.
  base::Result<DecodedPush*> decode(const PushInput& input, std::string& body);
  // The last result ends with it. A failed decode does this by itself.
  void release_large_buffers() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::wire
