#include "tests/query/differential/naive_engine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"
#include "query/logql/parser.h"
#include "tests/query/differential/naive_row.h"

namespace skald::tests {
namespace {

namespace ql = query::logql;
using ql::RangeOp;
using ql::VectorOp;
using LabelMap = std::map<std::string, std::string>;

struct Undecided {};
struct Failed {
  base::Status status;
};

// ---- what a query needs of its parsers ----

bool always_true(const ql::LabelFilter& f) {
  return f.kind == ql::LabelFilter::Kind::kString &&
         f.matcher->op() == model::Matcher::Op::kRegex &&
         (f.matcher->value() == ".*" || f.matcher->value().empty());
}

bool is_leaf(const ql::LabelFilter& f) { return !f.left && !f.right; }

void add_names(const ql::LabelFilter& f, std::vector<std::string>& out) {
  if (f.left) add_names(*f.left, out);
  if (f.right) add_names(*f.right, out);
  if (is_leaf(f) && !always_true(f)) out.push_back(f.label);
}

std::vector<std::string> names_read(const ql::Pipeline& pipeline) {
  std::vector<std::string> out;
  for (const ql::Stage& stage : pipeline) {
    if (const auto* s = std::get_if<ql::LabelFilterStage>(&stage)) add_names(*s->filter, out);
    if (const auto* s = std::get_if<ql::LabelFormat>(&stage))
      for (const auto& item : s->items) {
        if (!item.rename) throw Undecided();
        out.push_back(item.value);
      }
    if (const auto* s = std::get_if<ql::LineFormat>(&stage)) {
      const auto names = plain_fields(s->text);
      if (!names) throw Undecided();
      out.insert(out.end(), names->begin(), names->end());
    }
  }
  return out;
}

std::vector<const ql::LabelFilter*> early_filters(const ql::Pipeline& pipeline) {
  std::vector<const ql::LabelFilter*> out;
  for (const ql::Stage& stage : pipeline)
    if (const auto* s = std::get_if<ql::LabelFilterStage>(&stage))
      if (is_leaf(*s->filter) && !always_true(*s->filter)) out.push_back(s->filter.get());
  return out;
}

bool reads_line(const ql::Stage& stage) {
  return !std::holds_alternative<ql::LabelFilterStage>(stage) &&
         !std::holds_alternative<ql::LineFormat>(stage) &&
         !std::holds_alternative<ql::LabelFormat>(stage) &&
         !std::holds_alternative<ql::DropLabels>(stage) &&
         !std::holds_alternative<ql::KeepLabels>(stage) &&
         !std::holds_alternative<ql::Decolorize>(stage);
}

bool selected(const ql::LogSelector& selector, const model::Labels& stream) {
  return std::all_of(selector.matchers.begin(), selector.matchers.end(), [&](const auto& matcher) {
    return matcher->matches(stream.get(matcher->name()));
  });
}

model::Labels to_labels(const LabelMap& map) {
  return model::Labels::from_result({map.begin(), map.end()});
}

// ---- log queries ----

query::QueryResult log_query(const std::vector<RandomEntry>& entries, const ql::LogSelector& query,
                             const query::QueryRequest& request) {
  const ql::Pipeline pipeline = ql::execution_order(query.pipeline);
  NaiveHints hints;
  hints.early = early_filters(pipeline);
  std::vector<const RandomEntry*> order;
  for (const RandomEntry& e : entries)
    if (selected(query, e.stream) && e.entry.timestamp_ns >= request.start_ns &&
        e.entry.timestamp_ns < request.end_ns)
      order.push_back(&e);
  const bool forward = request.direction == model::Direction::kForward;
  std::stable_sort(order.begin(), order.end(), [&](const auto* a, const auto* b) {
    return forward ? a->entry.timestamp_ns < b->entry.timestamp_ns
                   : a->entry.timestamp_ns > b->entry.timestamp_ns;
  });
  std::map<LabelMap, query::LogStream> streams;
  std::uint32_t left = request.limit;
  for (const RandomEntry* e : order) {
    NaiveRow row(hints, e->stream, e->entry);
    const bool kept = std::all_of(pipeline.begin(), pipeline.end(),
                                  [&](const ql::Stage& stage) { return row.run(stage); });
    if (row.undecided()) throw Undecided();
    if (!kept || left == 0) continue;
    --left;
    query::LogStream& stream = streams[row.stream_labels()];
    stream.entries.push_back({e->entry.timestamp_ns, row.line, to_labels(row.metadata_labels()),
                              to_labels(row.parsed_labels())});
  }
  query::QueryResult result;
  query::Streams out;
  for (auto& [labels, stream] : streams) {
    stream.labels = to_labels(labels);
    out.streams.push_back(std::move(stream));
  }
  result.data = std::move(out);
  return result;
}

// ---- metric queries ----

struct Point {
  std::int64_t time_ns;
  double value;
};
using Points = std::map<LabelMap, std::vector<Point>>;
// Values by evaluation time. Series may have equal labels.
using Matrix = std::multimap<LabelMap, std::map<std::int64_t, double>>;

struct Groups {
  std::vector<std::string> labels;
  bool without = false, none = false;
};

Groups groups_of(const ql::RangeAggregation& expr, const ql::Grouping* outer) {
  Groups out;
  const ql::Grouping* grouping = outer;
  if (grouping == nullptr && expr.grouping) grouping = &*expr.grouping;
  if (grouping != nullptr) {
    out.labels = grouping->labels;
    out.without = grouping->without;
    out.none = out.labels.empty() && !out.without;
  }
  // The unwrapped label is no part of a series that keeps the others.
  if (expr.range.unwrap && (out.labels.empty() || out.without)) {
    out.without = true;
    out.labels.push_back(expr.range.unwrap->label);
  }
  return out;
}

NaiveHints hints_of(const ql::RangeAggregation& expr, const ql::Pipeline& pipeline,
                    const Groups& groups) {
  std::vector<std::string> names = names_read(pipeline);
  std::vector<const ql::LabelFilter*> early = early_filters(pipeline);
  if (expr.range.unwrap) {
    const auto& filters = expr.range.unwrap->post_filters;
    for (const auto& filter : filters) add_names(*filter, names);
    if (filters.size() == 1 && is_leaf(*filters[0]) && !always_true(*filters[0]))
      early.push_back(filters[0].get());
  }
  names.insert(names.end(), groups.labels.begin(), groups.labels.end());
  if (expr.range.unwrap) names.push_back(expr.range.unwrap->label);
  // "level_extracted" is looked for as "level".
  for (std::size_t i = 0, n = names.size(); i < n; ++i)
    if (const auto cut = names[i].rfind("_extracted");
        cut != std::string::npos && cut + 10 == names[i].size())
      names.push_back(names[i].substr(0, cut));
  std::erase(names, "");
  NaiveHints out;
  const bool keeps_all = !groups.none && (groups.without || groups.labels.empty());
  if (groups.none && names.empty()) out.no_labels = true;
  if (out.no_labels) return out;
  if (groups.none || keeps_all) out.early = early;
  if (keeps_all) return out;
  out.required = names;
  out.preserve_error = std::find(names.begin(), names.end(), "__error__") != names.end();
  return out;
}

LabelMap series_of(const NaiveRow& row, const model::Labels& stream, const Groups& groups) {
  LabelMap out;
  if (groups.none) return out;
  if (!groups.without && groups.labels.empty()) return row.all_labels();
  if (!groups.without) {
    for (const std::string& name : groups.labels)
      if (const auto value = row.get(name); value && !row.deleted(name)) out[name] = *value;
    return out;
  }
  (void)stream;
  out = row.all_labels();
  for (const std::string& name : groups.labels) out.erase(name);
  return out;
}

std::optional<double> unwrapped(const ql::Unwrap& unwrap, const std::string& text) {
  using Convert = ql::Unwrap::Convert;
  if (unwrap.convert == Convert::kNone) {
    const auto number = gotext::parse_float(text);
    return number.ok() ? std::optional(*number) : std::nullopt;
  }
  if (unwrap.convert == Convert::kBytes) {
    const auto bytes = gotext::parse_bytes(text);
    return bytes.ok() ? std::optional(static_cast<double>(*bytes)) : std::nullopt;
  }
  const auto duration = gotext::parse_duration(text);
  return duration.ok() ? std::optional(static_cast<double>(*duration) / 1e9) : std::nullopt;
}

// False: no sample.
bool sample(NaiveRow& row, const ql::RangeAggregation& expr, double& value) {
  value = 1;
  if (expr.range.unwrap) {
    const ql::Unwrap& unwrap = *expr.range.unwrap;
    const std::string text = row.get(unwrap.label).value_or("");
    if (text.empty()) return false;
    const auto number = unwrapped(unwrap, text);
    value = number.value_or(0);
    if (!number) row.error = "SampleExtractionErr";
    bool kept = true;
    for (const auto& filter : unwrap.post_filters) kept = row.passes(*filter) && kept;
    return kept;
  }
  if (expr.op == RangeOp::kBytes || expr.op == RangeOp::kBytesRate)
    value = static_cast<double>(row.line.size());
  return true;
}

double quantile(double q, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const double rank = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(rank);
  const double high = values[std::min(low + 1, values.size() - 1)];
  return values[low] + (high - values[low]) * (rank - std::floor(rank));
}

double of_window(const ql::RangeAggregation& expr, const std::vector<Point>& points) {
  const auto n = static_cast<double>(points.size());
  const double seconds = static_cast<double>(expr.range.interval_ns) / 1e9;
  std::vector<double> values;
  double sum = 0;
  for (const Point& point : points) sum += point.value, values.push_back(point.value);
  double squares = 0;
  for (const double v : values) squares += (v - sum / n) * (v - sum / n);
  const auto by_time = [](const Point& a, const Point& b) { return a.time_ns < b.time_ns; };
  const auto [first, last] = std::minmax_element(points.begin(), points.end(), by_time);
  switch (expr.op) {
    case RangeOp::kCount: return n;
    case RangeOp::kRate: return (expr.range.unwrap ? sum : n) / seconds;
    case RangeOp::kBytes:
    case RangeOp::kSum: return sum;
    case RangeOp::kBytesRate: return sum / seconds;
    case RangeOp::kAvg: return sum / n;
    case RangeOp::kMax: return *std::max_element(values.begin(), values.end());
    case RangeOp::kMin: return *std::min_element(values.begin(), values.end());
    case RangeOp::kStdvar: return squares / n;
    case RangeOp::kStddev: return std::sqrt(squares / n);
    case RangeOp::kQuantile: return quantile(expr.parameter.value_or(0), values);
    case RangeOp::kFirst:
    case RangeOp::kLast: {
      const Point& at = expr.op == RangeOp::kFirst ? *first : *last;
      // Which of several at one time is the first is nobody's promise.
      for (const Point& point : points)
        if (point.time_ns == at.time_ns && point.value != at.value) throw Undecided();
      return at.value;
    }
    default: throw Undecided();
  }
}

struct Steps {
  std::vector<std::int64_t> times;
};

Steps steps_of(const query::QueryRequest& request) {
  if (request.instant) return {{request.end_ns}};
  Steps out;
  // From the multiple of the step at or before the start to the one at or after the end.
  for (std::int64_t t = request.start_ns - request.start_ns % request.step_ns;;
       t += request.step_ns) {
    out.times.push_back(t);
    if (t >= request.end_ns) return out;
  }
}

class MetricQuery {
 public:
  MetricQuery(const std::vector<RandomEntry>& entries, const query::QueryRequest& request)
      : entries_(entries), steps_(steps_of(request)) {}

  Matrix range(const ql::RangeAggregation& expr, const ql::Grouping* outer) {
    const Points points = samples(expr, outer);
    Matrix out;
    for (const auto& [labels, all] : points) {
      std::map<std::int64_t, double> values;
      for (const std::int64_t t : steps_.times) {
        std::vector<Point> window;
        for (const Point& point : all)
          if (point.time_ns > t - expr.range.offset_ns - expr.range.interval_ns &&
              point.time_ns <= t - expr.range.offset_ns)
            window.push_back(point);
        if (!window.empty()) values[t] = of_window(expr, window);
      }
      if (!values.empty()) out.emplace(labels, std::move(values));
    }
    return out;
  }

  // `whole`: Loki's frontend sends the expression around this one down in one piece.
  Matrix evaluate(const ql::Expr& expr, bool whole) {
    if (const auto* range_expr = expr.as<ql::RangeAggregation>()) {
      const bool by_nothing = !range_expr->grouping || (range_expr->grouping->without &&
                                                        range_expr->grouping->labels.empty());
      Matrix plain = range(*range_expr, nullptr);
      const auto outer = joins_with(range_expr->op);
      if (whole || (!joins_labels(*range_expr) && by_nothing) || !outer) return plain;
      // Split by streams and put together again. How an average is, is another test's business.
      if (range_expr->op == RangeOp::kAvg) throw Undecided();
      ql::VectorAggregation join;
      join.op = *outer;
      join.grouping = range_expr->grouping.value_or(ql::Grouping{true, {}});
      return aggregate(join, plain, false);
    }
    const auto* vector = expr.as<ql::VectorAggregation>();
    if (vector == nullptr) throw Undecided();
    const bool sent = !whole && is_sent_whole(*vector);
    if (sent && vector->op == VectorOp::kAvg) return average(*vector);
    return aggregate_inner(*vector, whole || sent, sent);
  }

 private:
  // Whether series of different streams may get equal labels.
  static bool joins_labels(const ql::RangeAggregation& expr) {
    if (expr.grouping && !expr.grouping->labels.empty()) return true;
    const auto& stages = expr.range.selector.pipeline;
    return std::any_of(stages.begin(), stages.end(), [](const ql::Stage& stage) {
      const auto* format = std::get_if<ql::LabelFormat>(&stage);
      return std::holds_alternative<ql::DropLabels>(stage) ||
             std::holds_alternative<ql::KeepLabels>(stage) ||
             (format != nullptr && format->items[0].rename);
    });
  }

  static std::optional<VectorOp> joins_with(RangeOp op) {
    switch (op) {
      case RangeOp::kAvg:
      case RangeOp::kCount:
      case RangeOp::kRate:
      case RangeOp::kBytes:
      case RangeOp::kBytesRate:
      case RangeOp::kSum: return VectorOp::kSum;
      case RangeOp::kMin: return VectorOp::kMin;
      case RangeOp::kMax: return VectorOp::kMax;
      default: return std::nullopt;
    }
  }

  // Sums by counts, which lie apart and so are grouped apart.
  Matrix average(const ql::VectorAggregation& expr) {
    ql::VectorAggregation part;
    part.grouping = expr.grouping;
    part.op = VectorOp::kSum;
    const auto* inner = expr.inner->as<ql::RangeAggregation>();
    const Matrix sums = aggregate(
        part,
        is_grouped_early(part, inner) ? range(*inner, &expr.grouping) : range(*inner, nullptr),
        true);
    part.op = VectorOp::kCount;
    const Matrix counts = aggregate(part, range(*inner, nullptr), true);
    Matrix out;
    for (const auto& [labels, values] : sums) {
      const auto count = counts.find(labels);
      if (count == counts.end()) continue;
      LabelMap shown = labels;
      std::erase_if(shown, [](const auto& label) { return label.second.empty(); });
      std::map<std::int64_t, double> quotients;
      for (const auto& [t, sum] : values)
        if (const auto n = count->second.find(t); n != count->second.end())
          quotients[t] = sum / n->second;
      if (!quotients.empty()) out.emplace(std::move(shown), std::move(quotients));
    }
    return out;
  }

  static bool is_grouped_early(const ql::VectorAggregation& expr,
                               const ql::RangeAggregation* inner) {
    return inner != nullptr && expr.op == VectorOp::kSum && !inner->grouping &&
           (inner->op == RangeOp::kBytes || inner->op == RangeOp::kBytesRate ||
            inner->op == RangeOp::kSum || inner->op == RangeOp::kRate ||
            inner->op == RangeOp::kCount);
  }

  Matrix aggregate_inner(const ql::VectorAggregation& expr, bool whole, bool joined) {
    const auto* inner = expr.inner->as<ql::RangeAggregation>();
    return aggregate(expr,
                     is_grouped_early(expr, inner) ? range(*inner, &expr.grouping)
                                                   : evaluate(*expr.inner, whole),
                     joined);
  }

  static bool is_sent_whole(const ql::VectorAggregation& expr) {
    const auto* inner = expr.inner->as<ql::RangeAggregation>();
    if (inner == nullptr) throw Undecided();
    if (inner->op == RangeOp::kStddev || inner->op == RangeOp::kStdvar ||
        inner->op == RangeOp::kRateCounter)
      return false;
    const bool extremum = expr.op == VectorOp::kMax || expr.op == VectorOp::kMin;
    if (inner->op == RangeOp::kQuantile && extremum) return false;
    return expr.op == VectorOp::kSum || !joins_labels(*inner);
  }

  Points samples(const ql::RangeAggregation& expr, const ql::Grouping* outer) {
    const bool bytes = expr.op == RangeOp::kBytes || expr.op == RangeOp::kBytesRate;
    ql::Pipeline written;
    const ql::Pipeline& all = expr.range.selector.pipeline;
    for (auto stage = all.begin(); stage != all.end(); ++stage)
      // A line that nobody reads is not formatted.
      if (!std::holds_alternative<ql::LineFormat>(*stage) || bytes ||
          std::any_of(stage, all.end(), reads_line))
        written.push_back(*stage);
    const ql::Pipeline pipeline = ql::execution_order(written);
    const Groups groups = groups_of(expr, outer);
    const NaiveHints hints = hints_of(expr, pipeline, groups);
    // What lies between two windows is not looked at, not even for errors.
    const auto in_a_window = [&](std::int64_t time_ns) {
      return std::any_of(steps_.times.begin(), steps_.times.end(), [&](std::int64_t t) {
        return time_ns > t - expr.range.offset_ns - expr.range.interval_ns &&
               time_ns <= t - expr.range.offset_ns;
      });
    };
    Points out;
    for (const RandomEntry& e : entries_) {
      if (!selected(expr.range.selector, e.stream) || !in_a_window(e.entry.timestamp_ns)) continue;
      NaiveRow row(hints, e.stream, e.entry);
      double value = 0;
      const bool kept = std::all_of(pipeline.begin(), pipeline.end(),
                                    [&](const ql::Stage& stage) { return row.run(stage); }) &&
                        sample(row, expr, value);
      if (row.undecided()) throw Undecided();
      if (!kept) continue;
      if (!row.error.empty()) {
        // A series that asks for its error keeps all labels, until Loki's frontend joins them.
        if (row.get("__preserve_error__")) throw Undecided();
        throw Failed{base::invalid_argument("pipeline error")};
      }
      out[series_of(row, e.stream, groups)].push_back({e.entry.timestamp_ns, value});
    }
    return out;
  }

  // `without` tells groups by empty labels, too, but shows none; `joined`: and does not tell.
  Matrix aggregate(const ql::VectorAggregation& expr, const Matrix& input, bool joined) {
    std::map<LabelMap, std::map<std::int64_t, std::vector<double>>> groups;
    const bool without = expr.grouping.without;
    for (const auto& [labels, points] : input) {
      LabelMap group;
      for (const auto& [name, value] : labels) {
        const auto& names = expr.grouping.labels;
        const bool named = std::find(names.begin(), names.end(), name) != names.end();
        if (named != without && !(without && joined && value.empty())) group[name] = value;
      }
      for (const auto& [t, value] : points) groups[group][t].push_back(value);
    }
    Matrix out;
    for (const auto& [labels, points] : groups) {
      std::map<std::int64_t, double> values;
      for (const auto& [t, members] : points) values[t] = fold(expr.op, members);
      LabelMap shown = labels;
      if (without) std::erase_if(shown, [](const auto& label) { return label.second.empty(); });
      out.emplace(std::move(shown), std::move(values));
    }
    return out;
  }

  static double fold(VectorOp op, const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    const auto n = static_cast<double>(values.size());
    switch (op) {
      case VectorOp::kSum: return sum;
      case VectorOp::kAvg: return sum / n;
      case VectorOp::kCount: return n;
      case VectorOp::kMax: return *std::max_element(values.begin(), values.end());
      case VectorOp::kMin: return *std::min_element(values.begin(), values.end());
      default: throw Undecided();
    }
  }

  const std::vector<RandomEntry>& entries_;
  const Steps steps_;
};

query::QueryResult metric_query(const std::vector<RandomEntry>& entries, const ql::Expr& expr,
                                const query::QueryRequest& request) {
  const Matrix matrix = MetricQuery(entries, request).evaluate(expr, false);
  std::vector<query::Series> all;
  for (const auto& [labels, points] : matrix) {
    query::Series series;
    series.labels = to_labels(labels);
    const bool again = !request.instant && !all.empty() && all.back().labels == series.labels;
    if (!again) all.push_back(std::move(series));
    for (const auto& [t, value] : points) all.back().samples.push_back({t / 1'000'000, value});
  }
  query::QueryResult result;
  if (request.instant)
    result.data = query::Vector{std::move(all)};
  else
    result.data = query::Matrix{std::move(all)};
  return result;
}

}  // namespace

std::optional<base::Result<query::QueryResult>> run_naively(const std::vector<RandomEntry>& entries,
                                                            const query::QueryRequest& request) {
  const auto expr = ql::parse(request.text);
  if (!expr.ok()) return base::Result<query::QueryResult>(expr.status());
  try {
    if (const auto* selector = (*expr)->as<ql::LogSelector>())
      return base::Result<query::QueryResult>(log_query(entries, *selector, request));
    return base::Result<query::QueryResult>(metric_query(entries, **expr, request));
  } catch (const Undecided&) {
    return std::nullopt;
  } catch (const Failed& failed) {
    return base::Result<query::QueryResult>(failed.status);
  }
}

}  // namespace skald::tests
