// Push bodies in JSON, the usual and the legacy form.
#include <cstddef>
#include <cstdint>
#include <string>

#include "proto/wire/push_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static skald::wire::PushDecoder decoder;
  for (const auto form : {skald::wire::PushForm::kAuto, skald::wire::PushForm::kLegacy}) {
    skald::wire::PushInput input;
    input.form = form;
    input.content_type = "application/json";
    std::string body(reinterpret_cast<const char*>(data), size);
    const auto push = decoder.decode(input, body);
    if (!push.ok()) continue;
    std::size_t bytes = 0;
    for (const auto& stream : (*push)->batch.streams)
      for (const auto& entry : stream.entries) bytes += entry.line.size();
    if (bytes > size) __builtin_trap();  // unescaped text is never longer
  }
  return 0;
}
