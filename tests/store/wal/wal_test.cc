#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <sstream>

#include "proto/wire/push_encoder.h"
#include "store/wal/batch_codec.h"
#include "store/wal/wal_reader.h"
#include "store/wal/wal_writer.h"

namespace skald::store::wal {
namespace {

std::string read_document() {
  std::ifstream file(SKALD_SOURCE_DIR "/store/wal/WAL.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The bytes of the document's ```hex block: "offset: xx xx ..." lines.
std::string example_bytes(const std::string& heading = "```hex\n") {
  const std::string text = read_document();
  const std::size_t begin = text.find(heading) + heading.size();
  std::istringstream block(text.substr(begin, text.find("```", begin) - begin));
  std::string bytes;
  for (std::string line; std::getline(block, line);) {
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;)
      bytes.push_back(static_cast<char>(std::stoi(word, nullptr, 16)));
  }
  return bytes;
}

class InMemory {
 public:
  model::Labels labels{{"job", "api"}}, metadata{{"k", "v"}};
  model::PushBatch batch() const {
    model::PushBatch out;
    out.marks.push_back({"a", "f", 0, 10});
    out.streams.push_back({labels, {{1000, "one", nullptr}, {1005, "two", &metadata}}});
    return out;
  }
};

EncodedBatch encode(const model::PushBatch& batch) {
  return encode_batch("t", batch, [](std::size_t, const model::EntryView&) { return true; })
      .value();
}

std::string record_of(const std::string& line, std::uint64_t sequence) {
  model::PushBatch batch;
  batch.streams.push_back({model::Labels{{"a", "b"}}, {{1, line, nullptr}}});
  EncodedBatch encoded = encode(batch);
  finish_record(*encoded.record, sequence);
  return std::string(encoded.record->whole());
}

TEST(WalFormat, TheDocumentsExampleIsWhatIsWrittenAndRead) {
  const std::string bytes = example_bytes();
  ASSERT_GT(bytes.size(), kSegmentHeaderBytes);
  EncodedBatch encoded = encode(InMemory().batch());
  finish_record(*encoded.record, 7);
  EXPECT_EQ(encode_segment_header({7, 0, 0}) + std::string(encoded.record->whole()), bytes);
  const auto record = read_record(std::string_view(bytes).substr(kSegmentHeaderBytes));
  ASSERT_TRUE(record);
  EXPECT_EQ(record->sequence, 7U);
  const auto batch = decode_batch(record->payload, nullptr);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->tenant, "t");
  EXPECT_EQ(batch->marks, InMemory().batch().marks);
  ASSERT_EQ(batch->rows.size(), 2U);
  EXPECT_EQ(batch->rows[1].timestamp_ns, 1005);
  EXPECT_EQ(batch->rows[1].line, "two");
  EXPECT_EQ(*batch->rows[1].metadata, InMemory().metadata);
}

TEST(WalFormat, RefusesEveryDamagedByteAndEveryCut) {
  const std::string bytes = example_bytes();
  const std::string record = bytes.substr(kSegmentHeaderBytes);
  for (std::size_t i = 0; i < record.size(); ++i) {
    std::string damaged = record;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(read_record(damaged)) << i;
    EXPECT_FALSE(read_record(record.substr(0, i))) << i;
  }
  for (std::size_t i = 0; i < kSegmentHeaderBytes; ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(decode_segment_header(damaged).ok()) << i;
  }
}

TEST(WalFormat, ADamagedPayloadIsAnErrorNotACrash) {
  const std::string bytes = example_bytes();
  const std::string whole = bytes.substr(kSegmentHeaderBytes + kRecordHeaderBytes);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_FALSE(decode_batch(whole.substr(0, i), nullptr).ok()) << i;
    for (const int flip : {1, 0x80, 0xFF}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      static_cast<void>(decode_batch(damaged, nullptr).ok());
    }
  }
}

TEST(WalFormat, DroppedRowsDoNotComeBack) {
  EncodedBatch encoded = encode(InMemory().batch());
  *encoded.rows[0].flags = static_cast<char>(*encoded.rows[0].flags | kRowDropped);
  const auto batch = decode_batch(encoded.record->payload(), nullptr);
  ASSERT_TRUE(batch.ok());
  ASSERT_EQ(batch->rows.size(), 1U);
  EXPECT_EQ(batch->rows[0].line, "two");
}

// A batch whose lines lie in a snappy body, as a push brings them.
class PackedPush {
 public:
  PackedPush() : plain_(std::make_shared<std::string>()) {
    for (int i = 0; i < 500; ++i)
      *plain_ += "the line " + std::to_string(i * i) + " of a body that is worth packing|";
    wire::compress_snappy(*plain_, packed_);
  }
  model::PushBatch batch() {
    model::PushBatch out;
    out.body = {model::PackedBody::Coding::kSnappy, packed_, *plain_, plain_};
    for (const char* job : {"api", "web"}) out.streams.push_back({model::Labels{{"job", job}}, {}});
    std::size_t at = 0;
    for (std::size_t i = 0; i < 500; ++i) {
      const std::size_t end = plain_->find('|', at);
      const model::Labels* const metadata =
          i % 100 < 50 ? nullptr : (i % 100 < 80 ? &first_ : &second_);
      out.streams[i % 2].entries.push_back({static_cast<model::TimestampNs>(1'000'000 - i * 7),
                                            std::string_view(*plain_).substr(at, end - at),
                                            metadata});
      at = end + 1;
    }
    return out;
  }

 private:
  std::shared_ptr<std::string> plain_;
  std::string packed_;
  model::Labels first_{{"trace", "a"}}, second_{{"trace", "b"}, {"span", "c"}};
};

void expect_equal_rows(const EncodedBatch& a, const EncodedBatch& b) {
  ASSERT_EQ(a.rows.size(), b.rows.size());
  EXPECT_EQ(a.streams, b.streams);
  for (std::size_t i = 0; i < a.rows.size(); ++i) {
    EXPECT_EQ(a.rows[i].timestamp_ns, b.rows[i].timestamp_ns) << i;
    EXPECT_EQ(a.rows[i].line, b.rows[i].line) << i;
    EXPECT_EQ(a.rows[i].stream, b.rows[i].stream) << i;
    ASSERT_EQ(a.rows[i].metadata == nullptr, b.rows[i].metadata == nullptr) << i;
    if (a.rows[i].metadata != nullptr) {
      EXPECT_EQ(*a.rows[i].metadata, *b.rows[i].metadata) << i;
    }
  }
}

TEST(WalFormat, APackedBodyIsKeptInsteadOfItsLines) {
  PackedPush push;
  const model::PushBatch batch = push.batch();
  const EncodedBatch encoded = encode(batch);
  EXPECT_LT(encoded.record->size, batch.body->plain.size() / 2);
  EXPECT_EQ(encoded.owner, batch.body->owner);
  EXPECT_EQ(encoded.rows[0].line.data(), batch.body->plain.data());
  auto payload = std::make_shared<std::string>(encoded.record->payload());
  const auto decoded = decode_batch(*payload, payload);
  ASSERT_TRUE(decoded.ok());
  payload->assign(payload->size(), '?');  // the lines do not borrow from it
  expect_equal_rows(*decoded, encoded);
}

TEST(WalFormat, LinesThatLieElsewhereAreWrittenOut) {
  PackedPush push;
  model::PushBatch batch = push.batch();
  const std::string elsewhere = "a line of another place";
  batch.streams[0].entries[3].line = elsewhere;
  const EncodedBatch encoded = encode(batch);
  EXPECT_EQ(encoded.owner, encoded.record);
  const auto decoded = decode_batch(encoded.record->payload(), encoded.owner);
  ASSERT_TRUE(decoded.ok());
  expect_equal_rows(*decoded, encoded);
}

TEST(WalFormat, ABodyThatHoldsFewOfTheLinesIsNotKept) {
  PackedPush push;
  model::PushBatch batch = push.batch();
  batch.streams.pop_back();
  batch.streams[0].entries.resize(100);
  EXPECT_EQ(encode(batch).owner_bytes, encode(batch).record->capacity);
}

TEST(WalFormat, ADamagedPackedPayloadIsAnErrorNotACrash) {
  PackedPush push;
  EncodedBatch encoded = encode(push.batch());
  *encoded.rows[7].flags = static_cast<char>(*encoded.rows[7].flags | kRowDropped);
  const std::string whole(encoded.record->payload());
  EXPECT_EQ(decode_batch(whole, nullptr).value().rows.size(), 499U);
  for (std::size_t i = 0; i < whole.size(); i += i < 64 ? 1 : 37) {
    EXPECT_FALSE(decode_batch(whole.substr(0, i), nullptr).ok()) << i;
    for (const int flip : {1, 0x80, 0xFF}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      const auto batch = decode_batch(damaged, nullptr);
      if (!batch.ok()) continue;
      for (const BatchRow& row : batch->rows) EXPECT_LE(row.line.size(), 32U << 20);
    }
  }
}

TEST(WalFormat, TheDocumentsPackedExampleIsRead) {
  const auto batch = decode_batch(example_bytes("```hex packed\n"), nullptr);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->tenant, "t");
  ASSERT_EQ(batch->rows.size(), 2U);
  EXPECT_EQ(batch->rows[0].line, "one");
  EXPECT_EQ(*batch->rows[0].metadata, InMemory().metadata);
  EXPECT_EQ(batch->rows[1].timestamp_ns, 1005);
  EXPECT_EQ(batch->rows[1].line, "two");
  EXPECT_EQ(batch->rows[1].metadata, batch->rows[0].metadata);
}

TEST(WalFormat, SegmentNamesSortAsTheirSequences) {
  EXPECT_EQ(segment_name(255), "00000000000000ff.wal");
  EXPECT_EQ(parse_segment_name("00000000000000ff.wal"), 255U);
  for (const char* bad : {"", "ff.wal", "00000000000000fg.wal", "00000000000000ff.wax"})
    EXPECT_FALSE(parse_segment_name(bad)) << bad;
}

// Replays one segment made of `bytes` after its header; returns the sequences taken.
class Replay : public ::testing::Test {
 protected:
  Replay() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    directory_ = ::testing::TempDir() + "/skald_wal_" + info->name() + std::to_string(::getpid());
    EXPECT_TRUE(fs_.make_directories(directory_).ok());
  }
  ~Replay() override {
    const auto entries = fs_.list(directory_);
    for (const auto& entry : *entries) EXPECT_TRUE(fs_.remove(directory_ + "/" + entry.name).ok());
    ::rmdir(directory_.c_str());
  }
  void segment(const SegmentHeader& header, const std::string& records) {
    std::ofstream(directory_ + "/" + segment_name(header.first_sequence), std::ios::binary)
        << encode_segment_header(header) << records;
  }
  std::vector<std::uint64_t> replayed() {
    std::vector<std::uint64_t> out;
    report_ = replay(fs_, directory_, [&](std::uint64_t sequence, std::string_view, const auto&) {
                out.push_back(sequence);
                return base::Status();
              }).value();
    return out;
  }
  base::FileSystem& fs_ = base::FileSystem::posix();
  std::string directory_;
  ReplayReport report_;
};

using Sequences = std::vector<std::uint64_t>;

TEST_F(Replay, ATornTailIsPassedOverWhereverItWasCut) {
  const std::string good = record_of("one", 1), torn = record_of("two", 2);
  for (std::size_t cut = 1; cut < torn.size(); ++cut) {
    segment({1, 0, 0}, good + torn.substr(0, cut));
    EXPECT_EQ(replayed(), Sequences{1});
    EXPECT_EQ(report_.torn_bytes, cut);
    EXPECT_EQ(report_.damaged_bytes, 0U);
    EXPECT_EQ(report_.next_sequence, 2U);
  }
}

TEST_F(Replay, DamageInTheMiddleLosesOnlyWhatItHit) {
  std::string middle = record_of("two", 2);
  middle[kRecordHeaderBytes + 3] ^= 0x20;
  segment({1, 0, 0}, record_of("one", 1) + middle + record_of("three", 3));
  segment({4, 0, 0}, record_of("four", 4));
  EXPECT_EQ(replayed(), (Sequences{1, 3, 4}));
  EXPECT_EQ(report_.damaged_bytes, middle.size());
  EXPECT_EQ(report_.findings.size(), 1U);
}

TEST_F(Replay, VoidRecordsDoNotComeBackThoughTheDiskKeptThem) {
  segment({1, 0, 0}, record_of("one", 1) + record_of("failed", 2) + record_of("failed", 3));
  segment({4, 2, 4}, record_of("retry", 4));
  EXPECT_EQ(replayed(), (Sequences{1, 4}));
  EXPECT_EQ(report_.next_sequence, 5U);
}

// A death between a segment's creation and its first whole record: the name is not used again, so
// neither does dropping what was before remove what was written since, nor is its header lost.
TEST_F(Replay, ASegmentWithoutAWholeRecordIsNotWrittenOver) {
  segment({1, 0, 0}, record_of("one", 1) + record_of("failed", 2));
  const std::string torn = record_of("torn", 3);
  for (const std::size_t cut : {std::size_t{0}, torn.size() - 1}) {
    segment({3, 2, 3}, torn.substr(0, cut));
    EXPECT_EQ(replayed(), Sequences{1});
    WalWriter writer(fs_, directory_);
    writer.take_over(report_.segments);
    const std::uint64_t next = report_.next_sequence;
    const std::string record = record_of("next", next);
    ASSERT_TRUE(writer.append(std::vector<std::string_view>{record}, next, next).ok());
    EXPECT_EQ(replayed(), (Sequences{1, next}));
    ASSERT_TRUE(writer.drop_through(2).ok());
    EXPECT_EQ(replayed(), Sequences{next});
    ASSERT_TRUE(fs_.remove(directory_ + "/" + segment_name(next)).ok());
    segment({1, 0, 0}, record_of("one", 1) + record_of("failed", 2));
  }
}

TEST_F(Replay, WhatTheWriterWroteComesBackInOrderAndGoesWhenDropped) {
  WalWriter writer(fs_, directory_);
  Sequences want;
  for (std::uint64_t sequence = 1; sequence <= 20; sequence += 2) {
    const std::string first = record_of("x", sequence), second = record_of("y", sequence + 1);
    const std::vector<std::string_view> group = {first, second};
    ASSERT_TRUE(writer.append(group, sequence, sequence + 1).ok());
    want.insert(want.end(), {sequence, sequence + 1});
    if (sequence % 3 == 0) writer.end_segment();
  }
  EXPECT_EQ(replayed(), want);
  const std::uint64_t before = writer.bytes();
  ASSERT_TRUE(writer.drop_through(10).ok());
  EXPECT_LT(writer.bytes(), before);
  const Sequences left = replayed();
  EXPECT_TRUE(std::includes(left.begin(), left.end(), want.begin() + 10, want.end()));
}

}  // namespace
}  // namespace skald::store::wal
