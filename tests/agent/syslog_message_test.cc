#include "agent/syslog_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/wire/rfc3339.h"

namespace skald::agent {
namespace {

using ::testing::ElementsAre;

constexpr std::int64_t kNow = 1'767'500'000'000'000'000;  // 2026-01-04

TEST(SyslogMessage, ReadsAllPartsOfRfc5424) {
  const std::string text =
      "<165>1 2026-01-03T22:14:15.003Z web-1 api 4711 ID47 [a@32473 k=\"v \\\"q\\\" \\] \\\\\" "
      "n=\"2\"][b x=\"\"] \xEF\xBB\xBFit works";
  const auto message = parse_syslog(text, false, kNow);
  ASSERT_TRUE(message.ok()) << message.status().to_string();
  EXPECT_EQ(syslog_facility(message->facility), "local4");
  EXPECT_EQ(syslog_severity(message->severity), "notice");
  EXPECT_EQ(message->timestamp_ns, wire::parse_rfc3339("2026-01-03T22:14:15.003Z"));
  EXPECT_EQ(message->hostname, "web-1");
  EXPECT_EQ(message->app_name, "api");
  EXPECT_EQ(message->proc_id, "4711");
  EXPECT_EQ(message->msg_id, "ID47");
  EXPECT_EQ(message->message, "it works");
  ASSERT_EQ(message->structured.size(), 3U);
  EXPECT_EQ(message->structured[0].id, "a@32473");
  EXPECT_EQ(message->structured[0].value, "v \"q\" ] \\");
  EXPECT_EQ(message->structured[1].name, "n");
  EXPECT_EQ(message->structured[2].id, "b");
}

TEST(SyslogMessage, AbsentPartsAreEmpty) {
  const auto message = parse_syslog("<0>1 - - - - - -", false, kNow);
  ASSERT_TRUE(message.ok()) << message.status().to_string();
  EXPECT_FALSE(message->timestamp_ns.has_value());
  EXPECT_EQ(message->hostname, "");
  EXPECT_EQ(message->message, "");
}

TEST(SyslogMessage, RefusesWhatIsNone) {
  for (const char* text :
       {"", "hello", "<192>1 - - - - - - x", "<>1 - - - - - -", "<1>0 - - - - - -", "<1>- - - -",
        "<1>1 yesterday - - - - - x", "<1>1 - - - - - x", "<1>1 - - - - - [a k=\"v x",
        "<1>1 - - - - - [a k=\"v\"", "<1>1 - - - - - [a k=\"v\"]x", "<1>1 - - - - - [] x",
        "<1>1 - - - - - [a k=\"v\\", "<1>1"})
    EXPECT_FALSE(parse_syslog(text, false, kNow).ok()) << text;
  for (const char* text : {"<1>", "<1>no time", "<1>Jan 32 00:00:00 h x", "<1>Jab 01 00:00:00 h x"})
    EXPECT_FALSE(parse_syslog(text, true, kNow).ok()) << text;
}

TEST(SyslogMessage, Rfc3164TakesTheYearFromTheClock) {
  const auto message =
      parse_syslog("<34>Jan  3 22:14:15 mymachine su[231]: 'su root' failed", true, kNow);
  ASSERT_TRUE(message.ok()) << message.status().to_string();
  EXPECT_EQ(message->timestamp_ns, wire::parse_rfc3339("2026-01-03T22:14:15Z"));
  EXPECT_EQ(message->hostname, "mymachine");
  EXPECT_EQ(message->app_name, "su");
  EXPECT_EQ(message->proc_id, "231");
  EXPECT_EQ(message->message, "'su root' failed");
  const auto last_year = parse_syslog("<34>Dec 31 23:59:59 h no tag here", true, kNow);
  ASSERT_TRUE(last_year.ok());
  EXPECT_EQ(last_year->timestamp_ns, wire::parse_rfc3339("2025-12-31T23:59:59Z"));
  EXPECT_EQ(last_year->app_name, "");
  EXPECT_EQ(last_year->message, "no tag here");
}

struct Cut {
  std::vector<std::string> messages;
  int too_long = 0;
  bool ok = true;
  std::string rest;
};

// The same bytes, given in pieces of every size, are cut the same.
Cut cut(const std::string& bytes, std::size_t message_bytes_max) {
  Cut first;
  for (std::size_t piece = bytes.size(); piece > 0; --piece) {
    SyslogFramer framer(message_bytes_max);
    Cut out;
    for (std::size_t at = 0; at < bytes.size() && out.ok; at += piece)
      out.ok = framer
                   .feed(
                       std::string_view(bytes).substr(at, piece),
                       [&](std::string_view message) {
                         out.messages.emplace_back(message);
                         return true;
                       },
                       [&] { ++out.too_long; })
                   .ok();
    out.rest = framer.rest();
    if (piece == bytes.size()) {
      first = out;
      continue;
    }
    EXPECT_EQ(out.messages, first.messages) << piece;
    EXPECT_EQ(out.too_long, first.too_long) << piece;
    EXPECT_EQ(out.ok, first.ok) << piece;
  }
  return first;
}

TEST(SyslogFramer, CutsByOctetCounts) {
  const Cut out = cut("5 <1>\na3 <2>\n4 <3>b", 100);
  EXPECT_THAT(out.messages, ElementsAre("<1>\na", "<2>", "<3>b"));
  EXPECT_TRUE(out.ok);
}

TEST(SyslogFramer, CutsByNewlines) {
  const Cut out = cut("<1>a\n<2>b\n\n<3>c", 100);
  EXPECT_THAT(out.messages, ElementsAre("<1>a", "<2>b"));
  EXPECT_EQ(out.rest, "<3>c");
}

TEST(SyslogFramer, SkipsWhatIsTooLongAndGoesOn) {
  const Cut counted = cut("4 <1>a12 <2>xxxxxxxxx4 <3>c", 6);
  EXPECT_THAT(counted.messages, ElementsAre("<1>a", "<3>c"));
  EXPECT_EQ(counted.too_long, 1);
  const Cut lines = cut("<1>a\n<2>xxxxxxxxx\n<3>c\n", 6);
  EXPECT_THAT(lines.messages, ElementsAre("<1>a", "<3>c"));
  EXPECT_EQ(lines.too_long, 1);
}

TEST(SyslogFramer, RefusesOtherFraming) {
  EXPECT_FALSE(cut("GET / HTTP/1.1\r\n", 100).ok);
  EXPECT_FALSE(cut("4 <1>ax <1>b", 100).ok);
  EXPECT_FALSE(cut("99999999999 x", 100).ok);
  EXPECT_FALSE(cut("0 x", 100).ok);
}

}  // namespace
}  // namespace skald::agent
