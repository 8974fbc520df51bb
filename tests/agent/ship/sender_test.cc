#include "agent/ship/sender.h"

#include <gtest/gtest.h>

#include <deque>

#include "agent/batch/batch.h"

namespace skald::agent {
namespace {

// Answers from a list; then 204.
class Script final : public net::HttpTransport {
 public:
  struct Answer {
    int status;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
  };
  std::deque<Answer> answers;
  std::vector<net::HttpRequest> seen;
  bool is_skald = true;
  base::Result<net::HttpResponse> exchange(const net::HttpRequest& request) override {
    net::HttpResponse response;
    if (request.method == "GET") {
      response.status = is_skald ? 200 : 404;
      response.body = "[]";
      return response;
    }
    seen.push_back(request);
    response.status = 204;
    if (answers.empty()) return response;
    const Answer answer = answers.front();
    answers.pop_front();
    if (answer.status == 0) return base::unavailable("refused");
    response.status = answer.status;
    response.body = answer.body;
    response.headers = answer.headers;
    return response;
  }
  void cancel() override {}
};

class SenderTest : public testing::Test {
 protected:
  SenderTest() {
    auto transport = std::make_unique<Script>();
    script = transport.get();
    SenderOptions options;
    options.url = "http://s/loki/api/v1/push";
    options.agent_id = "a";
    sender = std::make_unique<Sender>(
        options, std::move(transport), clock, [] {}, [](bool, const std::string&) {});
  }
  void begin() {
    sender->start({""});
    while (sender->step() == 0) {
    }
    ASSERT_EQ(sender->take_events().size(), 1U);
  }
  void put(std::uint64_t number, int entries, const std::string& tenant = "") {
    BlockPool pool;
    OpenBatch batch(pool);
    const std::size_t stream = batch.add_stream("{a=\"b\"}");
    for (int i = 0; i < entries; ++i) batch.add(stream, i, "line", {});
    SealedBatch sealed;
    sealed.number = number;
    sealed.tenant = tenant;
    sealed.entries = static_cast<std::uint64_t>(entries);
    sealed.spans = {{1, 0, 10}};
    BodyCompressor compressor;
    ASSERT_TRUE(compressor.compress(batch, "", Encoding::kZstd, sealed.body).ok());
    sender->enqueue(std::move(sealed));
  }
  std::vector<SenderEvent> drain() {
    for (int i = 0; i < 20; ++i) {
      const std::int64_t wait = sender->step();
      if (wait == std::numeric_limits<std::int64_t>::max()) break;
      clock.advance_ns(wait);
      waited_ns += wait;
    }
    return sender->take_events();
  }
  base::ManualClock clock;
  Script* script = nullptr;
  std::unique_ptr<Sender> sender;
  std::int64_t waited_ns = 0;
};

TEST_F(SenderTest, RetriesOutagesUntilAcknowledged) {
  begin();
  script->answers = {{0, "", {}}, {503, "", {}}, {429, "", {{"retry-after", "7"}}}};
  put(1, 1);
  const auto events = drain();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].kind, SenderEvent::Kind::kAcknowledged);
  EXPECT_EQ(script->seen.size(), 4U);
  EXPECT_GE(waited_ns, 7 * base::kNsPerSecond) << "Retry-After counts";
}

TEST_F(SenderTest, DropsWhatIsRefusedForGood) {
  begin();
  script->answers = {{401, "no", {}}};
  put(1, 3);
  put(2, 1);
  const auto events = drain();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, SenderEvent::Kind::kDropped);
  EXPECT_EQ(events[1].kind, SenderEvent::Kind::kAcknowledged);
  const auto counters = sender->counters();
  EXPECT_EQ(counters.dropped.at({"", "ingester_error"}).entries, 3U);
  EXPECT_EQ(counters.queue_bytes, 0U);
}

TEST_F(SenderTest, SplitsWhatIsTooLarge) {
  begin();
  script->answers = {{413, "", {}}, {413, "", {}}};
  put(1, 4);
  const auto events = drain();
  ASSERT_EQ(events.size(), 1U) << "the last part reports the whole";
  EXPECT_EQ(events[0].kind, SenderEvent::Kind::kAcknowledged);
  EXPECT_EQ(sender->counters().sent_entries, 4U);
  EXPECT_EQ(sender->counters().queue_bytes, 0U);
}

TEST_F(SenderTest, GivesBackATenantsBatchesOnConflict) {
  begin();
  script->answers = {{409, "", {}}};
  put(1, 1, "t");
  put(2, 1, "t");
  put(3, 1, "u");
  const auto events = drain();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, SenderEvent::Kind::kConflict);
  EXPECT_EQ(events[0].numbers, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(events[1].numbers, (std::vector<std::uint64_t>{3}));
}

TEST_F(SenderTest, ATenantThatWaitsDoesNotHoldUpAnother) {
  begin();
  script->answers = {{429, "", {{"retry-after", "60"}}}};
  put(1, 1, "slow");
  put(2, 1, "fast");
  sender->step();
  sender->step();
  const auto events = sender->take_events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].tenant, "fast");
}

TEST_F(SenderTest, ALokiIsRecognised) {
  script->is_skald = false;
  sender->start({""});
  while (sender->step() == 0) {
  }
  const auto events = sender->take_events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_FALSE(events[0].is_skald);
}

TEST(Marks, ParsesAndRefuses) {
  auto marks =
      parse_marks(R"([{"file_id":"a-1","end_offset":7}, {"end_offset":"8","file_id":"b"}])");
  ASSERT_TRUE(marks.ok());
  EXPECT_EQ((*marks)[0].end, 7U);
  EXPECT_EQ((*marks)[1].file_id, "b");
  EXPECT_TRUE(parse_marks("[]")->empty());
  for (const std::string_view bad : {"", "{}", "[{}]", "[{\"file_id\":\"a\"}]", "[1]", "[] x",
                                     "[{\"file_id\":\"a\",\"end_offset\":-1}]"})
    EXPECT_FALSE(parse_marks(bad).ok()) << bad;
  EXPECT_EQ(marks_url_of("http://h:1/x/loki/api/v1/push"), "http://h:1/x/skald/v1/marks");
  EXPECT_EQ(marks_url_of("http://h:1/other"), "http://h:1/skald/v1/marks");
}

}  // namespace
}  // namespace skald::agent
