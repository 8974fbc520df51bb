// The pieces of the journal and archive targets that need neither a journal nor threads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "agent/archive_decoder.h"
#include "agent/journal_reader.h"

namespace skald::agent {
namespace {

std::string deflated(std::string_view text, bool gzip) {
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, gzip ? 15 + 16 : 15, 8, Z_DEFAULT_STRATEGY),
            Z_OK);
  std::string out(::deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

struct Decoded {
  std::string text;
  bool at_end = false;
  base::Status status;
};

Decoded decode(ArchiveFormat format, std::string_view bytes, std::size_t piece) {
  auto decoder = ArchiveDecoder::create(format);
  EXPECT_TRUE(decoder.ok());
  Decoded out;
  for (std::size_t at = 0; at < bytes.size() && out.status.ok(); at += piece)
    out.status = (*decoder)->feed(bytes.substr(at, piece), [&](std::string_view part) {
      out.text += part;
      return true;
    });
  out.at_end = (*decoder)->at_end();
  return out;
}

TEST(ArchiveDecoder, ReadsEveryFormatInPiecesAndMemberAfterMember) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "line " + std::to_string(i * 7919) + "\n";
  const std::pair<ArchiveFormat, std::string> cases[] = {
      {ArchiveFormat::kGzip, deflated(text, true)},
      {ArchiveFormat::kZlib, deflated(text, false)},
      {ArchiveFormat::kZstd, zstd(text)}};
  for (const auto& [format, bytes] : cases)
    for (const std::size_t piece : {std::size_t{777}, bytes.size()}) {
      const Decoded once = decode(format, bytes, piece);
      EXPECT_TRUE(once.status.ok()) << once.status.to_string();
      EXPECT_TRUE(once.text == text && once.at_end);
      const Decoded twice = decode(format, bytes + bytes, piece);
      EXPECT_TRUE(twice.text == text + text && twice.at_end);
    }
}

TEST(ArchiveDecoder, WhatIsCutIsNoErrorButNotItsEnd) {
  const std::string bytes = deflated(std::string(100'000, 'x'), true);
  const Decoded cut = decode(ArchiveFormat::kGzip, std::string_view(bytes).substr(0, 60), 60);
  EXPECT_TRUE(cut.status.ok());
  EXPECT_FALSE(cut.at_end);
}

TEST(ArchiveDecoder, DamageIsAnError) {
  for (const ArchiveFormat format :
       {ArchiveFormat::kGzip, ArchiveFormat::kZlib, ArchiveFormat::kZstd})
    EXPECT_EQ(decode(format, "this is plain text, not an archive", 100).status.code(),
              base::Code::kCorrupt);
}

TEST(JournalEntry, FieldsBecomeLabelsAndTheMessageTheLine) {
  JournalConfig config;
  config.labels = {{"job", "j"}};
  model::Labels labels;
  std::string line;
  ASSERT_TRUE(journal_entry(
      config, {"_SYSTEMD_UNIT=a.service", "PRIORITY=3", "MESSAGE=it = broken", "no field"}, labels,
      line));
  EXPECT_EQ(line, "it = broken");
  EXPECT_EQ(labels, (model::Labels{{"job", "j"},
                                   {"__journal__systemd_unit", "a.service"},
                                   {"__journal_priority", "3"},
                                   {"__journal_priority_keyword", "error"},
                                   {"__journal_message", "it = broken"}}));
  EXPECT_FALSE(journal_entry(config, {"PRIORITY=3"}, labels, line)) << "there is no MESSAGE";
  config.json = true;
  ASSERT_TRUE(journal_entry(config, {"PRIORITY=3", "A=\"<\""}, labels, line));
  EXPECT_EQ(line, R"({"A":"\"\u003c\"","PRIORITY":"3"})");
}

}  // namespace
}  // namespace skald::agent
