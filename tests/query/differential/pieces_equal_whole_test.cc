// Random log queries whose answers are made again, piece by piece, as they are sent: byte for byte
// what the engine gives when it holds them whole. Over parts and the head, of one tenant and of
// two, with pieces so small that streams and times tie across them.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "query/api/result_json.h"
#include "query/exec/engine.h"
#include "store/store.h"
#include "tests/query/differential/random_logs.h"

namespace skald::tests {
namespace {

using query::LargeAnswer;

constexpr model::TimestampNs kStart = 1'763'600'000'000'000'000;
constexpr model::TimestampNs kSecondNs = 1'000'000'000;

class TextSink final : public net::BodySink {
 public:
  base::Status write(std::string_view bytes) override {
    text.append(bytes);
    return {};
  }
  std::string text;
};

query::QueryRequest for_all_entries(std::string text, LargeAnswer large) {
  query::QueryRequest request;
  request.text = std::move(text);
  request.start_ns = kStart;
  request.end_ns = kStart + 3600 * kSecondNs;
  request.limit = 1'000'000;
  request.large = large;
  return request;
}

class PiecesEqualWhole : public ::testing::Test {
 protected:
  PiecesEqualWhole()
      : directory_(std::filesystem::temp_directory_path() /
                   ("skald-pieces-" + std::to_string(::getpid()))),
        store_(open_empty_store(directory_)) {}
  ~PiecesEqualWhole() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  // A third each: two parts and the head.
  void fill(Random& random, const char* tenant) {
    const auto entries = random_entries(random, {900, kStart, 60, 3});
    for (std::size_t i = 0; i < entries.size(); i += 300) {
      if (i > 0) {
        ASSERT_TRUE(store_->flush().ok());
      }
      append_entries(*store_, entries, i, std::min(i + 300, entries.size()), tenant);
    }
  }

  base::Result<query::QueryResult> run(const query::QueryRequest& request, std::uint64_t held_max,
                                       std::uint64_t piece_bytes) const {
    query::EngineOptions options;
    options.answer_held_max = held_max;
    options.piece_bytes = piece_bytes;
    return query::Engine(*store_, base::Clock::system(), options).run(request);
  }

  const std::filesystem::path directory_;
  std::unique_ptr<store::Store> store_;
};

std::string to_text(const base::Result<query::QueryResult>& result,
                    const query::QueryRequest& request, LargeAnswer form) {
  if (!result.ok()) return result.status().to_string();
  query::QueryResult shown = *result;
  shown.stats = {};
  shown.stats.entries_returned = result->stats.entries_returned;
  shown.stats.exec_seconds = 1;
  TextSink sink;
  const base::Status status =
      query::api::write_result(shown, form == LargeAnswer::kPieces, request.direction, sink);
  return status.ok() ? sink.text : status.to_string();
}

// Where two texts part, and what follows there.
std::string first_difference(const std::string& got, const std::string& want) {
  constexpr std::size_t kShown = 300;
  const auto at = static_cast<std::size_t>(
      std::mismatch(got.begin(), got.end(), want.begin(), want.end()).first - got.begin());
  const std::size_t from = at < kShown ? 0 : at - kShown;
  return at == got.size() && at == want.size()
             ? ""
             : "got  " + got.substr(from, 2 * kShown) + "\nwant " + want.substr(from, 2 * kShown);
}

std::string random_query(Random& random) {
  static const std::vector<std::string> kMore{
      "",
      "",
      " | label_format all=`{{__line__}}`",
      " | label_format at=`{{ now | unixEpochNanos }}`",
      " | line_format `{{ date \"2006-01-02T15:04:05.000000000\" \"\" }} {{.pod}}`",
      " | label_format pod=`{{.user}}`",
      " | drop pod",
      " | keep job, detected_level"};
  return random_log_query(random) + random.pick(kMore);
}

query::QueryRequest random_request(Random& random) {
  query::QueryRequest request;
  request.text = random_query(random);
  request.tenant = random.chance(50) ? "fake" : "fake|other";
  request.start_ns = kStart + model::TimestampNs{random.below(600)} * kSecondNs;
  request.end_ns = request.start_ns + model::TimestampNs{600 + random.below(3000)} * kSecondNs;
  request.limit = random.chance(40) ? 1 + random.below(200) : 1'000'000;
  if (random.chance(15)) request.interval_ns = kSecondNs * (1 + random.below(30));
  request.direction = random.chance(50) ? model::Direction::kForward : model::Direction::kBackward;
  return request;
}

TEST_F(PiecesEqualWhole, OnRandomQueries) {
  constexpr int kQueries = 250;
  Random random(20261125);
  fill(random, "fake");
  fill(random, "other");
  int in_pieces = 0;
  for (int i = 0; i < kQueries && !HasFailure(); ++i) {
    query::QueryRequest request = random_request(random);
    // What depends on the time is asked of one run.
    const bool timed = request.text.find("now") != std::string::npos ||
                       request.text.find("date ") != std::string::npos;
    const auto whole = run(request, 0, 0);
    const std::uint64_t held_max = random.chance(50) ? 0 : 1 + random.below(200'000);
    const std::uint64_t piece_bytes = 500 + random.below(random.chance(50) ? 2'000 : 100'000);
    for (const LargeAnswer form : {LargeAnswer::kPieces, LargeAnswer::kFoldedPieces}) {
      request.large = form;
      const auto answer = run(request, held_max, piece_bytes);
      const bool pieces = answer.ok() && std::holds_alternative<query::LogPiecesPtr>(answer->data);
      in_pieces += pieces ? 1 : 0;
      const std::string text = to_text(answer, request, form);
      const std::string want = to_text(timed ? answer : whole, request, form);
      EXPECT_EQ(first_difference(text, want), "")
          << request.text << " tenant " << request.tenant << " limit " << request.limit
          << " interval " << request.interval_ns << " held_max " << held_max << " piece_bytes "
          << piece_bytes << " forward " << (request.direction == model::Direction::kForward)
          << " query " << i;
    }
  }
  EXPECT_GT(in_pieces, kQueries / 2);
}

TEST_F(PiecesEqualWhole, SeveralReadersAtOnceGetTheSame) {
  Random random(3);
  fill(random, "fake");
  const query::QueryRequest request =
      for_all_entries(R"({job=~".+"} | json)", LargeAnswer::kFoldedPieces);
  const auto answer = run(request, 0, 4096);
  std::vector<std::string> texts(4);
  std::vector<std::thread> readers;
  for (std::string& text : texts)
    readers.emplace_back([&] { text = to_text(answer, request, request.large); });
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(texts, std::vector<std::string>(
                       4, to_text(run(request, 1U << 30, 1), request, request.large)));
}

// All the parts' bytes but for their ends, where footers are.
void damage_parts(const std::filesystem::path& directory) {
  int parts = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(directory)) {
    if (!file.is_regular_file() || file.path().extension() != ".part") continue;
    ++parts;
    const auto size = static_cast<std::streamoff>(file.file_size());
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(16);
    for (std::streamoff at = 16; at < size / 2; ++at) bytes.put('\x5a');
  }
  EXPECT_GT(parts, 0);
}

TEST_F(PiecesEqualWhole, AnAnswerWhoseBlocksAreDamagedMeanwhileEndsWithAnError) {
  Random random(1);
  fill(random, "fake");
  const query::QueryRequest request = for_all_entries(R"({job=~".+"})", LargeAnswer::kPieces);
  const auto answer = run(request, 0, 4096);
  ASSERT_TRUE(answer.ok());
  const auto& pieces = std::get<query::LogPiecesPtr>(answer->data);
  std::size_t before = 0, after = 0;
  const auto count = [](std::size_t& entries) {
    return [&entries](const query::LogPieces::Piece& piece) -> base::Status {
      entries += piece.entries.size();
      return {};
    };
  };
  ASSERT_TRUE(pieces->read(nullptr, count(before)).ok());
  EXPECT_EQ(before, answer->stats.entries_returned);
  damage_parts(directory_);
  EXPECT_EQ(pieces->read(nullptr, count(after)).code(), base::Code::kCorrupt);
  EXPECT_LT(after, before);
}

// Deletes, merges and seals do not touch an answer that is being sent.
TEST_F(PiecesEqualWhole, AnAnswerStaysWhatItWasWhenItWasFound) {
  Random random(2);
  fill(random, "fake");
  const query::QueryRequest request =
      for_all_entries(R"({job=~".+"} | json)", LargeAnswer::kFoldedPieces);
  const auto answer = run(request, 0, 4096);
  ASSERT_TRUE(answer.ok());
  const std::string before = to_text(answer, request, request.large);
  store_->set_delete_filter_factory(
      [](const store::DeleteRequest&) { return std::vector<store::LineFilter>(); });
  store::DeleteRequest deletion;
  deletion.tenant = "fake";
  deletion.query = R"({job=~".+"})";
  deletion.matchers.push_back(
      model::Matcher::create("job", model::Matcher::Op::kRegex, ".+").value());
  deletion.range = {request.start_ns, request.end_ns};
  const auto added = store_->add_delete(deletion);
  ASSERT_TRUE(added.ok()) << added.status().message();
  ASSERT_TRUE(store_->flush().ok());
  ASSERT_TRUE(store_->compact().ok());
  ASSERT_TRUE(store_->enforce_retention().ok());
  EXPECT_EQ(first_difference(to_text(answer, request, request.large), before), "");
  EXPECT_EQ(run(request, 0, 4096)->stats.entries_returned, 0U);
}

}  // namespace
}  // namespace skald::tests
