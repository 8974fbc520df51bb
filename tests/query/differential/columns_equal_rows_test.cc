// Random queries over random entries, three times: with everything in the head (raw lines, so the
// row engine alone), with everything in parts (typed columns and push-down), and half and half.
// The answers must not differ. SKALD_DIFFERENTIAL_QUERIES sets how many; 2,000 by default.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "query/exec/engine.h"
#include "store/store.h"
#include "tests/query/differential/random_logs.h"

namespace skald::tests {
namespace {

constexpr model::TimestampNs kStart = 1'763'600'000'000'000'000;
constexpr std::uint32_t kMinutes = 60;
constexpr std::size_t kEntries = 3000;

class StoreUnderTest {
 public:
  StoreUnderTest(const std::string& name, const std::vector<RandomEntry>& entries,
                 std::size_t flush_after)
      : directory_(std::filesystem::temp_directory_path() /
                   ("skald-differential-" + std::to_string(::getpid()) + "-" + name)) {
    std::filesystem::remove_all(directory_);
    store::StoreOptions options;
    options.data_dir = directory_.string();
    options.retention = [](std::string_view) {
      store::RetentionPolicy policy;
      policy.period_ns = 0;
      return policy;
    };
    options.background_threads = 0;
    store_ = store::Store::open(std::move(options)).value();
    append(entries, 0, flush_after);
    if (flush_after > 0) {
      EXPECT_TRUE(store_->flush().ok());
      EXPECT_EQ(store_->stats().head_entries, 0U);
    }
    append(entries, flush_after, entries.size());
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
  void append(const std::vector<RandomEntry>& entries, std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; i += 100) {
      std::map<model::Labels, model::PushStream> streams;
      for (std::size_t j = i; j < std::min(i + 100, to); ++j) {
        const RandomEntry& e = entries[j];
        model::PushStream& stream = streams[e.stream];
        stream.labels = e.stream;
        stream.entries.push_back({e.entry.timestamp_ns, e.entry.line, &e.entry.metadata});
      }
      model::PushBatch batch;
      for (auto& [labels, stream] : streams) batch.streams.push_back(std::move(stream));
      ASSERT_TRUE(store_->append("fake", batch).ok());
    }
  }

  std::filesystem::path directory_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<query::Engine> engine_;
};

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string render_series(const std::vector<query::Series>& all) {
  std::multiset<std::string> lines;
  for (const query::Series& series : all) {
    std::string line = series.labels.to_string();
    for (const query::Sample& sample : series.samples)
      line += " " + std::to_string(sample.timestamp_ms) + "=" + number(sample.value);
    lines.insert(std::move(line));
  }
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

std::string render(const base::Result<query::QueryResult>& result) {
  if (!result.ok()) return "error: " + std::string(base::code_name(result.status().code()));
  if (const auto* streams = std::get_if<query::Streams>(&result->data)) {
    std::multiset<std::string> lines;
    for (const query::LogStream& stream : streams->streams)
      for (const query::LogEntry& entry : stream.entries)
        lines.insert(std::to_string(entry.timestamp_ns) + " " + stream.labels.to_string() +
                     entry.metadata.to_string() + entry.parsed.to_string() + " " +
                     model::go_quote(entry.line));
    std::string out;
    for (const std::string& line : lines) out += line + "\n";
    return out;
  }
  if (const auto* matrix = std::get_if<query::Matrix>(&result->data))
    return "matrix\n" + render_series(matrix->series);
  if (const auto* vector = std::get_if<query::Vector>(&result->data))
    return "vector\n" + render_series(vector->series);
  return "scalar\n";
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

TEST(ColumnsEqualRows, OnRandomQueries) {
  Random random(seed());
  const std::vector<RandomEntry> entries = random_entries(random, kEntries, kStart, kMinutes);
  const StoreUnderTest rows("rows", entries, 0);
  const StoreUnderTest columns("columns", entries, entries.size());
  const StoreUnderTest both("both", entries, entries.size() / 2);
  ASSERT_EQ(rows.stats().parts, 0U);
  ASSERT_GT(columns.stats().parts, 0U);
  int answered = 0;
  for (int i = 0; i < query_count(); ++i) {
    const query::QueryRequest request = random_request(random);
    const auto expected = rows.run(request);
    const std::string want = render(expected);
    if (expected.ok() && want.size() > 10) ++answered;
    for (const StoreUnderTest* other : {&columns, &both}) {
      const auto got = other->run(request);
      if (cut_by_limit(request, expected)) {
        EXPECT_TRUE(cut_by_limit(request, got)) << request.text;
        continue;
      }
      ASSERT_EQ(render(got), want)
          << (other == &columns ? "columns: " : "both: ") << request.text << "\ninstant "
          << request.instant << " start " << request.start_ns << " end " << request.end_ns
          << " step " << request.step_ns << " seed " << seed() << " query " << i << " "
          << (got.ok() ? "" : got.status().to_string());
    }
  }
  // The generator must not drift into queries that find nothing.
  EXPECT_GT(answered, query_count() / 4);
}

}  // namespace
}  // namespace skald::tests
