#include "query/alert/encode.h"

#include <snappy.h>

#include <bit>

#include "proto/base/bytes.h"
#include "proto/gotext/functions.h"
#include "proto/gotext/json.h"
#include "proto/gotext/number.h"
#include "proto/gotext/time_layout.h"

namespace skald::query::alert {
namespace {

constexpr std::uint64_t kStaleBits = 0x7ff0000000000002;  // Prometheus' stale marker, a NaN

void put_field(std::string& out, std::uint8_t tag, std::string_view bytes) {
  out += static_cast<char>(tag);
  base::put_bytes(out, bytes);
}

bool plain_value(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F)
      return false;
  return true;
}

}  // namespace

void append_json(std::string& out, std::string_view text) {
  out += gotext::to_json(gotext::Value::borrow(text));
}

void append_json_labels(std::string& out, const model::Labels& labels) {
  out += '{';
  bool first = true;
  for (const auto& [name, value] : labels) {
    if (!first) out += ',';
    first = false;
    append_json(out, name);
    out += ':';
    append_json(out, value);
  }
  out += '}';
}

std::string encode_alert(const Alert& alert, const model::Labels& external_labels,
                         std::string_view generator_url) {
  model::Labels labels = alert.labels;
  for (const auto& [name, value] : external_labels)
    if (!labels.has(name)) labels.set(name, value);
  const auto time = [](std::int64_t ns) { return "\"" + gotext::format_rfc3339_nano(ns) + "\""; };
  std::string out = "{\"labels\":";
  append_json_labels(out, labels);
  out += ",\"annotations\":";
  append_json_labels(out, alert.annotations);
  out += ",\"startsAt\":" + time(alert.fired_at_ns);
  out += ",\"endsAt\":" +
         time(alert.resolved_at_ns != 0 ? alert.resolved_at_ns : alert.valid_until_ns);
  out += ",\"generatorURL\":";
  append_json(out, generator_url);
  return out += '}';
}

std::string encode_alerts(const std::vector<DeliveryItem>& items) {
  std::string out = "[";
  for (const DeliveryItem& item : items) {
    if (out.size() > 1) out += ',';
    out += item.bytes;
  }
  return out += ']';
}

std::string explore_url(std::string_view external_url, std::string_view datasource_uid,
                        std::string_view expr) {
  std::string query = "{";
  if (!datasource_uid.empty()) {
    query += "\"datasource\":{\"type\":\"loki\",\"uid\":";
    append_json(query, datasource_uid);
    query += "},";
  }
  query += "\"expr\":";
  append_json(query, expr);
  query += ",\"queryType\":\"range\"}";
  return std::string(external_url) +
         "/explore?left=" + gotext::query_escape("{\"queries\":[" + query + "]}");
}

std::string encode_series(const RecordedSample& sample) {
  std::string series;
  for (const auto& [name, value] : sample.labels) {  // sorted, as remote write wants
    std::string label;
    put_field(label, 0x0A, name);
    put_field(label, 0x12, value);
    put_field(series, 0x0A, label);
  }
  std::string point;
  point += '\x09';
  base::put_le(point, sample.stale ? kStaleBits : std::bit_cast<std::uint64_t>(sample.value));
  point += '\x10';
  base::put_varint(point, static_cast<std::uint64_t>(sample.timestamp_ms));
  put_field(series, 0x12, point);
  std::string out;
  put_field(out, 0x0A, series);
  return out;
}

std::string encode_write_request(const std::vector<DeliveryItem>& items) {
  std::string request;
  for (const DeliveryItem& item : items) request += item.bytes;
  std::string body;
  snappy::Compress(request.data(), request.size(), &body);
  return body;
}

std::string recorded_line(const RecordedSample& sample) {
  std::string out = "value=" + gotext::format_float(sample.value, 'g');
  for (const auto& [name, value] : sample.labels) {
    if (name == "__name__") continue;
    out.append(" ").append(name).append("=");
    out += plain_value(value) ? value : model::go_quote(value);
  }
  return out;
}

}  // namespace skald::query::alert
