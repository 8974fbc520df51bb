// OTLP's JSON form: lowerCamelCase keys, ids in hex, 64-bit integers as strings or numbers.
#include <simdjson.h>

#include <charconv>

#include "proto/wire/otlp_builder.h"
#include "proto/wire/otlp_value.h"

namespace skald::wire {
namespace {

namespace dom = simdjson::dom;

base::Status bad(const std::string& what) { return base::invalid_argument("OTLP JSON: " + what); }

std::uint64_t number_of(dom::element value) {  // 0 if it is none
  std::uint64_t number = 0;
  std::int64_t negative = 0;
  std::string_view text;
  if (value.get_uint64().get(number) == simdjson::SUCCESS) return number;
  if (value.get_int64().get(negative) == simdjson::SUCCESS)
    return static_cast<std::uint64_t>(negative);
  if (value.get_string().get(text) == simdjson::SUCCESS)
    std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string text_of(dom::element value) {
  std::string_view text;
  return value.get_string().get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::string token_of(dom::element value) {  // a number or string, as written
  std::string_view text;
  if (value.get_string().get(text) == simdjson::SUCCESS) return std::string(text);
  double number = 0;
  if (value.is_double() && value.get_double().get(number) == simdjson::SUCCESS)
    return otlp_double(number);
  return simdjson::minify(value);
}

base::Status read_value(dom::element element, int depth, OtlpValue& out);

base::Status read_items(dom::element holder, bool is_map, int depth, OtlpValue& out) {
  out.kind = is_map ? OtlpValue::Kind::kMap : OtlpValue::Kind::kArray;
  dom::array values;
  if (holder["values"].get_array().get(values) != simdjson::SUCCESS) return {};
  for (const dom::element item : values) {
    auto& [key, value] = out.items.emplace_back();
    if (is_map) {
      dom::element inner;
      if (dom::element name; item["key"].get(name) == simdjson::SUCCESS) key = text_of(name);
      if (item["value"].get(inner) == simdjson::SUCCESS)
        SKALD_TRY(read_value(inner, depth + 1, value));
    } else {
      SKALD_TRY(read_value(item, depth + 1, value));
    }
  }
  return {};
}

base::Status read_value(dom::element element, int depth, OtlpValue& out) {
  if (depth > kNestingMax) return bad("a value is nested too deeply");
  dom::object object;
  if (element.get_object().get(object) != simdjson::SUCCESS)
    return bad("a value must be an object");
  for (const auto member : object) {
    if (member.key == "stringValue" || member.key == "bytesValue") {
      out.kind = OtlpValue::Kind::kString;
      out.text = text_of(member.value);
    } else if (member.key == "boolValue" || member.key == "intValue" ||
               member.key == "doubleValue") {
      out.kind = OtlpValue::Kind::kToken;
      out.text = token_of(member.value);
    } else if (member.key == "arrayValue" || member.key == "kvlistValue") {
      SKALD_TRY(read_items(member.value, member.key == "kvlistValue", depth, out));
    }
  }
  return {};
}

// attributes: [{"key":"k","value":{...}}]; each goes to visit(key, pairs).
template <typename Visit>
base::Status read_attributes(dom::element holder, Visit visit) {
  dom::array attributes;
  if (holder["attributes"].get_array().get(attributes) != simdjson::SUCCESS) return {};
  for (const dom::element attribute : attributes) {
    dom::element name, raw;
    OtlpValue value;
    if (attribute["key"].get(name) != simdjson::SUCCESS) return bad("an attribute has no key");
    if (attribute["value"].get(raw) == simdjson::SUCCESS) SKALD_TRY(read_value(raw, 0, value));
    const std::string key = text_of(name);
    OtlpPairs pairs;
    SKALD_TRY(value.flatten(otlp_name(key), pairs));
    visit(key, std::move(pairs));
  }
  return {};
}

std::uint64_t number_at(dom::element holder, const char* key) {
  dom::element value;
  return holder[key].get(value) == simdjson::SUCCESS ? number_of(value) : 0;
}
std::string text_at(dom::element holder, const char* key) {
  dom::element value;
  return holder[key].get(value) == simdjson::SUCCESS ? text_of(value) : std::string();
}

std::string hex_id(std::string id) {
  for (char& c : id)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  return id.find_first_not_of('0') == std::string::npos ? std::string() : id.substr(0, 128);
}

base::Status read_record(dom::element log, OtlpBuilder& builder) {
  OtlpRecord record;
  record.time_ns = number_at(log, "timeUnixNano");
  record.observed_ns = number_at(log, "observedTimeUnixNano");
  record.severity_number = static_cast<std::int64_t>(number_at(log, "severityNumber"));
  record.severity_text = text_at(log, "severityText");
  record.event_name = text_at(log, "eventName");
  record.dropped_attributes = number_at(log, "droppedAttributesCount");
  record.flags = number_at(log, "flags");
  record.trace_id = hex_id(text_at(log, "traceId"));
  record.span_id = hex_id(text_at(log, "spanId"));
  if (dom::element raw; log["body"].get(raw) == simdjson::SUCCESS) {
    OtlpValue body;
    SKALD_TRY(read_value(raw, 0, body));
    record.body = body.as_text();
  }
  SKALD_TRY(read_attributes(log, [&record](const std::string&, OtlpPairs pairs) {
    for (auto& pair : pairs) record.attributes.push_back(std::move(pair));
  }));
  return builder.add(std::move(record));
}

base::Status read_scope_logs(dom::element scope_logs, OtlpBuilder& builder) {
  dom::element scope;
  if (scope_logs["scope"].get(scope) == simdjson::SUCCESS) {
    OtlpPairs attributes;
    SKALD_TRY(read_attributes(scope, [&attributes](const std::string&, OtlpPairs pairs) {
      for (auto& pair : pairs) attributes.push_back(std::move(pair));
    }));
    builder.begin_scope(text_at(scope, "name"), text_at(scope, "version"), std::move(attributes),
                        number_at(scope, "droppedAttributesCount"));
  } else {
    builder.begin_scope({}, {}, {}, 0);
  }
  dom::array records;
  if (scope_logs["logRecords"].get_array().get(records) != simdjson::SUCCESS) return {};
  for (const dom::element log : records) {
    if (!log.is_object()) return bad("a log record must be an object");
    SKALD_TRY(read_record(log, builder));
  }
  return {};
}

base::Status read_resource_logs(dom::element resource_logs, OtlpBuilder& builder) {
  std::vector<std::pair<std::string, OtlpPairs>> attributes;
  std::uint64_t dropped = 0;
  dom::element resource;
  if (resource_logs["resource"].get(resource) == simdjson::SUCCESS) {
    dropped = number_at(resource, "droppedAttributesCount");
    SKALD_TRY(read_attributes(resource, [&attributes](const std::string& key, OtlpPairs pairs) {
      attributes.emplace_back(key, std::move(pairs));
    }));
  }
  builder.begin_resource(attributes, dropped);
  dom::array scopes;
  if (resource_logs["scopeLogs"].get_array().get(scopes) != simdjson::SUCCESS) return {};
  for (const dom::element scope : scopes) SKALD_TRY(read_scope_logs(scope, builder));
  return {};
}

}  // namespace

base::Status decode_otlp_json(std::string_view padded, std::int64_t now_ns,
                              PushBuilder& push_builder) {
  static_assert(simdjson::SIMDJSON_PADDING <= 64);
  thread_local dom::parser parser(kUnpackedJsonBytesMax * 2);
  dom::element root;
  const simdjson::error_code error = parser.parse(padded.data(), padded.size(), false).get(root);
  if (error) return bad(simdjson::error_message(error));
  if (!root.is_object()) return bad("the body must be an object");
  OtlpBuilder builder(push_builder, now_ns);
  dom::array resources;
  if (root["resourceLogs"].get_array().get(resources) == simdjson::SUCCESS)
    for (const dom::element resource : resources) SKALD_TRY(read_resource_logs(resource, builder));
  builder.finish();
  return {};
}

}  // namespace skald::wire
