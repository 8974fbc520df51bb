#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "store/index/index_db.h"
#include "store/index/label_index.h"
#include "store/index/lmdb_check.h"

namespace skald::store::index {
namespace {

using Op = model::Matcher::Op;

model::Matcher matcher(std::string name, Op op, std::string value) {
  return model::Matcher::create(std::move(name), op, std::move(value)).value();
}

TEST(LabelIndex, SelectorsGiveWhatMatchingEveryStreamGives) {
  std::mt19937 random(7);
  LabelIndex index;
  std::vector<model::Labels> streams;
  for (int i = 0; i < 300; ++i) {
    model::Labels labels{{"job", "j" + std::to_string(random() % 5)},
                         {"pod", "p" + std::to_string(random() % 200)}};
    if (random() % 2) labels.set("level", random() % 2 ? "info" : "error");
    const std::uint32_t number = index.find_or_add(labels);
    if (number == streams.size()) streams.push_back(labels);
    EXPECT_EQ(index.labels(number), labels);
    EXPECT_EQ(index.find(labels), number);
    EXPECT_EQ(index.find(index.id(number)), number);
  }
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"job", "j1"},   {"job", "j1|j2"}, {"job", "j.*"},     {"job", ""},       {"level", ""},
      {"level", ".*"}, {"level", ".+"},  {"level", "|info"}, {"none", ""},      {"none", "x"},
      {"pod", "p1.*"}, {"pod", "p7"},    {"job", "nothing"}, {"level", "error"}};
  for (const auto& [name, value] : cases)
    for (const auto& [name2, value2] : cases)
      for (const Op op : {Op::kEqual, Op::kNotEqual, Op::kRegex, Op::kNotRegex})
        for (const Op op2 : {Op::kEqual, Op::kNotRegex}) {
          const model::Matchers matchers = {matcher(name, op, value), matcher(name2, op2, value2)};
          std::vector<std::uint32_t> want;
          for (std::uint32_t i = 0; i < streams.size(); ++i)
            if (model::matches_all(matchers, streams[i])) want.push_back(i);
          EXPECT_EQ(index.resolve(matchers).values(), want)
              << matchers[0].to_string() << matchers[1].to_string();
        }
}

TEST(LabelIndex, NamesAndValuesKeepToTheGivenStreams) {
  LabelIndex index;
  const auto a = index.find_or_add({{"job", "a"}, {"x", "1"}});
  const auto b = index.find_or_add({{"job", "b"}, {"y", "1"}});
  const auto c = index.find_or_add({{"job", "b"}, {"y", "2"}});
  using Strings = std::vector<std::string>;
  const Bitmap only_a = Bitmap::of({a}), b_and_c = Bitmap::of({b, c});
  EXPECT_EQ(index.names(nullptr), (Strings{"job", "x", "y"}));
  EXPECT_EQ(index.names(&only_a), (Strings{"job", "x"}));
  EXPECT_EQ(index.values("job", &b_and_c), Strings{"b"});
  EXPECT_EQ(index.values("y", &b_and_c), (Strings{"1", "2"}));
  EXPECT_EQ(index.values("y", &only_a), Strings{});
}

TEST(LabelIndex, AMillionStreamsCostLessThan300MB) {
  LabelIndex index;
  for (int i = 0; i < 1'000'000; ++i)
    index.find_or_add({{"cluster", "c" + std::to_string(i % 7)},
                       {"job", "job-" + std::to_string(i % 100)},
                       {"level", i % 3 ? "info" : "error"},
                       {"namespace", "ns-" + std::to_string(i % 20)},
                       {"pod", "pod-with-a-long-name-" + std::to_string(i)}});
  EXPECT_EQ(index.size(), 1'000'000U);
  EXPECT_LT(index.memory_bytes(), 300U << 20);
  EXPECT_EQ(index.values("job", nullptr).size(), 100U);
  const model::Matchers one = {matcher("job", Op::kEqual, "job-42"),
                               matcher("pod", Op::kEqual, "pod-with-a-long-name-42")};
  EXPECT_EQ(index.resolve(one).values(), std::vector<std::uint32_t>{42});
}

class IndexFile : public ::testing::Test {
 protected:
  IndexFile() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    directory_ = ::testing::TempDir() + "/skald_index_" + info->name() + std::to_string(::getpid());
    std::filesystem::remove_all(directory_);
  }
  ~IndexFile() override { std::filesystem::remove_all(directory_); }
  IndexDb::Opened open() {
    auto opened = IndexDb::open(base::FileSystem::posix(), directory_);
    EXPECT_TRUE(opened.ok()) << opened.status().to_string();
    return std::move(opened).value();
  }
  void fill(IndexDb& db) {
    for (std::uint32_t batch = 0; batch < 10; ++batch) {
      IndexChange change;
      change.tenant = "t";
      change.first_number = batch * 100;
      for (std::uint32_t i = 0; i < 100; ++i)
        change.new_streams.push_back(
            {{batch * 1000 + i}, {{"job", "x"}, {"n", std::to_string(batch * 100 + i)}}});
      IndexedPart part;
      part.file_bytes = batch;
      for (std::uint32_t i = 0; i < 3000; i += 3) part.streams.add(i * 7);
      change.new_parts.emplace_back("part" + std::to_string(batch), part);
      if (batch > 3) change.gone_parts.push_back("part" + std::to_string(batch - 3));
      change.marks = "marks " + std::to_string(batch);
      ASSERT_TRUE(db.write({change}).ok());
    }
  }
  std::string bytes() const {
    std::ifstream file(directory_ + "/data.mdb", std::ios::binary);
    std::stringstream out;
    out << file.rdbuf();
    return out.str();
  }
  void replace(const std::string& with) const {
    std::ofstream(directory_ + "/data.mdb", std::ios::binary | std::ios::trunc) << with;
  }
  std::string directory_;
};

TEST_F(IndexFile, GivesBackWhatWasWritten) {
  fill(*open().db);
  EXPECT_TRUE(check_lmdb_file(bytes()).ok()) << check_lmdb_file(bytes()).to_string();
  const auto opened = open();
  EXPECT_EQ(opened.rebuilt, "");
  const IndexedTenant& tenant = opened.contents.at("t");
  ASSERT_EQ(tenant.streams.size(), 1000U);
  std::string last;
  tenant.streams.for_each([&](model::StreamId, std::span<const LabelIndex::PairView> labels) {
    for (const auto& [name, value] : labels)
      if (name == "n") last = value;
    return true;
  });
  EXPECT_EQ(last, "999");
  EXPECT_EQ(tenant.parts.size(), 4U);
  EXPECT_EQ(tenant.parts.at("part9").streams.size(), 1000U);
  EXPECT_EQ(tenant.marks, "marks 9");
}

TEST_F(IndexFile, TruncatedOrGarbageIsBuiltAgainNeverACrash) {
  fill(*open().db);
  const std::string good = bytes();
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    if (round % 3 == 0) {
      bad.resize(random() % bad.size());
    } else {
      for (int i = 0; i < (round % 3 == 1 ? 1 : 200); ++i)
        bad[random() % bad.size()] = static_cast<char>(random());
    }
    replace(bad);
    auto opened = open();
    // Bytes that no page in use holds may change unseen; everything else is built again.
    if (opened.rebuilt.empty()) {
      EXPECT_EQ(opened.contents.at("t").streams.size(), 1000U);
    } else {
      EXPECT_TRUE(opened.contents.empty());
    }
    IndexChange change;
    change.tenant = "u";
    change.new_streams.push_back({{1}, {{"a", "b"}}});
    EXPECT_TRUE(opened.db->write({change}).ok());
  }
}

}  // namespace
}  // namespace skald::store::index
