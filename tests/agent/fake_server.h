#pragma once
// A server in memory for tests of a whole lane: takes pushes as a Skald without marks would, or
// refuses those of some tenants.

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "proto/net/http_client.h"
#include "proto/wire/push_decoder.h"

namespace skald::agent {

class FakeServer {
 public:
  std::set<std::string> slowed;                      // tenants that get 429
  std::map<std::string, std::set<std::string>> has;  // lines by tenant
  int twice = 0;
  std::map<std::string, int> refused;

  base::Result<net::HttpResponse> exchange(const net::HttpRequest& request) {
    net::HttpResponse response;
    response.status = 200;
    if (request.method == "GET") {
      response.body = "[]";
      return response;
    }
    wire::PushInput input;
    std::string tenant;
    for (const auto& [name, value] : request.headers) {
      if (name == "Content-Type") input.content_type = value;
      if (name == "Content-Encoding") input.content_encoding = value;
      if (name == "X-Scope-OrgID") tenant = value;
    }
    if (slowed.contains(tenant)) {
      ++refused[tenant];
      response.status = 429;
      return response;
    }
    std::string body(request.body);
    auto decoded = decoder_.decode(input, body);
    CHECK(decoded.ok());
    for (const auto& stream : (*decoded)->batch.streams)
      for (const auto& entry : stream.entries)
        twice += !has[tenant].insert(std::string(entry.line)).second;
    response.status = 204;
    return response;
  }

 private:
  wire::PushDecoder decoder_;
};

class FakeTransport final : public net::HttpTransport {
 public:
  explicit FakeTransport(FakeServer& server) : server_(server) {}
  base::Result<net::HttpResponse> exchange(const net::HttpRequest& request) override {
    return server_.exchange(request);
  }
  void cancel() override {}

 private:
  FakeServer& server_;
};

}  // namespace skald::agent
