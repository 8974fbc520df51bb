#include "agent/position/position_store.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/agent/tail/temp_dir.h"

namespace skald::agent {
namespace {

Positions example() {
  Positions positions;
  positions.agent_id = "00c0ffee00c0ffee";
  ClientPositions client;
  client.client = "6d1f02";
  client.tenants = {""};
  FilePosition file;
  file.id = *FileId::parse("fd01-2a-100-9c3f00d1-18f0");
  file.key = {0xfd01, 0x2a};
  file.offset = 4096;
  file.tail = {4096, 64, 0xa1b2c3};
  file.seen_ns = 1'700'000'000'000'000'000;
  file.path = "/var/log/app.log";
  client.files = {file};
  positions.clients = {client};
  return positions;
}

std::string document_example() {
  auto text = base::FileSystem::posix().read_file(
      std::string(SKALD_SOURCE_DIR) + "/agent/position/POSITIONS.md", 1 << 20);
  EXPECT_TRUE(text.ok());
  const std::size_t start = text->find("```\nskald-positions") + 4;
  return text->substr(start, text->find("```", start) - start);
}

TEST(Positions, TheDocumentsExampleIsWhatWeWrite) {
  EXPECT_EQ(encode_positions(example()), document_example());
  auto decoded = decode_positions(document_example());
  ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();
  EXPECT_EQ(*decoded, example());
}

TEST(Positions, AnyChangedByteIsRefused) {
  const std::string good = encode_positions(example());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(decode_positions(bad).ok()) << i;
    EXPECT_FALSE(decode_positions(good.substr(0, i)).ok()) << i;
  }
  EXPECT_FALSE(decode_positions(good + "x").ok());
}

TEST(Positions, OddNamesSurvive) {
  Positions positions = example();
  positions.clients[0].files[0].path = "/a b\n\"\xFF";
  positions.clients[0].tenants = {"", "t 1"};
  auto decoded = decode_positions(encode_positions(positions));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, positions);
}

TEST(PositionStore, KeepsTheAgentIdAndThePreviousVersion) {
  const TempDir dir;
  base::FileSystem& fs = base::FileSystem::posix();
  auto store = PositionStore::open(fs, dir.path("p"));
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE(store->is_new());
  Positions positions = example();
  positions.agent_id = store->positions().agent_id;
  ASSERT_TRUE(store->save(positions).ok());
  positions.clients[0].files[0].offset = 5000;
  ASSERT_TRUE(store->save(positions).ok());
  dir.overwrite("p", "garbage");
  auto again = PositionStore::open(fs, dir.path("p"));
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->is_new());
  EXPECT_FALSE(again->warning().empty());
  EXPECT_EQ(again->positions().clients[0].files[0].offset, 4096U);
  EXPECT_TRUE(std::filesystem::exists(dir.path("p.bad")));
}

TEST(PositionStore, LeavesALaterVersionAlone) {
  const TempDir dir;
  dir.append("p", "skald-positions 2\nwhatever\n");
  auto store = PositionStore::open(base::FileSystem::posix(), dir.path("p"));
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.status().code(), base::Code::kUnsupported);
}

TEST(PromtailPositions, AreReadAndWrittenAsPromtailDoes) {
  auto read = parse_promtail_positions(
      "positions:\n  /var/log/a.log: \"12\"\n  /b: 7\n  cursor-journal-x: \"s=1;i=2\"\n");
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->size(), 3U);
  EXPECT_EQ((*read)[0].path, "/var/log/a.log");
  EXPECT_EQ((*read)[0].value, "12");
  EXPECT_EQ((*read)[1].value, "7");
  auto again = parse_promtail_positions(format_promtail_positions(*read));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)[2].value, "s=1;i=2");
  EXPECT_FALSE(parse_promtail_positions("positions: [1,2").ok());
  EXPECT_TRUE(parse_promtail_positions("")->empty());
}

}  // namespace
}  // namespace skald::agent
