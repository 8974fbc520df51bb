// OTLP logs, protobuf and JSON.
#include <cstddef>
#include <cstdint>
#include <string>

#include "proto/wire/push_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static skald::wire::PushDecoder decoder;
  for (const char* type : {"application/x-protobuf", "application/json"}) {
    skald::wire::PushInput input;
    input.form = skald::wire::PushForm::kOtlp;
    input.content_type = type;
    std::string body(reinterpret_cast<const char*>(data), size);
    const auto push = decoder.decode(input, body);
    if (!push.ok()) continue;
    for (const auto& stream : (*push)->batch.streams)
      if (stream.labels.empty()) __builtin_trap();
  }
  return 0;
}
