#include "proto/wire/line_block.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/wire/push_decoder.h"
#include "proto/wire/push_encoder.h"
#include "proto/wire/push_fields.h"

namespace skald::wire {
namespace {

constexpr std::int64_t kNs = 1'000'000'000;
constexpr std::int64_t kTime = 1795154400 * kNs;  // 2026-11-20T06:00:00Z

struct Line {
  std::string line;
  std::int64_t time_ns;
  friend bool operator==(const Line&, const Line&) = default;
};

struct Block {
  std::string text, notes;
  LineBlockWriter writer;

  bool add(const Line& line) {
    const LineBlockWriter::Placed placed = writer.add(line.line, line.time_ns, notes);
    if (!placed.held) return false;
    std::string blanked = line.line;
    if (placed.before_end != 0)
      blank_time(blanked.data() + blanked.size() - placed.before_end, placed.digits_size);
    text += blanked + "\n";
    return true;
  }
  std::vector<Line> read(bool& failed) {
    std::vector<Line> lines;
    LineBlockReader reader(text.data(), text.size(), notes);
    std::string_view line;
    std::int64_t time_ns = 0;
    while (reader.next(line, time_ns)) lines.push_back({std::string(line), time_ns});
    failed = reader.failed();
    return lines;
  }
};

void expect_round_trip(const std::vector<Line>& lines) {
  Block block;
  for (const Line& line : lines) ASSERT_TRUE(block.add(line)) << line.line;
  bool failed = true;
  EXPECT_EQ(block.read(failed), lines);
  EXPECT_FALSE(failed);
  EXPECT_EQ(block.read(failed), lines) << "a text whose times are back reads the same";
}

TEST(LineBlock, KeepsEveryFormOfTimeAndLinesWithoutOne) {
  expect_round_trip({
      {R"({"level": "info", "timestamp": "2026-11-20T06:00:00.000726Z"})", kTime + 726'000},
      {R"({"level": "info", "timestamp": "2026-11-20T06:00:00.000801Z"})", kTime + 801'000},
      {R"({"timestamp": "2026-11-20T05:59:59.999999Z", "level": "info"})", kTime - 1'000},
      {"2026-11-20 06:00:00,5 behind", kTime + kNs / 2},
      {"2026-11-20t08:30:00.123456789+02:30", kTime + 123'456'789},
      {"2026-11-20T05:00:00-01:00 x", kTime},
      {"2024-02-29T23:59:59Z", 1709251199 * kNs},
      {"1970-01-01T00:00:00Z", 0},
      {"no time", kTime + 1},
      {"another time 2026-11-20T06:00:00Z", kTime + 7},
      {"", kTime + 8},
      {"two\nlines 2026-11-20T06:00:00Z\n", kTime},
      {"\n\n", kTime},
      {"before 1970", -5 * kNs - 3},
      {"\xFF\xFE bytes", kTime},
      {"2261-12-31T23:59:59Z", 9214646399 * kNs},
  });
}

TEST(LineBlock, KeepsRandomLines) {
  std::mt19937_64 random(20261125);
  for (int round = 0; round < 200; ++round) {
    std::vector<Line> lines;
    std::int64_t time_ns = kTime;
    for (int i = 0; i < 50; ++i) {
      time_ns += static_cast<std::int64_t>(random() % 3'000'000'000) - 1'000'000;
      const std::size_t digits = random() % 10;
      std::string text = digits == 0 ? "0000-00-00T00:00:00Z"
                                     : "0000-00-00 00:00:00." + std::string(digits, '0') + "+01:00";
      const TimeForm form = time_form(text);
      const std::int64_t rounded = time_ns / form.unit_ns * form.unit_ns;
      TimeWriter writer;
      ASSERT_TRUE(writer.write(text.data(), form, rounded));
      ASSERT_EQ(read_line_time(text), rounded) << text;
      lines.push_back({std::string(random() % 9, random() % 5 == 0 ? '\n' : 'a') + text +
                           std::string(random() % 3, '}'),
                       random() % 7 == 0 ? time_ns : rounded});
    }
    expect_round_trip(lines);
  }
}

TEST(LineBlock, LeavesTimesItCannotSayToEntries) {
  Block block;
  EXPECT_FALSE(block.add({"far", std::numeric_limits<std::int64_t>::min()}));
  EXPECT_TRUE(block.notes.empty()) << "nothing was written for it";
  EXPECT_TRUE(block.add({"near", kTime}));
}

TEST(LineBlock, RefusesTextAndNotesThatDoNotAgree) {
  Block good;
  ASSERT_TRUE(good.add({"x 2026-11-20T06:00:00Z", kTime}));
  const struct {
    const char* what;
    std::string text, notes;
  } cases[] = {
      {"a line without a note", good.text + "y\n", good.notes},
      {"a note without a line", good.text, good.notes + good.notes},
      {"no newline", good.text.substr(0, good.text.size() - 1), good.notes},
      {"a place before the line", "\n", good.notes},
      {"a place where no time is", "this is longer than the place\n", good.notes},
      {"half a note", good.text, good.notes.substr(0, good.notes.size() - 1)},
      {"more newlines than the text has", "a\n", std::string("\x01\x00\x05", 3)},
  };
  for (const auto& c : cases) {
    Block block{c.text, c.notes, {}};
    bool failed = false;
    static_cast<void>(block.read(failed));
    EXPECT_TRUE(failed) << c.what;
  }
}

TEST(LineBlock, StandsAmongEntriesOfAStream) {
  Block block;
  ASSERT_TRUE(block.add({"first 2026-11-20T06:00:00Z", kTime}));
  ASSERT_TRUE(block.add({"second", kTime + 1}));
  const std::string long_line(200, 'x');  // longer than a snappy block of ten bytes
  std::string lines, stream, body;
  base::put_varint(lines, kLinesText << 3 | kLengthDelimited);
  base::put_bytes(lines, block.text);
  base::put_varint(lines, kLinesNotes << 3 | kLengthDelimited);
  base::put_bytes(lines, block.notes);
  base::put_varint(stream, kStreamLabels << 3 | kLengthDelimited);
  base::put_bytes(stream, R"({a="b"})");
  base::put_varint(stream, kStreamLines << 3 | kLengthDelimited);
  base::put_bytes(stream, lines);
  std::string third;
  append_entry(third, {kTime + 2, std::string_view(long_line), nullptr});
  stream += third;
  base::put_varint(body, kRequestStreams << 3 | kLengthDelimited);
  base::put_bytes(body, stream);
  PushDecoder decoder;
  PushInput input;
  input.content_type = "application/x-protobuf";
  const auto push = decoder.decode(input, body);
  ASSERT_TRUE(push.ok()) << push.status().to_string();
  const auto& entries = (*push)->batch.streams.at(0).entries;
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].line, "first 2026-11-20T06:00:00Z");
  EXPECT_EQ(entries[0].timestamp_ns, kTime);
  EXPECT_EQ(entries[1].line, "second");
  EXPECT_EQ(entries[1].timestamp_ns, kTime + 1);
  EXPECT_EQ(entries[2].line, long_line);
}

}  // namespace
}  // namespace skald::wire
