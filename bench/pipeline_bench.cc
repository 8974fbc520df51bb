// The agent's pipeline alone: lines in memory through stages into a sink that counts. Reads
// $SKALD_CORPUS (a file of JSON lines) if set, else makes lines of the same shape.
//
//   SKALD_CORPUS=pod-0.log bin/pipeline_bench

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "agent/parse/pipeline.h"
#include "proto/base/fs.h"

namespace {

using skald::agent::EntryOut;
using skald::agent::EntrySink;
using skald::agent::LabelPolicy;
using skald::agent::LabelSetTable;
using skald::agent::LineIn;
using skald::agent::Pipeline;
using skald::agent::SourceRange;
using skald::agent::StageMetrics;

constexpr std::size_t kCorpusMax = std::size_t{64} << 20;

std::string make_lines() {
  std::string text;
  for (int i = 0; text.size() < (std::size_t{16} << 20); ++i) {
    const std::string n = std::to_string(i);
    text += "{\"method\": \"GET\", \"path\": \"/api/v1/predictions/" + n +
            "\", \"status\": 200, \"duration\": 24.721, \"request_id\": \"28804790be6c6fe9\", "
            "\"client_ip\": \"10.1.235.87\", \"user_agent\": \"python-httpx/0.27.0\", \"event\": "
            "\"http_request\", \"level\": \"info\", \"logger\": \"ngx.api.middleware\", "
            "\"timestamp\": \"2026-11-20T06:00:00.061054Z\"}\n";
  }
  return text;
}

std::string read_corpus() {
  const char* path = std::getenv("SKALD_CORPUS");
  if (path == nullptr) return make_lines();
  auto file = skald::base::FileSystem::posix().open_read(path);
  std::string bytes(kCorpusMax, '\0');
  if (!file.ok()) return make_lines();
  auto size = (*file)->read_at(0, bytes.data(), bytes.size());
  if (!size.ok()) return make_lines();
  bytes.resize(*size);
  bytes.resize(bytes.rfind('\n') + 1);
  return bytes;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find('\n', start);
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

const std::vector<std::string_view>& corpus() {
  static const std::string text = read_corpus();
  static const std::vector<std::string_view> lines = split(text);
  return lines;
}

// The same lines as a container runtime writes them.
const std::vector<std::string_view>& cri_corpus() {
  static const std::string text = [] {
    std::string out;
    for (std::string_view line : corpus()) {
      out += "2026-11-20T06:00:00.123456789Z stdout F ";
      out.append(line).append("\n");
    }
    return out;
  }();
  static const std::vector<std::string_view> lines = split(text);
  return lines;
}

class CountingSink final : public EntrySink {
 public:
  void on_entry(const EntryOut& entry) override {
    bytes += entry.line.size();
    labels ^= reinterpret_cast<std::uintptr_t>(entry.labels);
    time ^= entry.timestamp_ns;
  }
  void on_dropped(const SourceRange&) override { ++dropped; }
  std::uint64_t bytes = 0, labels = 0, dropped = 0;
  std::int64_t time = 0;
};

void run(benchmark::State& state, const char* stages,
         const std::vector<std::string_view>& all = corpus()) {
  auto node = skald::agent::parse_yaml(stages, "bench");
  LabelSetTable sets;
  StageMetrics metrics;
  LabelPolicy policy;
  Pipeline::Environment environment;
  environment.sets = &sets;
  environment.metrics = &metrics;
  environment.policy = &policy;
  auto pipeline = Pipeline::build(*node, "bench", environment);
  if (!pipeline.ok()) {
    state.SkipWithError(pipeline.status().to_string().c_str());
    return;
  }
  const skald::agent::LabelSetRef labels(
      sets.intern({{"job", "api"}, {"filename", "/var/log/app/pod-0.log"}}));
  CountingSink sink;
  LineIn in;
  in.labels = labels.get();
  in.read_ns = 1'763'618'400'000'000'000;
  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;
  for (auto _ : state) {
    in.range = {};
    for (std::string_view line : all) {
      in.line = line;
      in.range.start = in.range.end;
      in.range.end += line.size() + 1;
      (*pipeline)->process(in, sink);
    }
    bytes += in.range.end;
    lines += all.size();
  }
  benchmark::DoNotOptimize(sink.labels);
  benchmark::DoNotOptimize(sink.time);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
  state.counters["per_line"] = benchmark::Counter(
      static_cast<double>(lines), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

constexpr const char* kJson = R"(
- json: {expressions: {level: , timestamp: , event: , logger: , request_id: }}
- labels: {level: }
- timestamp: {source: timestamp, format: RFC3339Nano}
)";

void BM_NoStages(benchmark::State& state) { run(state, ""); }
void BM_JsonLabelsTimestamp(benchmark::State& state) { run(state, kJson); }
void BM_JsonOnly(benchmark::State& state) {
  run(state, "- json: {expressions: {level: , timestamp: , event: , logger: , request_id: }}");
}
void BM_JsonMatchDrop(benchmark::State& state) {
  run(state, (std::string(kJson) + R"(
- match: {selector: '{level="debug"}', action: drop}
- match: {selector: '{level="error"} |= "timeout"', stages: [{static_labels: {alert: "yes"}}]}
- structured_metadata: {request_id: }
)")
                 .c_str());
}
void BM_Regex(benchmark::State& state) {
  run(state, R"yaml(
- regex: {expression: '"level": "(?P<level>[a-z]+)"'}
- labels: {level: }
)yaml");
}
void BM_Template(benchmark::State& state) {
  run(state, R"(
- json: {expressions: {level: , logger: }}
- template: {source: level, template: '{{ ToUpper .Value }}'}
- labels: {level: }
)");
}

void BM_CriJson(benchmark::State& state) {
  run(state, (std::string("- cri: {}\n") + (kJson + 1)).c_str(), cri_corpus());
}
void BM_Multiline(benchmark::State& state) { run(state, "- multiline: {firstline: '^\\{'}"); }

BENCHMARK(BM_NoStages)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_JsonOnly)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_JsonLabelsTimestamp)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_JsonMatchDrop)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Regex)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Template)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_CriJson)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Multiline)->Unit(benchmark::kMillisecond);

}  // namespace
