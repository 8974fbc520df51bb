#include "agent/tail/text_encoding.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/tail/source.h"
#include "tests/agent/tail/temp_dir.h"

namespace skald::agent {
namespace {

using ::testing::ElementsAre;

std::string decoded(TextEncoding encoding, std::string_view text) {
  std::string out;
  append_decoded(encoding, text, out);
  return out;
}

// UTF-16 of ASCII, for short tests.
std::string wide(std::string_view text, bool little) {
  std::string out;
  for (const char c : text) {
    out += little ? c : '\0';
    out += little ? '\0' : c;
  }
  return out;
}

TEST(TextEncoding, DecodesToUtf8) {
  EXPECT_EQ(decoded(TextEncoding::kLatin1, "K\xE4se \xFF"), "K\u00e4se \u00ff");
  EXPECT_EQ(decoded(TextEncoding::kUtf16Le, std::string_view("\xFF\xFE\x41\0\xE4\0", 6)),
            "A\u00e4");
  EXPECT_EQ(decoded(TextEncoding::kUtf16Be, std::string_view("\xD8\x34\xDD\x1E", 4)), "\U0001D11E");
  // A lone surrogate and half a character.
  EXPECT_EQ(decoded(TextEncoding::kUtf16Be, std::string_view("\xD8\x34\0A\0", 5)), "\uFFFDA\uFFFD");
}

TEST(TextEncoding, NewlineBytesInsideOtherCharactersAreNone) {
  // U+010A little endian is 0A 01, big endian 01 0A; U+0A00 big endian is 0A 00.
  EXPECT_EQ(find_newline(TextEncoding::kUtf16Le, std::string_view("\x0A\x01\x0A\0", 4), 0), 2U);
  EXPECT_EQ(find_newline(TextEncoding::kUtf16Be, std::string_view("\x01\x0A\x0A\0\0\x0A", 6), 0),
            4U);
  EXPECT_EQ(find_newline(TextEncoding::kUtf16Le, std::string_view("A\0\x0A", 3), 0),
            std::string_view::npos);
}

TEST(TextEncoding, AMarkDecidesAndItsAbsenceMeansBigEndian) {
  EXPECT_EQ(resolve_encoding(TextEncoding::kUtf16, "\xFF\xFE"), TextEncoding::kUtf16Le);
  EXPECT_EQ(resolve_encoding(TextEncoding::kUtf16, "\xFE\xFF"), TextEncoding::kUtf16Be);
  EXPECT_EQ(resolve_encoding(TextEncoding::kUtf16, "ab"), TextEncoding::kUtf16Be);
  EXPECT_EQ(resolve_encoding(TextEncoding::kLatin1, "\xFF\xFE"), TextEncoding::kLatin1);
}

class Collector final : public LineSink {
 public:
  std::vector<std::string> lines;
  std::uint64_t skipped = 0;
  bool on_line(Source& source, std::string_view line, std::uint64_t, std::uint64_t) override {
    lines.push_back(decoded(source.encoding, line));
    return true;
  }
  void on_skipped(Source&, std::uint64_t start, std::uint64_t end) override {
    skipped += end - start;
  }
};

TEST(TextEncoding, WideFilesAreCutIntoLinesHoweverTheyGrow) {
  for (const bool little : {true, false}) {
    TempDir dir;
    Source source;
    source.encoding = TextEncoding::kUtf16;
    const std::string bytes = (little ? "\xFF\xFE" : "\xFE\xFF") +
                              wide("one\n\ntwo\n" + std::string(5000, 'x') + "\nend", little);
    LineReader reader(2048);  // the long line is cut
    Collector sink;
    for (std::size_t at = 0; at < bytes.size(); at += 7) {
      dir.append("w.log", bytes.substr(at, 7));
      if (source.fd < 0) source.fd = ::open(dir.path("w.log").c_str(), O_RDONLY | O_CLOEXEC);
      EXPECT_EQ(reader.read(source, sink), LineReader::Outcome::kDrained);
    }
    EXPECT_TRUE(source.partial);
    EXPECT_EQ(reader.flush_partial(source, sink), LineReader::Outcome::kDrained);
    ASSERT_EQ(sink.lines.size(), 5U);
    EXPECT_THAT(sink.lines, ElementsAre("one", "", "two", testing::StartsWith("xxxxxxxx"), "end"));
    EXPECT_LE(sink.lines[3].size(), 5000U);
  }
}

}  // namespace
}  // namespace skald::agent
