// Decoding of push bodies: bytes of decoded protobuf or JSON per second.
#include <benchmark/benchmark.h>

#include "proto/wire/push_decoder.h"
#include "proto/wire/push_encoder.h"

namespace {

using namespace skald;

// About 1 MB of log lines in three streams, as an agent batches them.
std::string sample_body() {
  std::string body;
  for (const char* level : {"info", "warn", "error"}) {
    std::string entries;
    for (int i = 0; i < 1000; ++i) {
      const std::string line =
          R"({"timestamp": "2026-11-20T06:00:00.123456Z", "level": ")" + std::string(level) +
          R"(", "event": "http_request", "request_id": "a1b2c3d4e5f60718", "path": "/api/v1/conversations/0c9f1f2e/message", "status": 200, "duration": )" +
          std::to_string(i * 37 % 1000) + R"(.25, "customer_id": "cust_001234", "tier": "pro"})";
      wire::append_entry(entries, {1'763'618'400'000'000'000 + i * 1000, line, nullptr});
    }
    wire::append_stream(body, "{job=\"ngx-api\", level=\"" + std::string(level) + "\"}", entries);
  }
  return body;
}

std::string as_json() {
  std::string out = R"({"streams":[{"stream":{"job":"a"},"values":[)";
  for (int i = 0; i < 3000; ++i)
    out +=
        std::string(i > 0 ? "," : "") + "[\"17636184000000" + std::to_string(10000 + i) +
        R"(","{\"level\":\"info\",\"event\":\"http_request\",\"path\":\"/api/v1/conversations/0c9f1f2e/message\",\"status\":200,\"duration\":12.5}"])";
  return out + "]}]}";
}

void decode(benchmark::State& state, const char* type, const char* coding, std::string packed,
            std::size_t plain) {
  wire::PushDecoder decoder;
  wire::PushInput input;
  input.content_type = type;
  input.content_encoding = coding;
  for (auto _ : state) benchmark::DoNotOptimize(decoder.decode(input, packed).ok());
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * plain));
}

void BM_DecodeProtobufBare(benchmark::State& state) {
  const std::string body = sample_body();
  decode(state, "application/x-protobuf", "", body, body.size());
}
void BM_DecodeProtobufSnappy(benchmark::State& state) {
  const std::string body = sample_body();
  std::string packed;
  wire::compress_snappy(body, packed);
  decode(state, "application/x-protobuf", "snappy", packed, body.size());
}
void BM_DecodeProtobufZstd(benchmark::State& state) {
  const std::string body = sample_body();
  std::string packed;
  if (!wire::ZstdCompressor().compress(body, packed).ok()) return state.SkipWithError("zstd");
  decode(state, "application/x-protobuf", "zstd", packed, body.size());
}
void BM_DecodeJson(benchmark::State& state) {
  const std::string body = as_json();
  decode(state, "application/json", "", body, body.size());
}
BENCHMARK(BM_DecodeProtobufBare);
BENCHMARK(BM_DecodeProtobufSnappy);
BENCHMARK(BM_DecodeProtobufZstd);
BENCHMARK(BM_DecodeJson);

}  // namespace
