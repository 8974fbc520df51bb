#include "proto/wire/push_builder.h"
namespace skald::wire {
base::Status decode_otlp_protobuf(std::string_view, std::int64_t, PushBuilder&) {
  return base::unsupported("otlp");
}
base::Status decode_otlp_json(std::string_view, std::int64_t, PushBuilder&) {
  return base::unsupported("otlp");
}
}  // namespace skald::wire
