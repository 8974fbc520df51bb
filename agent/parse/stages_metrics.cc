// metrics: counters, gauges and histograms from extracted values; every label of the entry becomes
// a label of the series.

#include <algorithm>

#include "agent/parse/stage.h"
#include "proto/gotext/number.h"

namespace skald::agent {

namespace {

enum class Action : std::uint8_t { kInc, kDec, kAdd, kSub, kSet, kObserve };

struct MetricRule {
  std::size_t metric = 0;
  std::uint32_t source = 0;
  Action action = Action::kInc;
  std::optional<std::string> value;  // only when the source is exactly this
  bool match_all = false;
  bool count_bytes = false;
};

class MetricsStage final : public Stage {
 public:
  Flow run(Entry& entry, Context& context) override {
    std::optional<model::Labels> labels;  // built once, and only if something is counted
    for (const MetricRule& rule : rules_) {
      double number = 1;
      if (!applies(rule, entry, context, number)) continue;
      if (!labels) labels = context.labels(entry);
      switch (rule.action) {
        case Action::kInc:
        case Action::kAdd: metrics_->add(rule.metric, *labels, number, entry.read_ns); break;
        case Action::kDec:
        case Action::kSub: metrics_->add(rule.metric, *labels, -number, entry.read_ns); break;
        case Action::kSet: metrics_->set(rule.metric, *labels, number, entry.read_ns); break;
        case Action::kObserve:
          metrics_->observe(rule.metric, *labels, number, entry.read_ns);
          break;
      }
    }
    return Flow::kNext;
  }
  std::string describe() const override { return "counts the metrics " + described_; }

  StageMetrics* metrics_ = nullptr;
  std::vector<MetricRule> rules_;
  std::string described_;

 private:
  static bool applies(const MetricRule& rule, const Entry& entry, Context& context,
                      double& number) {
    if (rule.match_all) {
      if (rule.count_bytes) number = static_cast<double>(entry.line.size());
      return rule.count_bytes || rule.action == Action::kInc;
    }
    const Value& value = entry.slots[rule.source];
    if (value.absent()) return false;
    if (rule.value) {
      std::string_view text;
      if (!to_text(value, context.arena, text) || text != *rule.value) return false;
    }
    if (rule.action == Action::kInc || rule.action == Action::kDec) return true;
    return to_number(value, number);
  }
};

struct Draft {
  MetricRule rule;
  CustomMetricConfig config;
};

void read_counter(MapReader& body, Draft& draft, const std::string& action) {
  body.boolean("match_all", draft.rule.match_all);
  body.boolean("count_entry_bytes", draft.rule.count_bytes);
  if (action == "add") {
    draft.rule.action = Action::kAdd;
  } else if (action != "inc") {
    body.fail("action", "`" + action + "`: a counter knows inc and add");
  }
  if (draft.rule.match_all && draft.rule.value) {
    body.fail("value", "and match_all exclude each other");
  }
  if (draft.rule.count_bytes && (!draft.rule.match_all || action != "add")) {
    body.fail("count_entry_bytes", "needs match_all: true and action: add");
  }
}

void read_gauge(MapReader& body, Draft& draft, const std::string& action) {
  static constexpr std::pair<std::string_view, Action> kActions[] = {{"set", Action::kSet},
                                                                     {"inc", Action::kInc},
                                                                     {"dec", Action::kDec},
                                                                     {"add", Action::kAdd},
                                                                     {"sub", Action::kSub}};
  for (const auto& [name, known] : kActions) {
    if (action != name) continue;
    draft.rule.action = known;
    return;
  }
  body.fail("action", "`" + action + "`: a gauge knows set, inc, dec, add and sub");
}

void read_histogram(MapReader& body, Draft& draft) {
  draft.rule.action = Action::kObserve;
  std::vector<std::string> bounds;
  body.strings("buckets", bounds);
  for (const auto& text : bounds) {
    double bound = 0;
    if (gotext::read_float(text, bound) != gotext::NumberError::kNone) {
      body.fail("buckets", "`" + text + "` is not a number");
    }
    draft.config.buckets.push_back(bound);
  }
  auto& buckets = draft.config.buckets;
  if (buckets.empty()) buckets = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
  if (!std::is_sorted(buckets.begin(), buckets.end(), std::less_equal<>())) {
    body.fail("buckets", "must ascend");
  }
}

void read_metric(const std::string& name, MapReader& body, Draft& draft, BuildContext& build) {
  std::string type;
  std::string prefix = "promtail_custom_";
  std::string source = name;
  body.string("type", type);
  body.string("description", draft.config.description);
  body.string("prefix", prefix);
  if (prefix.empty()) prefix = "promtail_custom_";
  body.string("source", source);
  body.duration("max_idle_duration", draft.config.max_idle_ns);
  if (draft.config.max_idle_ns < 1'000'000'000) {
    body.fail("max_idle_duration", "must be at least 1s");
  }
  draft.config.name = prefix + name;
  draft.rule.source = build.names->id(source);
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const bool counter = type == "counter";
  const bool gauge = type == "gauge";
  if (!counter && !gauge && type != "histogram") {
    body.fail("type", "`" + type + "` is none of Counter, Gauge, Histogram");
    return;
  }
  draft.config.type = counter ? CustomMetricConfig::Type::kCounter
                      : gauge ? CustomMetricConfig::Type::kGauge
                              : CustomMetricConfig::Type::kHistogram;
  body.map("config", [&](MapReader& config) {
    std::string action;
    std::string value;
    config.string("action", action);
    std::transform(action.begin(), action.end(), action.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (config.has("value")) {
      config.string("value", value);
      draft.rule.value = value;
    }
    if (counter) read_counter(config, draft, action);
    if (gauge) read_gauge(config, draft, action);
    if (!counter && !gauge) read_histogram(config, draft);
    config.finish_loosely();
  });
  if (!body.has("config")) body.fail("config", "is needed: it says what to do with the value");
  if (!model::is_label_name(draft.config.name, true)) {
    body.fail("", "`" + draft.config.name + "` is not a metric name");
  }
  body.finish_loosely();
}

}  // namespace

StagePtr build_metrics(const Node& body, const std::string& path, BuildContext& build) {
  auto stage = std::make_unique<MetricsStage>();
  if (!body.is_map() || body.fields.empty()) {
    build.state->fail(body.line, path, "needs a map {metric name: {type, config, ...}}");
    return nullptr;
  }
  stage->metrics_ = build.metrics;
  for (const auto& [name, node] : body.fields) {
    Draft draft;
    MapReader reader(node, path + "." + name, *build.state);
    read_metric(name, reader, draft, build);
    if (!build.state->ok()) return nullptr;
    auto metric = build.metrics->define(draft.config);
    if (!metric.ok()) {
      reader.fail("", metric.status().message());
      return nullptr;
    }
    draft.rule.metric = *metric;
    stage->rules_.push_back(std::move(draft.rule));
    stage->described_ += (stage->described_.empty() ? "`" : ", `") + draft.config.name + "`";
  }
  return stage;
}

}  // namespace skald::agent
