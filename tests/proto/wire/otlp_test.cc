#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/base/bytes.h"
#include "proto/wire/otlp_builder.h"
#include "proto/wire/push_decoder.h"

namespace skald::wire {
namespace {

std::string shown(const base::Result<DecodedPush*>& push) {
  if (!push.ok()) return push.status().to_string();
  std::string out;
  for (const model::PushStream& stream : (*push)->batch.streams)
    for (const model::EntryView& entry : stream.entries)
      out += stream.labels.to_string() + " " + std::to_string(entry.timestamp_ns) + " " +
             std::string(entry.line) + " " +
             (entry.metadata != nullptr ? entry.metadata->to_string() : "{}") + "\n";
  return out;
}

std::string decode(PushDecoder& decoder, const char* type, std::string body) {
  PushInput input;
  input.form = PushForm::kOtlp;
  input.content_type = type;
  input.now_ns = 77;
  return shown(decoder.decode(input, body));
}

const char kJson[] = R"({"resourceLogs":[{
  "resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"api"}},
    {"key":"k8s.pod.name","value":{"stringValue":"api-0"}},
    {"key":"host.name","value":{"stringValue":"h1"}}]},
  "scopeLogs":[{"scope":{"name":"lib","version":"1"},"logRecords":[
    {"timeUnixNano":"1000","observedTimeUnixNano":"2000","severityNumber":9,"severityText":"INFO",
     "body":{"stringValue":"hello"},"traceId":"0102030405060708090A0B0C0D0E0F10","spanId":"0000000000000000",
     "attributes":[{"key":"a.b","value":{"kvlistValue":{"values":[{"key":"c","value":{"intValue":"5"}}]}}}]},
    {"observedTimeUnixNano":3000,"body":{"kvlistValue":{"values":[{"key":"z","value":{"boolValue":true}},
      {"key":"a","value":{"arrayValue":{"values":[{"doubleValue":1.5}]}}}]}}},
    {"body":{"stringValue":"now"}}]}]}]})";

TEST(OtlpJson, PutsAttributesWhereLokiPutsThem) {
  PushDecoder decoder;
  const char stream[] = R"({k8s_pod_name="api-0", service_name="api"})";
  EXPECT_EQ(
      decode(decoder, "application/json", kJson),
      std::string(stream) +
          R"( 1000 hello {a_b_c="5", host_name="h1", observed_timestamp="2000", scope_name="lib", scope_version="1", severity_number="9", severity_text="INFO", trace_id="0102030405060708090a0b0c0d0e0f10"})"
          "\n" +
          stream +
          R"( 3000 {"a":[1.5],"z":true} {host_name="h1", scope_name="lib", scope_version="1"})"
          "\n" +
          stream +
          R"( 77 now {host_name="h1", scope_name="lib", scope_version="1"})"
          "\n");
}

// The same in protobuf, written by hand.
std::string field(unsigned number, std::string_view bytes) {
  std::string out;
  base::put_varint(out, number << 3 | 2);
  base::put_bytes(out, bytes);
  return out;
}
std::string fixed64(unsigned number, std::uint64_t value) {
  std::string out;
  base::put_varint(out, number << 3 | 1);
  base::put_le(out, value);
  return out;
}
std::string text_attribute(unsigned number, std::string_view key, std::string_view value) {
  return field(number, field(1, key) + field(2, field(1, value)));
}

TEST(OtlpProtobuf, ReadsRecordsResourcesAndScopes) {
  const std::string record = fixed64(1, 1000) + fixed64(11, 2000) + std::string("\x10\x09", 2) +
                             field(3, "INFO") + field(5, field(1, "hello")) +
                             field(9, std::string("\x01\x02\xFF", 3)) +
                             text_attribute(6, "x.y", "v");
  const std::string scope_logs = field(2, record) + field(1, field(1, "lib") + field(2, "1"));
  const std::string resource =
      field(1, text_attribute(1, "service.name", "api") + text_attribute(1, "host.name", "h1"));
  PushDecoder decoder;
  EXPECT_EQ(
      decode(decoder, "application/x-protobuf", field(1, resource + field(2, scope_logs))),
      R"({service_name="api"} 1000 hello {host_name="h1", observed_timestamp="2000", scope_name="lib", scope_version="1", severity_number="9", severity_text="INFO", trace_id="0102ff", x_y="v"})"
      "\n");
}

TEST(Otlp, RefusesNonsenseAndDeepNests) {
  PushDecoder decoder;
  EXPECT_THAT(decode(decoder, "application/json", "{"), ::testing::HasSubstr("OTLP JSON"));
  EXPECT_THAT(decode(decoder, "application/json", "[1]"), ::testing::HasSubstr("OTLP JSON"));
  EXPECT_THAT(decode(decoder, "application/x-protobuf", "\x0A\x7F"),
              ::testing::HasSubstr("malformed"));
  std::string value = field(1, "deep");
  for (int i = 0; i < 1000; ++i) value = field(5, field(1, value));
  const std::string body = field(1, field(2, field(2, field(5, value))));
  EXPECT_THAT(decode(decoder, "application/x-protobuf", body), ::testing::HasSubstr("nested"));
}

TEST(Otlp, CleansNames) {
  EXPECT_EQ(otlp_name("k8s.pod.name"), "k8s_pod_name");
  EXPECT_EQ(otlp_name("a..b--c"), "a_b_c");
  EXPECT_EQ(otlp_name("1x"), "key_1x");
}

}  // namespace
}  // namespace skald::wire
