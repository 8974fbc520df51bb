// Random queries over random entries, four times: by the naive engine (naive_engine.h), with
// everything in the head (raw lines, so the row engine alone), with everything in parts (typed
// columns and push-down), and half and half. The answers must not differ.
// SKALD_DIFFERENTIAL_QUERIES sets how many, 2,000 by default; SKALD_SEED another sequence.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <map>
#include <set>
#include <sstream>

#include "query/exec/engine.h"
#include "store/store.h"
#include "tests/query/differential/naive_engine.h"
#include "tests/query/differential/random_logs.h"

namespace skald::tests {
namespace {

constexpr model::TimestampNs kStart = 1'763'600'000'000'000'000;
constexpr std::size_t kEntries = 1500;
constexpr std::size_t kKindBytes = 7;  // of "matrix" and its newline: an empty answer
// New entries every so many queries; every second time some lines are broken.
constexpr int kQueriesPerRound = 250;
constexpr int kRoundsPerLongBlocks = 4;

class StoreUnderTest {
 public:
  StoreUnderTest(const std::string& name, const std::vector<RandomEntry>& entries,
                 std::size_t flush_after)
      : directory_(std::filesystem::temp_directory_path() /
                   ("skald-differential-" + std::to_string(::getpid()) + "-" + name)) {
    store_ = open_empty_store(directory_);
    append_entries(*store_, entries, 0, flush_after);
    if (flush_after > 0) {
      EXPECT_TRUE(store_->flush().ok());
      EXPECT_EQ(store_->stats().head_entries, 0U);
    }
    append_entries(*store_, entries, flush_after, entries.size());
    engine_ =
        std::make_unique<query::Engine>(*store_, base::Clock::system(), query::EngineOptions{});
  }
  ~StoreUnderTest() {
    engine_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  base::Result<query::QueryResult> run(const query::QueryRequest& request) const {
    return engine_->run(request);
  }
  store::StoreStats stats() const { return store_->stats(); }

 private:
  std::filesystem::path directory_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<query::Engine> engine_;
};

// An answer in a form that does not depend on the order of series and entries.
struct Answer {
  std::string text;  // what must be equal, byte for byte
  std::map<std::string, std::multiset<std::pair<std::int64_t, double>>> series;
};

// Sums of doubles depend on their order, and a difference of sums may be all rounding.
bool is_near(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;
  return std::abs(a - b) <= 1e-7 + 1e-9 * std::max(std::abs(a), std::abs(b));
}

bool same(const Answer& a, const Answer& b) {
  if (a.text != b.text || a.series.size() != b.series.size()) return false;
  return std::equal(a.series.begin(), a.series.end(), b.series.begin(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first && x.second.size() == y.second.size() &&
                             std::equal(x.second.begin(), x.second.end(), y.second.begin(),
                                        [](const auto& p, const auto& q) {
                                          return p.first == q.first && is_near(p.second, q.second);
                                        });
                    });
}

// The lines of `answer` that `other` lacks, a few of them.
std::string show_without(const Answer& answer, const Answer& other) {
  constexpr int kLinesMax = 12;
  const auto lines_of = [](const Answer& from) {
    std::set<std::string> lines;
    std::istringstream text(from.text);
    for (std::string line; std::getline(text, line);) lines.insert(line);
    for (const auto& [labels, points] : from.series)
      for (const auto& [time, value] : points) {
        std::ostringstream line;
        line << std::setprecision(10) << labels << " " << time << "=" << value;
        lines.insert(line.str());
      }
    return lines;
  };
  const std::set<std::string> known = lines_of(other);
  std::string out;
  int shown = 0;
  for (const std::string& line : lines_of(answer))
    if (!known.contains(line) && shown++ < kLinesMax) out += line + "\n";
  return out;
}

void add_series(const std::vector<query::Series>& all, Answer& out) {
  for (const query::Series& series : all)
    for (const query::Sample& sample : series.samples)
      out.series[series.labels.to_string()].emplace(sample.timestamp_ms, sample.value);
}

std::string without_details(const model::Labels& labels) {
  model::Labels out = labels;
  out.erase("__error_details__");
  return out.to_string();
}

Answer to_answer(const base::Result<query::QueryResult>& result, bool details) {
  Answer out;
  if (!result.ok()) {
    out.text = "error: " + std::string(base::code_name(result.status().code()));
  } else if (const auto* streams = std::get_if<query::Streams>(&result->data)) {
    std::multiset<std::string> lines;
    for (const query::LogStream& stream : streams->streams)
      for (const query::LogEntry& entry : stream.entries)
        lines.insert(std::to_string(entry.timestamp_ns) + " " + stream.labels.to_string() +
                     entry.metadata.to_string() +
                     (details ? entry.parsed.to_string() : without_details(entry.parsed)) + " " +
                     model::go_quote(entry.line));
    for (const std::string& line : lines) out.text += line + "\n";
  } else if (const auto* matrix = std::get_if<query::Matrix>(&result->data)) {
    out.text = "matrix\n";
    add_series(matrix->series, out);
  } else if (const auto* vector = std::get_if<query::Vector>(&result->data)) {
    out.text = "vector\n";
    add_series(vector->series, out);
  }
  return out;
}

int query_count() {
  const char* text = std::getenv("SKALD_DIFFERENTIAL_QUERIES");
  return text != nullptr ? std::atoi(text) : 2000;
}

std::uint32_t seed() {
  const char* text = std::getenv("SKALD_SEED");
  return text != nullptr ? static_cast<std::uint32_t>(std::atoll(text)) : 20261124;
}

query::QueryRequest random_request(Random& random) {
  query::QueryRequest request;
  request.start_ns = kStart + model::TimestampNs{random.below(600)} * 1'000'000'000;
  request.end_ns = request.start_ns + model::TimestampNs{random.below(3600)} * 1'000'000'000;
  if (random.chance(60)) {
    request.text = random_metric_query(random);
    request.instant = random.chance(50);
    request.step_ns = 60'000'000'000LL * (1 + random.below(10));
  } else {
    request.text = random_log_query(random);
    request.limit = random.chance(30) ? 1 + random.below(50) : 1'000'000;
    request.direction =
        random.chance(50) ? model::Direction::kForward : model::Direction::kBackward;
  }
  return request;
}

// With a limit, entries of the same time may be cut differently; then only the count is compared.
bool cut_by_limit(const query::QueryRequest& request,
                  const base::Result<query::QueryResult>& result) {
  if (!result.ok() || request.limit == 1'000'000) return false;
  const auto* streams = std::get_if<query::Streams>(&result->data);
  if (streams == nullptr) return false;
  std::size_t entries = 0;
  for (const query::LogStream& stream : streams->streams) entries += stream.entries.size();
  return entries == request.limit;
}

struct Counts {
  int asked = 0, answered = 0, naive = 0;
};

// The same entries in every form of the store.
class Round {
 public:
  Round(Random& random, int number)
      : entries_(random_entries(random, {kEntries, kStart, 60, number % 2 == 0 ? 0U : 3U,
                                         number % kRoundsPerLongBlocks == 1})),
        rows_("rows", entries_, 0),
        columns_("columns", entries_, entries_.size()),
        both_("both", entries_, entries_.size() / 2) {
    EXPECT_EQ(rows_.stats().parts, 0U);
    EXPECT_GT(columns_.stats().parts, 0U);
  }

  void ask(const query::QueryRequest& request, Counts& counts) const {
    const auto expected = rows_.run(request);
    const bool cut = cut_by_limit(request, expected);
    ++counts.asked;
    if (const Answer answer = to_answer(expected, true);
        expected.ok() && (answer.text.size() > kKindBytes || !answer.series.empty()))
      ++counts.answered;
    const auto compare = [&](const char* which, const base::Result<query::QueryResult>& got,
                             bool details) {
      if (cut) {
        EXPECT_TRUE(cut_by_limit(request, got)) << which << request.text;
        return;
      }
      const Answer want = to_answer(expected, details), have = to_answer(got, details);
      EXPECT_TRUE(same(have, want))
          << which << request.text << "\ninstant " << request.instant << " start "
          << request.start_ns << " end " << request.end_ns << " step " << request.step_ns
          << " seed " << seed() << " query " << counts.asked << "\ngot\n"
          << show_without(have, want) << "rows say\n"
          << show_without(want, have) << (expected.ok() ? "" : expected.status().to_string());
    };
    compare("columns: ", columns_.run(request), true);
    compare("both: ", both_.run(request), true);
    if (const auto naive = run_naively(entries_, request)) {
      ++counts.naive;
      compare("naive: ", *naive, false);
    }
  }

 private:
  const std::vector<RandomEntry> entries_;
  const StoreUnderTest rows_, columns_, both_;
};

TEST(ColumnsEqualRows, OnRandomQueries) {
  Random random(seed());
  Counts counts;
  for (int round = 0; counts.asked < query_count(); ++round) {
    const Round asked(random, round);
    for (int i = 0; i < kQueriesPerRound && counts.asked < query_count(); ++i) {
      asked.ask(random_request(random), counts);
      if (::testing::Test::HasFailure()) return;
    }
  }
  // The generator must not drift into queries that find nothing, or that the naive engine does not
  // know.
  EXPECT_GT(counts.answered, counts.asked / 4);
  EXPECT_GT(counts.naive, counts.asked / 2);
  RecordProperty("naive", counts.naive);
}

}  // namespace
}  // namespace skald::tests
