#include "agent/parse/stage_metrics.h"

#include <algorithm>

#include "agent/parse/limits.h"
#include "proto/gotext/number.h"

namespace skald::agent {

struct StageMetrics::Series {
  double value = 0;                    // counter, gauge; histogram: the sum
  std::uint64_t count = 0;             // histogram
  std::vector<std::uint64_t> buckets;  // histogram, not cumulative
  std::int64_t last_ns = 0;
};

struct StageMetrics::Metric {
  CustomMetricConfig config;
  std::unordered_map<model::Labels, Series, model::LabelsHash> series;
};

StageMetrics::StageMetrics() = default;
StageMetrics::~StageMetrics() = default;

std::uint64_t* StageMetrics::dropped_lines(const std::string& reason) {
  auto& cell = dropped_[reason];
  if (cell == nullptr) cell = std::make_unique<std::uint64_t>(0);
  return cell.get();
}

std::uint64_t StageMetrics::dropped_lines_total(const std::string& reason) const {
  auto found = dropped_.find(reason);
  return found == dropped_.end() ? 0 : *found->second;
}

void StageMetrics::count_dropped_by_label(std::string_view label_name,
                                          std::string_view label_value) {
  std::pair<std::string, std::string> key(label_name, label_value);
  if (dropped_by_label_.size() >= kDroppedByLabelMax && !dropped_by_label_.contains(key)) {
    key.second = "(others)";
  }
  ++dropped_by_label_[std::move(key)];
}

base::Result<std::size_t> StageMetrics::define(const CustomMetricConfig& config) {
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    const CustomMetricConfig& known = metrics_[i]->config;
    if (known.name != config.name) continue;
    if (known.type != config.type || known.buckets != config.buckets) {
      return base::invalid_argument("metric `" + config.name +
                                    "` is defined twice with different type or buckets");
    }
    return i;
  }
  metrics_.push_back(std::make_unique<Metric>());
  metrics_.back()->config = config;
  return metrics_.size() - 1;
}

StageMetrics::Series* StageMetrics::series(std::size_t metric, const model::Labels& labels,
                                           std::int64_t now_ns) {
  Metric& owner = *metrics_[metric];
  auto found = owner.series.find(labels);
  if (found == owner.series.end()) {
    if (series_count_ >= kCustomSeriesMax) {
      ++refused_series_;
      return nullptr;
    }
    ++series_count_;
    found = owner.series.try_emplace(labels).first;
    found->second.buckets.resize(owner.config.buckets.size());
  }
  found->second.last_ns = std::max(found->second.last_ns, now_ns);
  return &found->second;
}

void StageMetrics::add(std::size_t metric, const model::Labels& labels, double delta,
                       std::int64_t now_ns) {
  if (metrics_[metric]->config.type == CustomMetricConfig::Type::kCounter && !(delta >= 0)) return;
  if (Series* found = series(metric, labels, now_ns)) found->value += delta;
}

void StageMetrics::set(std::size_t metric, const model::Labels& labels, double value,
                       std::int64_t now_ns) {
  if (Series* found = series(metric, labels, now_ns)) found->value = value;
}

void StageMetrics::observe(std::size_t metric, const model::Labels& labels, double value,
                           std::int64_t now_ns) {
  Series* found = series(metric, labels, now_ns);
  if (found == nullptr) return;
  found->value += value;
  ++found->count;
  const auto& bounds = metrics_[metric]->config.buckets;
  const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
  if (static_cast<std::size_t>(bucket) < bounds.size()) {
    ++found->buckets[static_cast<std::size_t>(bucket)];
  }
}

namespace {

std::string series_name(std::string_view name, const model::Labels& labels,
                        std::string_view bound = {}) {
  std::string out(name);
  if (labels.empty() && bound.empty()) return out;
  out += '{';
  bool first = true;
  for (const auto& [label, value] : labels) {
    if (!first) out += ',';
    first = false;
    out += label + "=" + model::go_quote(value);
  }
  if (!bound.empty()) {
    if (!first) out += ',';
    out.append("le=\"").append(bound).append("\"");
  }
  return out + "}";
}

void header(std::string& out, std::string_view name, std::string_view help, std::string_view type) {
  std::string line(help);
  std::replace(line.begin(), line.end(), '\n', ' ');
  out.append("# HELP ").append(name).append(" ").append(line).append("\n");
  out.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

}  // namespace

void StageMetrics::render(std::string& out, std::int64_t now_ns) {
  header(out, "logentry_dropped_lines_total",
         "A count of all log lines dropped as a result of a pipeline stage", "counter");
  for (const auto& [reason, count] : dropped_) {
    out += "logentry_dropped_lines_total{reason=" + model::go_quote(reason) + "} " +
           std::to_string(*count) + "\n";
  }
  if (!dropped_by_label_.empty()) {
    header(out, "logentry_dropped_lines_by_label_total",
           "A count of all log lines dropped as a result of a pipeline stage", "counter");
  }
  for (const auto& [label, count] : dropped_by_label_) {
    out += "logentry_dropped_lines_by_label_total{label_name=" + model::go_quote(label.first) +
           ",label_value=" + model::go_quote(label.second) + "} " + std::to_string(count) + "\n";
  }
  if (refused_series_ > 0) {
    header(out, "skald_agent_custom_series_refused_total",
           "Updates of the metrics stage beyond the limit of series", "counter");
    out += "skald_agent_custom_series_refused_total " + std::to_string(refused_series_) + "\n";
  }
  static constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram"};
  for (const auto& metric : metrics_) {
    const CustomMetricConfig& config = metric->config;
    series_count_ -= std::erase_if(metric->series, [&](const auto& known) {
      return known.second.last_ns + config.max_idle_ns < now_ns;
    });
    if (metric->series.empty()) continue;
    header(out, config.name, config.description, kTypes[static_cast<std::size_t>(config.type)]);
    for (const auto& [labels, value] : metric->series) {
      if (config.type != CustomMetricConfig::Type::kHistogram) {
        out +=
            series_name(config.name, labels) + " " + gotext::format_float(value.value, 'g') + "\n";
        continue;
      }
      std::uint64_t below = 0;
      for (std::size_t i = 0; i < config.buckets.size(); ++i) {
        below += value.buckets[i];
        out += series_name(config.name + "_bucket", labels,
                           gotext::format_float(config.buckets[i], 'g')) +
               " " + std::to_string(below) + "\n";
      }
      out += series_name(config.name + "_bucket", labels, "+Inf") + " " +
             std::to_string(value.count) + "\n";
      out += series_name(config.name + "_sum", labels) + " " +
             gotext::format_float(value.value, 'g') + "\n";
      out += series_name(config.name + "_count", labels) + " " + std::to_string(value.count) + "\n";
    }
  }
}

void StageMetrics::reset() {
  for (auto& metric : metrics_) metric->series.clear();
  series_count_ = 0;
}

}  // namespace skald::agent
