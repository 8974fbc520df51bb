#pragma once
// Random log lines of many kinds, seeded: structlog JSON, plain text, logfmt, broken JSON, bytes.

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "store/part/column_format.h"

namespace skald::store::part {

class LineMaker {
 public:
  explicit LineMaker(std::uint64_t seed) : random_(seed) {
    for (int i = 0; i < 12; ++i) uuids_.push_back(uuid());
  }

  std::string line(std::int64_t time_ns) {
    switch (below(12)) {
      case 0: return plain(time_ns);
      case 1: return logfmt(time_ns);
      case 2: return broken(json(time_ns));
      case 3: return noise();
      case 4: return odd_json();
      default: return json(time_ns);
    }
  }

  std::string json(std::int64_t time_ns) {
    const std::string& id = uuids_[below(uuids_.size())];
    switch (below(5)) {
      case 0:
        return "{\"method\": \"" + pick({"GET", "POST"}) + "\", \"path\": \"/api/v1/conv/" + id +
               "/message\", \"status\": " + std::to_string(200 + below(3) * 100) +
               ", \"duration\": " + decimal() + ", \"request_id\": \"" + hex(16) +
               "\", \"client_ip\": \"" + ip() +
               "\", \"event\": \"http_request\", \"timestamp\": \"" + time(time_ns) + "\"}";
      case 1:
        return "{\"conversation_id\": \"" + id + "\", \"customer_id\": \"cust_" +
               std::to_string(100000 + static_cast<unsigned char>(id[0])) +
               "\", \"turn\": " + std::to_string(below(30)) + ", \"text\": \"" +
               words(3 + below(12)) + "\", \"event\": \"message_processed\"}";
      case 2:
        return "{\"key\":\"conv:" + id + ":state\",\"hit\":" + pick({"true", "false", "null"}) +
               ",\"pool\":{\"size\":20,\"used\":" + std::to_string(below(20)) + "},\"tags\":[\"" +
               pick({"a", "b"}) + "\"," + std::to_string(below(3)) + "]}";
      case 3:
        return "{\"exception\": \"Traceback\\n  File \\\"/app/x.py\\\", line " +
               std::to_string(below(400)) + "\\nraise " + pick({"UpstreamTimeout", "RateLimited"}) +
               "\", \"level\": \"error\", \"empty\": {}, \"nothing\": \"\"}";
      default:
        return "{\"v\": " + number() + ", \"w\": \"" + std::to_string(below(50)) + "\", \"d\": \"" +
               digits(6) + "\"}";
    }
  }

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  std::mt19937_64& random() { return random_; }

 private:
  std::string plain(std::int64_t time_ns) {
    return time(time_ns) + " INFO worker-" + std::to_string(below(9)) + " took " + decimal() +
           "ms for " + uuids_[below(uuids_.size())] + " from " + ip() + ": " + words(below(6));
  }
  std::string logfmt(std::int64_t time_ns) {
    return "ts=" + time(time_ns) + " level=" + pick({"info", "warn"}) + " msg=\"" + words(3) +
           "\" dur=" + decimal() + "s id=" + hex(8) + " n=" + std::to_string(below(1000));
  }
  std::string broken(std::string text) {
    if (below(2) == 0) return text.substr(0, below(text.size() + 1));
    text[below(text.size())] = static_cast<char>(below(256));
    return text;
  }
  std::string noise() {
    std::string text(below(40), '\0');
    for (char& c : text) c = static_cast<char>(below(256));
    return text;
  }
  std::string odd_json() {
    return pick({"{}", "{ }", "[1,2]", "null", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":[{},[]]}}",
                 "{\"u\":\"\\u00e9\\ud83d\\ude00\"}", "{\"u\":\"\\ud83d\"}", "{\"\":\"\"}",
                 "{\"a\":01}", "{\"a\":-0}", "{\"a\":1e5}", " {\"a\" : \t\"b\" } ",
                 "{\"a\":\"\xc3\xa9\"}", "{\"a\":1.0}", "{\"a\":1}", "{\"a\":1.50}",
                 "{\"a\":123456789012345678901}"});
  }
  std::string time(std::int64_t ns) {
    TimestampFormat format{.fraction = 6, .suffix = "Z"};
    if (below(50) == 0) ns += 1'000'000;
    std::string text(format.size(), '\0');
    write_timestamp(ns, format, text.data());
    return text;
  }
  std::string decimal() {
    char text[32];
    std::snprintf(text, sizeof text, "%g", static_cast<double>(below(1000000)) / 1000);
    return text;
  }
  std::string number() {
    switch (below(6)) {
      case 0: return std::to_string(below(100));
      case 1: return "-" + std::to_string(1 + below(100)) + ".25";
      case 2: return "1e" + std::to_string(below(20));
      case 3: return std::to_string(random_()) + std::to_string(random_());
      case 4: return "0." + digits(3);
      default: return decimal();
    }
  }
  std::string digits(int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += static_cast<char>('0' + below(10));
    return text;
  }
  std::string hex(int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += "0123456789abcdef"[below(16)];
    return text;
  }
  std::string uuid() {
    return hex(8) + "-" + hex(4) + "-4" + hex(3) + "-a" + hex(3) + "-" + hex(12);
  }
  std::string ip() {
    return "10." + std::to_string(below(4)) + "." + std::to_string(below(256)) + "." +
           std::to_string(below(256));
  }
  std::string words(std::size_t n) {
    std::string text;
    for (std::size_t i = 0; i < n; ++i)
      text += (i > 0 ? " " : "") +
              pick({"precio", "plan", "semana", "resultado", "tiempo", "coach", "Pago", "mas"});
    return text;
  }
  std::string pick(std::vector<std::string> from) { return from[below(from.size())]; }

  std::mt19937_64 random_;
  std::vector<std::string> uuids_;
};

}  // namespace skald::store::part
