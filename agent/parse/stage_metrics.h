#pragma once
// What stages count: lines dropped by reason, and the `metrics` stage's own counters, gauges and
// histograms. One object per agent, shared by its pipelines; all on one thread, render() included.
// Custom metrics that saw no line for their max_idle_duration vanish, as Promtail's do. reset()
// forgets them all (a reload).

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/labels.h"

namespace skald::agent {

struct CustomMetricConfig {
  enum class Type : unsigned char { kCounter, kGauge, kHistogram };
  std::string name;  // with its prefix
  std::string description;
  Type type = Type::kCounter;
  std::vector<double> buckets;  // upper bounds, ascending, without +Inf
  std::int64_t max_idle_ns = 300'000'000'000;
};

class StageMetrics {
 public:
  StageMetrics();
  ~StageMetrics();
  StageMetrics(const StageMetrics&) = delete;
  StageMetrics& operator=(const StageMetrics&) = delete;

  // A cell to increment without a look-up per line; lives as long as this object.
  std::uint64_t* dropped_lines(const std::string& reason);
  void count_dropped_by_label(std::string_view label_name, std::string_view label_value);
  std::uint64_t dropped_lines_total(const std::string& reason) const;

  // The same name twice must agree in type and buckets; the number is for the calls below.
  base::Result<std::size_t> define(const CustomMetricConfig& config);
  // Series are bounded (kCustomSeriesMax); beyond it an update is dropped and counted.
  void add(std::size_t metric, const model::Labels& labels, double delta, std::int64_t now_ns);
  void set(std::size_t metric, const model::Labels& labels, double value, std::int64_t now_ns);
  void observe(std::size_t metric, const model::Labels& labels, double value, std::int64_t now_ns);

  // Prometheus text format, appended. Drops idle series.
  void render(std::string& out, std::int64_t now_ns);
  void reset();

 private:
  struct Metric;
  struct Series;
  Series* series(std::size_t metric, const model::Labels& labels, std::int64_t now_ns);
  std::map<std::string, std::unique_ptr<std::uint64_t>> dropped_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> dropped_by_label_;
  std::vector<std::unique_ptr<Metric>> metrics_;
  std::uint64_t refused_series_ = 0;
  std::size_t series_count_ = 0;
};

}  // namespace skald::agent
