#pragma once
// An Api over a real store in a temporary directory, asked without sockets.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "query/api/api.h"

namespace skald::query::api::testing {

struct Answer {
  int status = 0;
  std::string type, body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (key == name) return value;
    return {};
  }
};

// A wall that stands still, and monotonic time that runs: deadlines are compared with the system's.
class StandingClock final : public base::Clock {
 public:
  std::int64_t wall_ns() const override { return wall_ns_; }
  std::int64_t monotonic_ns() const override {
    return base::Clock::system().monotonic_ns() + offset_ns_;
  }
  void set_wall_ns(std::int64_t wall_ns) { wall_ns_ = wall_ns; }
  void advance_ns(std::int64_t ns) { offset_ns_ += ns; }

 private:
  std::int64_t wall_ns_ = 0, offset_ns_ = 0;
};

class StringSink final : public net::BodySink {
 public:
  base::Status write(std::string_view bytes) override {
    text.append(bytes);
    return {};
  }
  std::string text;
};

class ApiFixture : public ::testing::Test {
 protected:
  static constexpr std::int64_t kNow = 1'764'000'000'000'000'000;  // 2025-11-24T16:00:00Z

  void SetUp() override {
    char path[] = "/tmp/skald-api-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
    settings_ = std::make_shared<ApiSettings>();
    settings_->limits.retention.period_ns = 0;
    start();
  }
  void TearDown() override {
    api_.reset();
    engine_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  void start() {
    clock_.set_wall_ns(kNow);
    store::StoreOptions options;
    options.data_dir = directory_;
    options.clock = &clock_;
    options.disk_free_min = disk_free_min_;
    options.retention = [this](std::string_view tenant) {
      return settings_->limits_of(tenant).retention;
    };
    auto store = store::Store::open(options);
    ASSERT_TRUE(store.ok()) << store.status().to_string();
    store_ = std::move(*store);
    engine_ = std::make_unique<Engine>(*store_, clock_, engine_options_);
    ApiDeps deps;
    deps.store = store_.get();
    deps.engine = engine_.get();
    deps.clock = &clock_;
    api_ = std::make_unique<Api>(deps, settings_);
    api_->set_ready(true);
  }

  Answer ask(std::string method, std::string target,
             std::vector<std::pair<std::string, std::string>> headers = {}, std::string body = {}) {
    net::ServerRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.headers = std::move(headers);
    request.body = std::move(body);
    request.cancelled = &never_;
    net::ServerResponse response = api_->handle(request);
    Answer answer{response.status, response.content_type, response.body, response.headers};
    if (response.stream) {
      StringSink sink;
      EXPECT_TRUE(response.stream(sink).ok());
      answer.body = sink.text;
    }
    return answer;
  }
  Answer get(std::string target, std::vector<std::pair<std::string, std::string>> headers = {}) {
    return ask("GET", std::move(target), std::move(headers));
  }
  Answer push_json(std::string body,
                   std::vector<std::pair<std::string, std::string>> headers = {}) {
    headers.emplace_back("content-type", "application/json");
    return ask("POST", "/loki/api/v1/push", std::move(headers), std::move(body));
  }
  // One entry, `seconds` before now.
  Answer push_line(const std::string& labels, const std::string& line, int seconds = 60,
                   const std::string& metadata = "") {
    return push_json("{\"streams\":[{\"stream\":" + labels + ",\"values\":[[\"" +
                     std::to_string(kNow - seconds * base::kNsPerSecond) + "\",\"" + line + "\"" +
                     (metadata.empty() ? "" : "," + metadata) + "]]}]}");
  }

  std::string directory_;
  std::uint64_t disk_free_min_ = 0;
  EngineOptions engine_options_;
  StandingClock clock_;
  std::atomic<bool> never_{false};
  std::shared_ptr<ApiSettings> settings_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Api> api_;
};

}  // namespace skald::query::api::testing
