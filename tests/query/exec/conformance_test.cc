// Every recorded query of tests/data/conformance, against Loki's answers.

#include <gtest/gtest.h>
#include <simdjson.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"
#include "proto/gotext/time_layout.h"
#include "query/exec/engine.h"
#include "query/logql/printer.h"
#include "tests/query/exec/memory_store.h"

namespace skald::query {
namespace {

namespace dom = simdjson::dom;

dom::element child(dom::element parent, const char* key) {
  dom::element out;
  CHECK(parent[key].get(out) == simdjson::SUCCESS);
  return out;
}
dom::element item(dom::element parent, std::size_t index) {
  dom::element out;
  CHECK(parent.at(index).get(out) == simdjson::SUCCESS);
  return out;
}
dom::array list_of(dom::element e) {
  dom::array out;
  CHECK(e.get(out) == simdjson::SUCCESS);
  return out;
}

std::string text_of(dom::element e) {
  std::string_view out;
  return e.get(out) == simdjson::SUCCESS ? std::string(out) : std::string();
}
std::string text_of(dom::element parent, const char* key) {
  dom::element e;
  return parent[key].get(e) == simdjson::SUCCESS ? text_of(e) : std::string();
}
std::vector<model::Labels::Pair> pairs_of(dom::element parent, const char* key) {
  std::vector<model::Labels::Pair> out;
  dom::object object;
  if (parent[key].get(object) != simdjson::SUCCESS) return out;
  for (const auto field : object) out.emplace_back(field.key, text_of(field.value));
  return out;
}
double number_of(dom::element e) {
  double d = 0;
  std::int64_t i = 0;
  if (e.is<std::string_view>()) {
    static_cast<void>(gotext::read_float(text_of(e), d));
    return d;
  }
  if (e.get(i) == simdjson::SUCCESS) return static_cast<double>(i);
  if (e.get(d) != simdjson::SUCCESS) return std::nan("");
  return d;
}
bool near(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b || std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b));
}

std::int64_t time_param(const std::string& text, std::int64_t fallback) {
  if (text.empty()) return fallback;
  std::int64_t ns = 0;
  if (gotext::read_int(text, 10, 64, ns) == gotext::NumberError::kNone)
    return ns < 10'000'000'000 ? ns * base::kNsPerSecond : ns;
  double seconds = 0;
  if (gotext::read_float(text, seconds) == gotext::NumberError::kNone)
    return static_cast<std::int64_t>(seconds * 1e9);
  const auto time = gotext::TimeLayout("2006-01-02T15:04:05.999999999Z07:00").parse(text);
  return time.ok() ? time->unix_ns() : INT64_MIN;
}
std::int64_t duration_param(const std::string& text, std::int64_t fallback) {
  if (text.empty()) return fallback;
  double seconds = 0;
  if (gotext::read_float(text, seconds) == gotext::NumberError::kNone)
    return static_cast<std::int64_t>(seconds * 1e9);
  const auto parsed = gotext::parse_prometheus_duration(text);
  return parsed.ok() ? *parsed : INT64_MIN;
}

MemoryStore& entries() {
  static MemoryStore& store = *[] {
    auto* out = new MemoryStore(700);
    std::ifstream file(std::string(SKALD_SOURCE_DIR) + "/tests/data/conformance/entries.jsonl");
    dom::parser parser;
    for (std::string line; std::getline(file, line);) {
      dom::element e;
      CHECK(parser.parse(line).get(e) == simdjson::SUCCESS);
      std::int64_t time = 0;
      static_cast<void>(gotext::read_int(text_of(e, "ts"), 10, 64, time));
      out->add(model::Labels::from_pairs(pairs_of(e, "stream")), time, text_of(e, "line"),
               model::Labels::from_pairs(pairs_of(e, "metadata")));
    }
    return out;
  }();
  return store;
}

using Entries = std::vector<std::pair<std::int64_t, std::string>>;
using Points = std::vector<std::pair<double, double>>;

std::string show(const model::Labels& labels) { return labels.to_string(); }

std::string compare_streams(dom::array expected, const Streams& got) {
  std::map<model::Labels, Entries> mine, theirs;
  for (const LogStream& stream : got.streams) {
    for (const LogEntry& entry : stream.entries) {
      auto pairs = stream.labels.pairs();
      pairs.insert(pairs.end(), entry.metadata.begin(), entry.metadata.end());
      pairs.insert(pairs.end(), entry.parsed.begin(), entry.parsed.end());
      mine[model::Labels::from_result(pairs)].emplace_back(entry.timestamp_ns, entry.line);
    }
  }
  for (const dom::element stream : expected) {
    Entries& list = theirs[model::Labels::from_result(pairs_of(stream, "stream"))];
    for (const dom::element value : list_of(child(stream, "values"))) {
      std::int64_t time = 0;
      static_cast<void>(gotext::read_int(text_of(item(value, 0)), 10, 64, time));
      list.emplace_back(time, text_of(item(value, 1)));
    }
  }
  for (auto& [labels, list] : theirs) {
    const auto found = mine.find(labels);
    if (found == mine.end()) return "missing " + show(labels);
    std::sort(list.begin(), list.end());
    std::sort(found->second.begin(), found->second.end());
    if (list != found->second) {
      for (std::size_t i = 0; i < std::max(list.size(), found->second.size()); ++i) {
        const auto& a = i < list.size() ? list[i] : Entries::value_type{0, "(none)"};
        const auto& b =
            i < found->second.size() ? found->second[i] : Entries::value_type{0, "(none)"};
        if (a != b)
          return "entries of " + show(labels) + ": expected " + std::to_string(a.first) + " " +
                 a.second + ", got " + std::to_string(b.first) + " " + b.second;
      }
    }
  }
  for (const auto& [labels, list] : mine)
    if (!theirs.contains(labels)) return "unexpected " + show(labels);
  return {};
}

std::string compare_series(dom::array expected, const std::vector<Series>& got, bool vector) {
  std::map<model::Labels, Points> mine;
  for (const Series& series : got) {
    Points points;
    for (const Sample& sample : series.samples)
      points.emplace_back(static_cast<double>(sample.timestamp_ms) / 1000, sample.value);
    if (!mine.emplace(series.labels, points).second) return "twice: " + show(series.labels);
  }
  std::size_t count = 0;
  for (const dom::element series : expected) {
    ++count;
    const auto labels = model::Labels::from_result(pairs_of(series, "metric"));
    const auto found = mine.find(labels);
    if (found == mine.end()) return "missing " + show(labels);
    Points points;
    if (vector) {
      const dom::element value = child(series, "value");
      points.emplace_back(number_of(item(value, 0)), number_of(item(value, 1)));
    } else {
      for (const dom::element value : list_of(child(series, "values")))
        points.emplace_back(number_of(item(value, 0)), number_of(item(value, 1)));
    }
    if (points.size() != found->second.size())
      return show(labels) + ": " + std::to_string(found->second.size()) + " points, expected " +
             std::to_string(points.size());
    for (std::size_t i = 0; i < points.size(); ++i)
      if (!near(points[i].first, found->second[i].first) ||
          !near(points[i].second, found->second[i].second))
        return show(labels) + " at " + std::to_string(points[i].first) + ": expected " +
               gotext::format_float(points[i].second, 'g') + ", got " +
               gotext::format_float(found->second[i].second, 'g') + " at " +
               std::to_string(found->second[i].first);
  }
  if (count != mine.size())
    return std::to_string(mine.size()) + " series, expected " + std::to_string(count);
  return {};
}

// Empty: as recorded.
std::string run_case(const dom::element c, const Engine& engine) {
  const std::string path = text_of(c, "path"), type = text_of(c, "type");
  const dom::element params = child(c, "params");
  const std::string query = text_of(params, "query");
  std::int64_t status = 0;
  CHECK(child(c, "status").get(status) == simdjson::SUCCESS);
  if (path.ends_with("format_query")) {
    const auto text = logql::format_query(query);
    if (!text.ok()) return std::string(text.status().message());
    return *text == text_of(c, "result") ? std::string() : "got " + *text;
  }
  constexpr std::int64_t kDefaultEnd = 1'763'614'800'000'000'000;
  QueryRequest request;
  request.text = query;
  request.instant = !path.ends_with("query_range");
  request.end_ns = time_param(text_of(params, request.instant ? "time" : "end"), kDefaultEnd);
  request.start_ns =
      time_param(text_of(params, "start"), request.end_ns - 3600 * base::kNsPerSecond);
  const std::int64_t default_step =
      std::max<std::int64_t>(1, (request.end_ns - request.start_ns) / base::kNsPerSecond / 250) *
      base::kNsPerSecond;
  request.step_ns = duration_param(text_of(params, "step"), default_step);
  request.interval_ns = duration_param(text_of(params, "interval"), 0);
  std::int64_t limit = 100;
  const std::string limit_text = text_of(params, "limit");
  if (!limit_text.empty() &&
      (gotext::read_int(limit_text, 10, 32, limit) != gotext::NumberError::kNone || limit <= 0))
    limit = -1;
  request.limit = static_cast<std::uint32_t>(limit);
  if (text_of(params, "direction") == "forward") request.direction = model::Direction::kForward;
  const auto result = engine.run(request);
  if (!result.ok()) {
    if (type == "error" && result.status().code() == base::Code::kInvalidArgument)
      return result.status().message().empty() ? "no message" : std::string();
    return "failed: " + result.status().to_string();
  }
  if (type == "error") return "expected an error " + std::to_string(status);
  if (type == "streams") {
    const auto* streams = std::get_if<Streams>(&result->data);
    return streams == nullptr ? "not streams"
                              : compare_streams(list_of(child(c, "result")), *streams);
  }
  if (type == "matrix") {
    const auto* matrix = std::get_if<Matrix>(&result->data);
    return matrix == nullptr ? "not a matrix"
                             : compare_series(list_of(child(c, "result")), matrix->series, false);
  }
  if (type == "vector") {
    const auto* vector = std::get_if<Vector>(&result->data);
    return vector == nullptr ? "not a vector"
                             : compare_series(list_of(child(c, "result")), vector->series, true);
  }
  const auto* scalar = std::get_if<Scalar>(&result->data);
  if (scalar == nullptr) return "not a scalar";
  const dom::element value = child(c, "result");
  return near(number_of(item(value, 0)), static_cast<double>(scalar->sample.timestamp_ms) / 1000) &&
                 near(number_of(item(value, 1)), scalar->sample.value)
             ? std::string()
             : "got " + gotext::format_float(scalar->sample.value, 'g') + " at " +
                   std::to_string(scalar->sample.timestamp_ms);
}

TEST(Conformance, AnswersAsRecordedFromLoki) {
  const Engine engine(entries(), base::Clock::system(), {});
  std::ifstream file(std::string(SKALD_SOURCE_DIR) + "/tests/data/conformance/cases.jsonl");
  ASSERT_TRUE(file);
  const char* only = std::getenv("SKALD_CASE");
  std::map<std::string, std::pair<int, int>> families;
  dom::parser parser;
  for (std::string line; std::getline(file, line);) {
    dom::element c;
    ASSERT_EQ(parser.parse(line).get(c), simdjson::SUCCESS);
    const std::string family = text_of(c, "family"), id = text_of(c, "id");
    // Label and series queries, and the checks of parameters, belong to the HTTP API.
    if (family == "metadata" || (family == "params" && text_of(c, "type") == "error")) continue;
    if (only != nullptr && id != only) continue;
    const std::string difference = run_case(c, engine);
    ++families[family].second;
    if (difference.empty())
      ++families[family].first;
    else
      ADD_FAILURE() << id << "\n  " << text_of(child(c, "params"), "query") << "\n  " << difference;
  }
  int passed = 0, all = 0;
  for (const auto& [family, counts] : families) {
    std::cout << family << ": " << counts.first << " of " << counts.second << "\n";
    passed += counts.first;
    all += counts.second;
  }
  std::cout << passed << " of " << all << "\n";
}

}  // namespace
}  // namespace skald::query
