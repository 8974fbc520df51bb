// opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest, read in place.
#include <bit>
#include <charconv>
#include <cmath>

#include "proto/base/text_code.h"
#include "proto/wire/otlp_builder.h"
#include "proto/wire/otlp_value.h"
#include "proto/wire/proto_reader.h"

namespace skald::wire {
namespace {

base::Status malformed(const char* what) {
  return base::invalid_argument(std::string("malformed OTLP protobuf in ") + what);
}

// AnyValue: 1 string, 2 bool, 3 int, 4 double, 5 array, 6 map, 7 bytes.
base::Status read_value(std::string_view message, int depth, OtlpValue& out);

base::Status read_key_value(std::string_view message, int depth, std::string& key, OtlpValue& out) {
  ProtoReader reader(message);
  while (reader.next()) {
    if (reader.is(1, kLengthDelimited)) key.assign(reader.bytes());
    if (reader.is(2, kLengthDelimited)) SKALD_TRY(read_value(reader.bytes(), depth, out));
  }
  return reader.failed() ? malformed("an attribute") : base::Status();
}

base::Status read_list(std::string_view message, bool is_map, int depth, OtlpValue& out) {
  out.kind = is_map ? OtlpValue::Kind::kMap : OtlpValue::Kind::kArray;
  ProtoReader reader(message);
  while (reader.next()) {
    if (!reader.is(1, kLengthDelimited)) continue;
    auto& [key, value] = out.items.emplace_back();
    SKALD_TRY(is_map ? read_key_value(reader.bytes(), depth + 1, key, value)
                     : read_value(reader.bytes(), depth + 1, value));
  }
  return reader.failed() ? malformed("a list") : base::Status();
}

base::Status read_value(std::string_view message, int depth, OtlpValue& out) {
  if (depth > kNestingMax) return base::invalid_argument("OTLP value nested too deeply");
  ProtoReader reader(message);
  while (reader.next()) {
    out = OtlpValue();
    if (reader.is(1, kLengthDelimited)) {
      out.text.assign(reader.bytes());
      out.kind = OtlpValue::Kind::kString;
    } else if (reader.is(2, kVarint)) {
      out.text = reader.number() != 0 ? "true" : "false";
      out.kind = OtlpValue::Kind::kToken;
    } else if (reader.is(3, kVarint)) {
      out.text = std::to_string(static_cast<std::int64_t>(reader.number()));
      out.kind = OtlpValue::Kind::kToken;
    } else if (reader.is(4, kFixed64)) {
      out.text = otlp_double(std::bit_cast<double>(reader.number()));
      out.kind = OtlpValue::Kind::kToken;
    } else if (reader.is(5, kLengthDelimited) || reader.is(6, kLengthDelimited)) {
      SKALD_TRY(read_list(reader.bytes(), reader.field() == 6, depth, out));
    } else if (reader.is(7, kLengthDelimited)) {
      out.text = base::base64_encode(reader.bytes());
      out.kind = OtlpValue::Kind::kString;
    }
  }
  return reader.failed() ? malformed("a value") : base::Status();
}

base::Status read_attribute(std::string_view message, OtlpPairs& out) {
  std::string key;
  OtlpValue value;
  SKALD_TRY(read_key_value(message, 0, key, value));
  return value.flatten(otlp_name(key), out);
}

base::Status read_record(std::string_view message, OtlpBuilder& builder) {
  OtlpRecord record;
  ProtoReader reader(message);
  while (reader.next()) {
    if (reader.is(1, kFixed64)) record.time_ns = reader.number();
    if (reader.is(11, kFixed64)) record.observed_ns = reader.number();
    if (reader.is(2, kVarint)) record.severity_number = static_cast<std::int32_t>(reader.number());
    if (reader.is(3, kLengthDelimited)) record.severity_text.assign(reader.bytes());
    if (reader.is(5, kLengthDelimited)) {
      OtlpValue body;
      SKALD_TRY(read_value(reader.bytes(), 0, body));
      record.body = body.as_text();
    }
    if (reader.is(6, kLengthDelimited))
      SKALD_TRY(read_attribute(reader.bytes(), record.attributes));
    if (reader.is(7, kVarint)) record.dropped_attributes = reader.number();
    if (reader.is(8, kFixed32)) record.flags = reader.number();
    if (reader.is(9, kLengthDelimited)) record.trace_id = otlp_hex(reader.bytes());
    if (reader.is(10, kLengthDelimited)) record.span_id = otlp_hex(reader.bytes());
    if (reader.is(12, kLengthDelimited)) record.event_name.assign(reader.bytes());
  }
  if (reader.failed()) return malformed("a log record");
  return builder.add(std::move(record));
}

base::Status read_scope(std::string_view message, OtlpBuilder& builder) {
  std::string_view name, version;
  OtlpPairs attributes;
  std::uint64_t dropped = 0;
  ProtoReader reader(message);
  while (reader.next()) {
    if (reader.is(1, kLengthDelimited)) name = reader.bytes();
    if (reader.is(2, kLengthDelimited)) version = reader.bytes();
    if (reader.is(3, kLengthDelimited)) SKALD_TRY(read_attribute(reader.bytes(), attributes));
    if (reader.is(4, kVarint)) dropped = reader.number();
  }
  if (reader.failed()) return malformed("a scope");
  builder.begin_scope(name, version, std::move(attributes), dropped);
  return {};
}

base::Status read_scope_logs(std::string_view message, OtlpBuilder& builder) {
  builder.begin_scope({}, {}, {}, 0);
  ProtoReader scopes(message);  // the scope may be written behind its records
  while (scopes.next())
    if (scopes.is(1, kLengthDelimited)) SKALD_TRY(read_scope(scopes.bytes(), builder));
  ProtoReader reader(message);
  while (reader.next())
    if (reader.is(2, kLengthDelimited)) SKALD_TRY(read_record(reader.bytes(), builder));
  return reader.failed() ? malformed("scope logs") : base::Status();
}

base::Status read_resource(std::string_view message, OtlpBuilder& builder) {
  std::vector<std::pair<std::string, OtlpPairs>> attributes;
  std::uint64_t dropped = 0;
  ProtoReader reader(message);
  while (reader.next()) {
    if (reader.is(1, kLengthDelimited)) {
      auto& [key, pairs] = attributes.emplace_back();
      OtlpValue value;
      SKALD_TRY(read_key_value(reader.bytes(), 0, key, value));
      SKALD_TRY(value.flatten(otlp_name(key), pairs));
    }
    if (reader.is(2, kVarint)) dropped = reader.number();
  }
  if (reader.failed()) return malformed("a resource");
  builder.begin_resource(attributes, dropped);
  return {};
}

base::Status read_resource_logs(std::string_view message, OtlpBuilder& builder) {
  builder.begin_resource({}, 0);
  ProtoReader resources(message);
  while (resources.next())
    if (resources.is(1, kLengthDelimited)) SKALD_TRY(read_resource(resources.bytes(), builder));
  ProtoReader reader(message);
  while (reader.next())
    if (reader.is(2, kLengthDelimited)) SKALD_TRY(read_scope_logs(reader.bytes(), builder));
  return reader.failed() ? malformed("resource logs") : base::Status();
}

}  // namespace

base::Status decode_otlp_protobuf(std::string_view body, std::int64_t now_ns,
                                  PushBuilder& push_builder) {
  OtlpBuilder builder(push_builder, now_ns);
  ProtoReader reader(body);
  while (reader.next())
    if (reader.is(1, kLengthDelimited)) SKALD_TRY(read_resource_logs(reader.bytes(), builder));
  if (reader.failed()) return malformed("the request");
  builder.finish();
  return {};
}

}  // namespace skald::wire
