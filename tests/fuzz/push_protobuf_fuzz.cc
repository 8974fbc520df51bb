// Push bodies in protobuf, in every coding the first byte picks.
#include <cstddef>
#include <cstdint>
#include <string>

#include "proto/wire/push_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static constexpr const char* kCodings[] = {"", "snappy", "gzip", "deflate", "zstd"};
  static skald::wire::PushDecoder decoder;
  skald::wire::PushInput input;
  input.content_type = "application/x-protobuf";
  input.content_encoding = kCodings[data[0] % 5];
  std::string body(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto push = decoder.decode(input, body);
  if (push.ok())
    for (const auto& stream : (*push)->batch.streams)
      for (const auto& entry : stream.entries)
        if (entry.line.size() > body.size() * 40'000 + 100) __builtin_trap();
  return 0;
}
