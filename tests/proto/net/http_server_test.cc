#include "proto/net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <chrono>
#include <thread>

#include "tests/proto/net/raw_client.h"

namespace skald::net {
namespace {

using ::testing::HasSubstr;
using testing::RawClient;
using ::testing::StartsWith;

constexpr std::int64_t kMs = 1'000'000;

std::unique_ptr<HttpServer> serve(ServerOptions options, Handler handler) {
  options.listen = "127.0.0.1:0";
  auto server = HttpServer::start(std::move(options), std::move(handler));
  EXPECT_TRUE(server.ok()) << server.status().to_string();
  return std::move(server).value();
}

ServerResponse echo(ServerRequest& request) {
  return ServerResponse::text(200,
                              request.method + " " + request.target + " [" + request.body + "]");
}

std::string get(std::string_view target, std::string_view headers = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" + std::string(headers) + "\r\n";
}

std::string body_of(const std::string& response) {
  const std::size_t at = response.find("\r\n\r\n");
  return at == std::string::npos ? "" : response.substr(at + 4);
}

std::string unchunk(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t size =
        std::stoul(std::string(text.substr(0, text.find("\r\n"))), nullptr, 16);
    text.remove_prefix(text.find("\r\n") + 2);
    if (size == 0) return out;
    out.append(text.substr(0, size));
    text.remove_prefix(size + 2);
  }
}

TEST(HttpServer, AnswersSeveralRequestsOnOneConnection) {
  const auto server = serve({}, echo);
  RawClient client(server->port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send(get("/a?i=" + std::to_string(i))));
    EXPECT_EQ(body_of(client.read_response()), "GET /a?i=" + std::to_string(i) + " []");
  }
  EXPECT_EQ(server->stats().connections_total, 1U);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  const auto server = serve({}, [](ServerRequest& request) {
    if (request.path() == "/slow") std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return echo(request);
  });
  RawClient client(server->port());
  std::string all = get("/slow");
  for (int i = 0; i < 50; ++i) all += get("/" + std::to_string(i));
  // The second half arrives while the first request is being handled, cut in the middle.
  ASSERT_TRUE(client.send(all.substr(0, all.size() / 2 + 7)));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_TRUE(client.send(all.substr(all.size() / 2 + 7)));
  EXPECT_EQ(body_of(client.read_response()), "GET /slow []");
  for (int i = 0; i < 50; ++i)
    ASSERT_EQ(body_of(client.read_response()), "GET /" + std::to_string(i) + " []");
}

TEST(HttpServer, ReadsBodiesByLengthAndInChunksHoweverTheyAreCut) {
  const auto server = serve({}, echo);
  const std::string by_length =
      "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world";
  const std::string chunked =
      "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "6\r\nhello \r\n5;x=y\r\nworld\r\n0\r\nTrailer: t\r\n\r\n";
  for (const std::string& request : {by_length, chunked}) {
    for (std::size_t cut = 1; cut < request.size(); cut += 7) {
      RawClient client(server->port());
      ASSERT_TRUE(client.send(request.substr(0, cut)));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ASSERT_TRUE(client.send(request.substr(cut)));
      ASSERT_EQ(body_of(client.read_response()), "POST /p [hello world]") << cut;
    }
  }
}

TEST(HttpServer, TakesALargeBody) {
  const auto server = serve({}, [](ServerRequest& request) {
    return ServerResponse::text(200, std::to_string(request.body.size()));
  });
  RawClient client(server->port());
  const std::string body(8U << 20, 'x');
  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n" + body));
  EXPECT_EQ(body_of(client.read_response()), std::to_string(body.size()));
}

TEST(HttpServer, TellsAClientToContinue) {
  const auto server = serve({}, echo);
  RawClient client(server->port());
  ASSERT_TRUE(client.send(
      "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n"));
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("ab"));
  EXPECT_EQ(body_of(client.read_response()), "POST /p [ab]");
}

TEST(HttpServer, RefusesWhatIsTooLargeOrMalformed) {
  ServerOptions options;
  options.body_bytes_max = 1000;
  options.head_bytes_max = 2000;
  const auto server = serve(options, echo);
  const struct {
    std::string request;
    std::string status;
  } cases[] = {
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", "413"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
           std::string(1001, 'x') + "\r\n0\r\n\r\n",
       "413"},
      {get("/", "X: " + std::string(3000, 'y') + "\r\n"), "431"},
      {"GET / HTTP/9.9\r\n\r\n", "400"},
      {"nonsense\r\n\r\n", "400"},
      {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", 10), "400"},  // a TLS hello
      {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
  };
  for (const auto& c : cases) {
    RawClient client(server->port());
    ASSERT_TRUE(client.send(c.request));
    EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 " + c.status)) << c.request.substr(0, 60);
  }
}

TEST(HttpServer, KeepsOrClosesAsTheClientAsks) {
  const auto server = serve({}, echo);
  RawClient close(server->port());
  ASSERT_TRUE(close.send(get("/", "Connection: close\r\n")));
  EXPECT_THAT(close.read_all(), HasSubstr("Connection: close"));
  RawClient old(server->port());
  ASSERT_TRUE(old.send("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_THAT(old.read_all(), HasSubstr("GET / []"));
}

TEST(HttpServer, SendsNoBodyForHeadAnd204) {
  const auto server = serve({}, [](ServerRequest& request) {
    ServerResponse response = ServerResponse::text(request.path() == "/204" ? 204 : 200, "text");
    return response;
  });
  RawClient client(server->port());
  ASSERT_TRUE(client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("Content-Length: 4"));
  ASSERT_TRUE(client.send(get("/204")));
  const std::string none = client.read_until("\r\n\r\n");
  EXPECT_THAT(none, StartsWith("HTTP/1.1 204 No Content"));
  EXPECT_EQ(none.find("Content-"), std::string::npos);
  ASSERT_TRUE(client.send(get("/x")));
  EXPECT_EQ(body_of(client.read_response()), "text");
}

TEST(HttpServer, StreamsLongBodiesAndMeasuresShortOnes) {
  const auto server = serve({}, [](ServerRequest& request) {
    const int pieces = request.path() == "/long" ? 3000 : 3;
    ServerResponse response;
    response.stream = [pieces](BodySink& sink) -> base::Status {
      for (int i = 0; i < pieces; ++i) SKALD_TRY(sink.write(std::string(100, 'a')));
      return {};
    };
    return response;
  });
  RawClient client(server->port());
  ASSERT_TRUE(client.send(get("/short")));
  EXPECT_EQ(body_of(client.read_response()), std::string(300, 'a'));
  ASSERT_TRUE(client.send(get("/long")));
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_EQ(unchunk(client.read_until("\r\n0\r\n\r\n")), std::string(300'000, 'a'));
  RawClient old(server->port());
  ASSERT_TRUE(old.send("GET /long HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(body_of(old.read_all()), std::string(300'000, 'a'));
}

TEST(HttpServer, TearsTheConnectionWhenAStreamFails) {
  const auto server = serve({}, [](ServerRequest& request) {
    const bool early = request.path() == "/early";
    ServerResponse response;
    response.stream = [early](BodySink& sink) -> base::Status {
      if (!early) SKALD_TRY(sink.write(std::string(200'000, 'a')));
      return base::internal("broken");
    };
    return response;
  });
  RawClient early(server->port());
  ASSERT_TRUE(early.send(get("/early")));
  EXPECT_THAT(early.read_response(), StartsWith("HTTP/1.1 500"));
  RawClient late(server->port());
  ASSERT_TRUE(late.send(get("/late")));
  EXPECT_EQ(late.read_all().find("\r\n0\r\n"), std::string::npos);
}

std::string gunzip(const std::string& bytes) {
  z_stream stream{};
  inflateInit2(&stream, 15 + 32);
  std::string out(4U << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

std::string unzstd(const std::string& bytes) {
  std::string out(4U << 20, '\0');
  const std::size_t size = ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
  EXPECT_FALSE(ZSTD_isError(size));
  out.resize(ZSTD_isError(size) ? 0 : size);
  return out;
}

TEST(HttpServer, CompressesAsTheClientAccepts) {
  const std::string text(300'000, 'z');
  const auto server = serve({}, [&](ServerRequest& request) {
    if (request.path() == "/whole") return ServerResponse::text(200, text);
    ServerResponse response;
    response.stream = [&](BodySink& sink) { return sink.write(text); };
    return response;
  });
  for (const char* path : {"/whole", "/stream"}) {
    const auto ask = [&](const char* accept) {
      RawClient client(server->port());
      client.send(
          get(path, std::string("Connection: close\r\nAccept-Encoding: ") + accept + "\r\n"));
      std::string response = client.read_all();
      std::string body = body_of(response);
      if (response.find("chunked") != std::string::npos) body = unchunk(body);
      return std::pair(response, body);
    };
    EXPECT_EQ(gunzip(ask("gzip").second), text);
    EXPECT_EQ(unzstd(ask("gzip, zstd").second), text);
    EXPECT_EQ(gunzip(ask("zstd;q=0, gzip;q=0.5").second), text);
    EXPECT_EQ(ask("identity").second, text);
    EXPECT_THAT(ask("gzip").first, HasSubstr("Content-Encoding: gzip"));
  }
}

TEST(HttpServer, TellsARunningHandlerThatItsClientWentAway) {
  std::atomic<bool> saw{false};
  const auto server = serve({}, [&](ServerRequest& request) {
    for (int i = 0; i < 400 && !request.cancelled->load(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    saw = request.cancelled->load();
    return ServerResponse::text(200, "");
  });
  {
    RawClient client(server->port());
    ASSERT_TRUE(client.send(get("/")));
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }
  for (int i = 0; i < 400 && !saw; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(saw);
}

TEST(HttpServer, HoldsAStreamBackAndEndsItWhenTheClientReadsNothing) {
  ServerOptions options;
  options.write_stall_timeout_ns = 300 * kMs;
  std::atomic<std::size_t> written{0};
  std::atomic<bool> cancelled{false};
  const auto server = serve(options, [&](ServerRequest&) {
    ServerResponse response;
    response.stream = [&](BodySink& sink) -> base::Status {
      for (int i = 0; i < 100'000; ++i) {
        const base::Status status = sink.write(std::string(65536, 'a'));
        if (!status.ok()) {
          cancelled = status.code() == base::Code::kCancelled;
          return status;
        }
        written += 65536;
      }
      return {};
    };
    return response;
  });
  RawClient client(server->port());
  ASSERT_TRUE(client.send(get("/")));
  for (int i = 0; i < 600 && !cancelled; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(cancelled);
  EXPECT_LT(written, 64U << 20);
}

TEST(HttpServer, DropsSlowSendersAfterTheirDeadline) {
  ServerOptions options;
  options.head_timeout_ns = 100 * kMs;
  options.body_stall_timeout_ns = 100 * kMs;
  const auto server = serve(options, echo);
  RawClient head(server->port());
  ASSERT_TRUE(head.send("GET / HT"));
  RawClient body(server->port());
  ASSERT_TRUE(body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"));
  RawClient silent(server->port());
  EXPECT_THAT(head.read_all(), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(body.read_all(), StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(silent.read_all(), "");
}

TEST(HttpServer, RefusesWorkBeyondALanesQueueAndKeepsOtherLanesGoing) {
  ServerOptions options;
  options.lanes = {Lane{"quick", 1, 10}, Lane{"slow", 1, 1}};
  options.lane_of = [](const ServerRequest& request) {
    return request.path() == "/slow" ? std::size_t{1} : std::size_t{0};
  };
  std::atomic<bool> release{false};
  const auto server = serve(options, [&](ServerRequest& request) {
    while (request.path() == "/slow" && !release)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return echo(request);
  });
  RawClient running(server->port()), queued(server->port()), refused(server->port());
  RawClient quick(server->port());
  running.send(get("/slow"));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  queued.send(get("/slow"));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  refused.send(get("/slow"));
  EXPECT_THAT(refused.read_response(), StartsWith("HTTP/1.1 429"));
  quick.send(get("/quick"));
  EXPECT_THAT(quick.read_response(), StartsWith("HTTP/1.1 200"));
  release = true;
  EXPECT_THAT(running.read_response(), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(queued.read_response(), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, FinishesRequestsUnderWayBeforeItStops) {
  auto server = serve({}, [&](ServerRequest& request) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return echo(request);
  });
  RawClient busy(server->port()), idle(server->port());
  ASSERT_TRUE(busy.send(get("/")));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  server->stop(2000 * kMs);
  EXPECT_THAT(busy.read_all(), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(idle.at_eof());
}

TEST(HttpServer, GoodClientsAreServedBesideAThousandSlowSockets) {
  const auto server = serve({}, echo);
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 1000; ++i) {
    slow.push_back(std::make_unique<RawClient>(server->port()));
    slow.back()->send("POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc");
  }
  RawClient good(server->port());
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) {
    good.send(get("/"));
    ASSERT_THAT(good.read_response(), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

TEST(HttpServer, RefusesAPortThatIsTakenAndAnAddressThatIsNone) {
  const auto server = serve({}, echo);
  ServerOptions options;
  options.listen = "127.0.0.1:" + std::to_string(server->port());
  EXPECT_EQ(HttpServer::start(options, echo).status().code(), base::Code::kUnavailable);
  for (const char* bad :
       {"", "3100", "host.example:80", "127.0.0.1:", "127.0.0.1:99999", "[::1]"}) {
    options.listen = bad;
    EXPECT_EQ(HttpServer::start(options, echo).status().code(), base::Code::kInvalidArgument)
        << bad;
  }
}

// ---- WebSocket

const char kUpgrade[] =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://elsewhere\r\n";

TEST(HttpServer, UpgradesToAWebSocketAndPings) {
  ServerOptions options;
  options.ping_interval_ns = 500 * kMs;
  std::shared_ptr<WebSocket> socket;
  std::atomic<bool> opened{false};
  const auto server = serve(options, [&](ServerRequest&) {
    ServerResponse response;
    response.websocket = [&](std::shared_ptr<WebSocket> s) {
      socket = std::move(s);
      socket->send_text("hello");
      opened = true;
    };
    return response;
  });
  RawClient client(server->port());
  ASSERT_TRUE(client.send(get("/ws", kUpgrade)));
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
  EXPECT_EQ(client.read_bytes(7), "\x81\x05hello");
  EXPECT_EQ(client.read_bytes(2), std::string("\x89\x00", 2));  // a ping
  ASSERT_TRUE(opened);
  EXPECT_TRUE(socket->send_text("more"));
  EXPECT_EQ(client.read_bytes(6), "\x81\x04more");
  socket->close(1011, "the end");
  EXPECT_EQ(client.read_bytes(11), "\x88\x09\x03\xf3the end");
  client.close();
  for (int i = 0; i < 400 && !socket->closed(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(socket->closed());
  EXPECT_FALSE(socket->send_text("late"));
}

TEST(HttpServer, MayRefuseAnUpgrade) {
  const auto server = serve({}, [&](ServerRequest&) { return ServerResponse::text(400, "no"); });
  RawClient client(server->port());
  ASSERT_TRUE(client.send(get("/ws", kUpgrade)));
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 400"));
  ASSERT_TRUE(client.send(get("/ws")));
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 400"));
}

}  // namespace
}  // namespace skald::net
