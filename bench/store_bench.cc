// The store without HTTP: appends of about 1 MB of log lines each, then restart and label answers.
//
//   store_bench                             synthetic lines, small
//   SKALD_BENCH_LOGS=a.log,b.log store_bench --benchmark_filter=Ingest
//
// `line_MB_per_cpu_s` counts raw bytes of lines per second of CPU of the whole process, seals in
// the background included; `rss_MB` is the peak so far.

#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>

#include "proto/base/fs.h"
#include "store/store.h"

namespace skald::store {
namespace {

constexpr std::int64_t kT0 = 1'795'000'000LL * base::kNsPerSecond;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double peak_rss_mb() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

std::string fresh_directory() {
  const char* root = std::getenv("SKALD_BENCH_DIR");
  const auto path = std::filesystem::path(root != nullptr ? root : "/tmp") /
                    ("skald_store_bench_" + std::to_string(::getpid()));
  std::filesystem::remove_all(path);
  return path.string();
}

StoreOptions options_at(const std::string& directory) {
  StoreOptions options;
  options.data_dir = directory;
  return options;
}

// Bodies of about 1 MB: lines of one file, spread over `streams` streams.
class LineSource {
 public:
  virtual ~LineSource() = default;
  virtual bool next(std::string& body, std::vector<std::string_view>& lines) = 0;
};

class FileLines final : public LineSource {
 public:
  explicit FileLines(const std::string& path) : file_(path) {}
  bool next(std::string& body, std::vector<std::string_view>& lines) override {
    body.resize(1U << 20);
    file_.read(body.data(), static_cast<std::streamsize>(body.size()));
    body.resize(static_cast<std::size_t>(file_.gcount()));
    if (body.empty()) return false;
    std::string rest;
    if (body.back() != '\n' && std::getline(file_, rest)) body += rest + "\n";
    lines.clear();
    for (std::size_t at = 0; at < body.size();) {
      const std::size_t end = std::min(body.find('\n', at), body.size());
      lines.emplace_back(body.data() + at, end - at);
      at = end + 1;
    }
    return true;
  }

 private:
  std::ifstream file_;
};

class MadeLines final : public LineSource {
 public:
  explicit MadeLines(std::uint64_t bytes) : left_(bytes) {}
  bool next(std::string& body, std::vector<std::string_view>& lines) override {
    if (left_ < (1U << 20)) return false;
    left_ -= 1U << 20;
    body.clear();
    std::vector<std::size_t> ends;
    while (body.size() < (1U << 20)) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      body += R"({"event": "http_request", "status": 200, "duration": )" +
              std::to_string(state_ >> 50) + R"(, "request_id": ")" + std::to_string(state_) +
              R"(", "path": "/api/v1/things", "level": "info", "logger": "bench.lines"})";
      ends.push_back(body.size());
    }
    lines.clear();
    std::size_t from = 0;
    for (const std::size_t end : ends) {
      lines.emplace_back(body.data() + from, end - from);
      from = end;
    }
    return true;
  }

 private:
  std::uint64_t left_;
  std::uint64_t state_ = 1;
};

struct Fed {
  std::uint64_t bytes = 0, lines = 0;
};

Fed feed(Store& store, LineSource& source, std::size_t pod, std::size_t streams) {
  Fed fed;
  std::string body;
  std::vector<std::string_view> lines;
  std::int64_t time_ns = kT0;
  while (source.next(body, lines)) {
    model::PushBatch batch;
    for (std::size_t s = 0; s < streams; ++s)
      batch.streams.push_back({model::Labels{{"job", "bench"},
                                             {"pod", "pod-" + std::to_string(pod)},
                                             {"shard", std::to_string(s)}},
                               {}});
    for (std::size_t i = 0; i < lines.size(); ++i) {
      time_ns += 100'000;
      batch.streams[i % streams].entries.push_back({time_ns, lines[i], nullptr});
      fed.bytes += lines[i].size();
    }
    fed.lines += lines.size();
    const auto result = store.append("bench", batch);
    if (!result.ok() || result->appended != lines.size()) std::abort();
  }
  return fed;
}

std::vector<std::unique_ptr<LineSource>> sources() {
  std::vector<std::unique_ptr<LineSource>> out;
  if (const char* logs = std::getenv("SKALD_BENCH_LOGS"); logs != nullptr) {
    std::stringstream list(logs);
    for (std::string path; std::getline(list, path, ',');)
      out.push_back(std::make_unique<FileLines>(path));
  } else {
    out.push_back(std::make_unique<MadeLines>(64U << 20));
  }
  return out;
}

void Ingest(benchmark::State& state) {
  const auto streams = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    const std::string directory = fresh_directory();
    auto store = Store::open(options_at(directory));
    if (!store.ok()) std::abort();
    const double cpu_before = cpu_seconds();
    Fed total;
    std::mutex mutex;
    std::vector<std::thread> threads;
    auto all = sources();
    for (std::size_t pod = 0; pod < all.size(); ++pod)
      threads.emplace_back([&, pod] {
        const Fed fed = feed(**store, *all[pod], pod, streams);
        const std::scoped_lock lock(mutex);
        total.bytes += fed.bytes;
        total.lines += fed.lines;
      });
    for (auto& thread : threads) thread.join();
    const double rss_mb = peak_rss_mb();
    const StoreStats stats = (*store)->stats();
    if (!(*store)->flush().ok()) std::abort();
    const double cpu = cpu_seconds() - cpu_before;
    state.counters["line_MB"] = static_cast<double>(total.bytes) / 1e6;
    state.counters["line_MB_per_cpu_s"] = static_cast<double>(total.bytes) / 1e6 / cpu;
    state.counters["rss_MB"] = rss_mb;
    state.counters["syncs"] = static_cast<double>(stats.wal_syncs);
    state.counters["sync_ms"] = static_cast<double>(stats.wal_sync_ns) / 1e6 /
                                static_cast<double>(std::max<std::uint64_t>(stats.wal_syncs, 1));
    state.counters["part_MB"] = static_cast<double>((*store)->stats().part_bytes) / 1e6;
    if (std::getenv("SKALD_BENCH_COMPACT") != nullptr) {
      const double before = cpu_seconds();
      if (!(*store)->compact().ok()) std::abort();
      state.counters["compact_cpu_s"] = cpu_seconds() - before;
      state.counters["compacted_MB"] = static_cast<double>((*store)->stats().part_bytes) / 1e6;
      state.counters["compact_rss_MB"] = peak_rss_mb();
    }
    store->reset();
    const std::int64_t start_ns = base::Clock::system().monotonic_ns();
    auto again = Store::open(options_at(directory));
    if (!again.ok()) std::abort();
    state.counters["reopen_ms"] =
        static_cast<double>(base::Clock::system().monotonic_ns() - start_ns) / 1e6;
    again->reset();
    std::filesystem::remove_all(directory);
  }
}
BENCHMARK(Ingest)->Arg(1)->Arg(4)->Unit(benchmark::kMillisecond)->Iterations(1)->UseRealTime();

}  // namespace
}  // namespace skald::store
