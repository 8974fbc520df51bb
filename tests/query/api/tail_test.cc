#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>

#include "tests/proto/net/raw_client.h"
#include "tests/query/api/fixture.h"

namespace skald::query::api {
namespace {

using net::testing::RawClient;
using ::testing::HasSubstr;

class Tail : public testing::ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    net::ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.lanes = Api::lanes(2);
    options.lane_of = Api::lane_of;
    options.ping_interval_ns = 3600LL * base::kNsPerSecond;  // no pings between frames here
    auto server = net::HttpServer::start(
        options, [this](net::ServerRequest& request) { return api_->handle(request); });
    ASSERT_TRUE(server.ok());
    server_ = std::move(*server);
  }
  void TearDown() override {
    api_->stop();
    server_->stop(0);
    server_.reset();
    ApiFixture::TearDown();
  }

  std::unique_ptr<RawClient> open(const std::string& query, const std::string& headers = "") {
    auto client = std::make_unique<RawClient>(server_->port());
    client->send("GET /loki/api/v1/tail?query=" + query +
                 " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nOrigin: http://grafana\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                 headers + "\r\n");
    EXPECT_THAT(client->read_until("\r\n\r\n"), HasSubstr(" 101 "));
    return client;
  }

  static std::string frame(RawClient& client) {  // the text of one frame
    const std::string head = client.read_bytes(2);
    if (head.size() < 2) return "closed";
    std::size_t size = static_cast<unsigned char>(head[1]);
    if (size == 126) {
      const std::string more = client.read_bytes(2);
      size = static_cast<unsigned char>(more[0]) * 256U + static_cast<unsigned char>(more[1]);
    }
    return client.read_bytes(size);
  }

  std::unique_ptr<net::HttpServer> server_;
};

TEST_F(Tail, SendsTheBacklogOldestFirstAndThenWhatArrives) {
  ASSERT_EQ(push_line(R"({"job":"a"})", "second", 20).status, 204);
  ASSERT_EQ(push_line(R"({"job":"a"})", "first", 30).status, 204);
  ASSERT_EQ(push_line(R"({"job":"b"})", "other", 30).status, 204);
  const auto client = open("%7Bjob=%22a%22%7D%20%7C=%20%22s%22");
  const std::string backlog = frame(*client);
  EXPECT_LT(backlog.find("first"), backlog.find("second"));
  EXPECT_THAT(backlog, HasSubstr("{\"streams\":[{\"stream\":{"));
  EXPECT_EQ(backlog.find("other"), std::string::npos);
  EXPECT_EQ(backlog.find("dropped_entries"), std::string::npos);
  ASSERT_EQ(push_line(R"({"job":"a"})", "nothing of interet", 9).status, 204);
  ASSERT_EQ(push_line(R"({"job":"a"})", "fresh", 10).status, 204);
  const std::string live = frame(*client);
  EXPECT_THAT(live, HasSubstr("\"fresh\""));
  EXPECT_THAT(live, HasSubstr("\"" + std::to_string(kNow - 10'000'000'000) + "\""));
  EXPECT_EQ(live.find("interet"), std::string::npos);
}

TEST_F(Tail, SendsTriplesWhenAsked) {
  const auto client = open("%7Bjob=%22a%22%7D%20%7C%20json",
                           "X-Loki-Response-Encoding-Flags: categorize-labels\r\n");
  ASSERT_EQ(push_line(R"({"job":"a"})", R"({\"x\":\"y\"})", 5, R"({"t":"1"})").status, 204);
  const std::string live = frame(*client);
  EXPECT_THAT(live, HasSubstr("\"encodingFlags\":[\"categorize-labels\"]"));
  EXPECT_THAT(live, HasSubstr("\"parsed\":{\"x\":\"y\"}"));
  EXPECT_THAT(live, HasSubstr("\"t\":\"1\""));
}

TEST_F(Tail, SendsEachLineAsSoonAsItIsAcknowledged) {
  const auto client = open("%7Bjob=%22a%22%7D");
  std::vector<double> milliseconds;
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(push_line(R"({"job":"a"})", "line " + std::to_string(i), 59 - i).status, 204);
    const auto acknowledged = std::chrono::steady_clock::now();
    ASSERT_THAT(frame(*client), HasSubstr("line " + std::to_string(i)));
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - acknowledged)
            .count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  RecordProperty("p50_us", static_cast<int>(milliseconds[25] * 1000));
  RecordProperty("max_us", static_cast<int>(milliseconds.back() * 1000));
}

TEST_F(Tail, TenAtATime) {
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(open("%7Bjob=%22a%22%7D"));
  RawClient more(server_->port());
  more.send("GET /loki/api/v1/tail?query=%7Bjob=%22a%22%7D HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(more.read_response(), HasSubstr("max concurrent tail requests limit exceeded"));
}

}  // namespace
}  // namespace skald::query::api
