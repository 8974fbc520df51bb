// Prometheus' functions for the labels and annotations of alerts.
#include <algorithm>
#include <cmath>

#include "proto/gotext/duration.h"
#include "proto/gotext/format.h"
#include "proto/gotext/function_util.h"
#include "proto/gotext/number.h"
#include "proto/gotext/regex.h"

namespace skald::gotext {
namespace {

using base::invalid_argument;
using base::Result;
using Kind = Value::Kind;
using P = ParamType;

constexpr std::string_view kVectorType = "template.queryResult";
constexpr std::string_view kSampleType = "*template.sample";

const AlertContext& context_of(const Call& call) {
  static const AlertContext empty;
  return call.context ? *static_cast<const AlertContext*>(call.context) : empty;
}

std::string_view text_arg(const Call& call, std::size_t i) { return call.args[i].as_string(); }

// One element of a query's result: a struct with Labels and Value.
class SampleObject final : public Object {
 public:
  explicit SampleObject(AlertContext::Sample sample) : sample_(std::move(sample)) {}
  std::string_view type_name() const override { return kSampleType; }
  bool is_map() const override { return false; }
  std::optional<Value> get(std::string_view key) const override {
    if (key == "Labels") return labels();
    if (key == "Value") return Value(sample_.value);
    return std::nullopt;
  }
  std::vector<std::pair<std::string, Value>> entries() const override {
    return {{"Labels", labels()}, {"Value", Value(sample_.value)}};
  }
  const AlertContext::Sample& sample() const { return sample_; }

 private:
  Value labels() const {
    return Value::object(std::make_shared<const LabelsObject>(sample_.labels));
  }
  AlertContext::Sample sample_;
};

Result<double> to_float(const Value& value) {
  switch (value.kind()) {
    case Kind::kFloat: return value.as_float();
    case Kind::kString: return parse_float(value.as_string());
    case Kind::kInt: return static_cast<double>(value.as_int());
    case Kind::kDuration: return duration_seconds(value.as_int());
    default:
      return invalid_argument("can't convert " +
                              std::string(value.is_none() ? "<nil>" : value.type_name()) +
                              " to float");
  }
}

std::string four_digits(double value) {
  const Value arg(value);
  return sprintf("%.4g", {&arg, 1});
}

bool is_special(double value) { return std::isnan(value) || std::isinf(value); }

std::string scale_up(double value, double base, std::initializer_list<const char*> prefixes) {
  const char* prefix = "";
  for (const char* next : prefixes) {
    if (std::fabs(value) < base) break;
    prefix = next;
    value /= base;
  }
  return four_digits(value) + prefix;
}

std::string scale_down(double value, std::string_view unit) {
  std::string prefix;
  for (const char* next : {"m", "u", "n", "p", "f", "a", "z", "y"}) {
    if (std::fabs(value) >= 1) break;
    prefix = next;
    value *= 1000;
  }
  return four_digits(value).append(prefix).append(unit);
}

std::string humanize(double v) {
  if (v == 0 || is_special(v)) return four_digits(v);
  if (std::fabs(v) >= 1) return scale_up(v, 1000, {"k", "M", "G", "T", "P", "E", "Z", "Y"});
  return scale_down(v, "");
}

std::string humanize1024(double v) {
  if (std::fabs(v) <= 1 || is_special(v)) return four_digits(v);
  return scale_up(v, 1024, {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"});
}

std::string humanize_duration(double v) {
  if (is_special(v)) return four_digits(v);
  if (v == 0) return four_digits(v) + "s";
  if (std::fabs(v) < 1) return scale_down(v, "s");
  std::string out = v < 0 ? "-" : "";
  v = std::fabs(v);
  const auto whole = v < 0x1p63 ? static_cast<std::int64_t>(v) : INT64_MIN;
  const auto part = [&](std::int64_t n, const char* unit) { out += std::to_string(n) + unit; };
  const std::int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  if (days == 0 && hours == 0 && minutes == 0) return out + four_digits(v) + "s";
  if (days != 0) part(days, "d ");
  if (days != 0 || hours != 0) part(hours, "h ");
  part(minutes, "m ");
  part(whole % 60, "s");
  return out;
}

Result<Value> time_of(double v) {
  const double ns = v * 1e9;
  if (!(ns <= 0x1p63 && ns >= -0x1p63)) {
    return invalid_argument(format_float(v, 'g') +
                            " cannot be represented as a nanoseconds timestamp since it overflows "
                            "int64");
  }
  // Millisecond precision, as model.Time.
  const auto whole = ns >= 0x1p63 ? INT64_MAX : static_cast<std::int64_t>(ns);
  return Value(Time::from_unix_ns(whole / 1'000'000 * 1'000'000, utc()));
}

Result<Value> humanize_timestamp(const Call& c) {
  SKALD_TRY_ASSIGN(const double v, to_float(c.args[0]));
  if (is_special(v)) return Value(four_digits(v));
  SKALD_TRY_ASSIGN(const Value time, time_of(v));
  return Value(time.as_time().to_string());
}

template <typename F>
Function float_text(F body) {
  return {{P::kAny}, false, [body](const Call& c) -> Result<Value> {
            SKALD_TRY_ASSIGN(const double v, to_float(c.args[0]));
            return Value(std::string(body(v)));
          }};
}

Result<Value> query(const Call& c) {
  const AlertContext& context = context_of(c);
  if (!context.query) return invalid_argument("queries are not available here");
  SKALD_TRY_ASSIGN(auto samples, context.query(std::string(text_arg(c, 0))));
  std::vector<Value> items;
  items.reserve(samples.size());
  for (auto& sample : samples)
    items.push_back(Value::object(std::make_shared<const SampleObject>(std::move(sample))));
  return Value::list(std::move(items), kVectorType);
}

const SampleObject* sample_of(const Value& value) {
  return value.is(Kind::kObject) ? static_cast<const SampleObject*>(&value.as_object()) : nullptr;
}

base::Status nil_sample() {
  return invalid_argument("runtime error: invalid memory address or nil pointer dereference");
}

Result<Value> label_text(const Value& value, std::string_view label) {
  const SampleObject* sample = sample_of(value);
  if (sample == nullptr) return nil_sample();
  return Value(std::string(sample->sample().labels.get(label)));
}

Result<Value> sort_by_label(const Call& c) {
  if (!c.args[1].is(Kind::kList)) return c.args[1];
  std::vector<Value> items = c.args[1].as_list();
  const std::string_view label = text_arg(c, 0);
  std::stable_sort(items.begin(), items.end(), [&](const Value& a, const Value& b) {
    return sample_of(a)->sample().labels.get(label) < sample_of(b)->sample().labels.get(label);
  });
  return Value::list(std::move(items), kVectorType);
}

struct HostPort {
  std::string host, port;
};

// net.SplitHostPort.
bool split_host_port(std::string_view text, HostPort& out) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view host = text.substr(0, colon);
  std::size_t bracket_search = 0;
  if (!text.empty() && text[0] == '[') {
    const auto close = text.find(']');
    if (close == std::string_view::npos || close + 1 != colon) return false;
    host = text.substr(1, close - 1);
    bracket_search = close + 1;
    if (text.substr(1).find('[') != std::string_view::npos) return false;
  } else {
    if (host.find(':') != std::string_view::npos) return false;
    if (text.find('[') != std::string_view::npos) return false;
  }
  if (text.substr(bracket_search).find(']') != std::string_view::npos) return false;
  out = {std::string(host), std::string(text.substr(colon + 1))};
  return true;
}

bool is_ip(std::string_view text) {
  if (text.find(':') != std::string_view::npos) return true;  // only IPv6 hosts hold colons
  int parts = 0;
  for (const std::string_view part : split(text, ".")) {
    std::uint64_t n = 0;
    if (part.empty() || part.size() > 3 || read_uint(part, 10, 64, n) != NumberError::kNone ||
        n > 255 || (part.size() > 1 && part[0] == '0'))
      return false;
    ++parts;
  }
  return parts == 4;
}

std::string strip_port(std::string_view text) {
  HostPort parts;
  return split_host_port(text, parts) ? parts.host : std::string(text);
}

std::string strip_domain(std::string_view text) {
  HostPort parts;
  if (!split_host_port(text, parts)) parts = {std::string(text), ""};
  if (is_ip(parts.host)) return std::string(text);
  const std::string host = parts.host.substr(0, parts.host.find('.'));
  return parts.port.empty() ? host : host + ":" + parts.port;
}

void add_queries(FunctionTable& t) {
  const Param vector(P::kList, kVectorType);
  const Param sample(P::kObject, kSampleType);
  t["query"] = {{P::kString}, false, query};
  t["first"] = {{vector}, false, [](const Call& c) -> Result<Value> {
                  if (!c.args[0].is(Kind::kList) || c.args[0].as_list().empty())
                    return invalid_argument("first() called on vector with no elements");
                  return c.args[0].as_list()[0];
                }};
  t["label"] = {{P::kString, sample}, false, [](const Call& c) {
                  return label_text(c.args[1], text_arg(c, 0));
                }};
  t["value"] = {{sample}, false, [](const Call& c) -> Result<Value> {
                  const SampleObject* object = sample_of(c.args[0]);
                  if (object == nullptr) return nil_sample();
                  return Value(object->sample().value);
                }};
  t["strvalue"] = {
      {sample}, false, [](const Call& c) { return label_text(c.args[0], "__value__"); }};
  t["sortByLabel"] = {{P::kString, vector}, false, sort_by_label};
  t["args"] = {{P::kAny}, true, [](const Call& c) -> Result<Value> {
                 std::vector<std::pair<std::string, Value>> entries;
                 for (std::size_t i = 0; i < c.args.size(); ++i)
                   entries.emplace_back("arg" + std::to_string(i), c.args[i]);
                 return Value::map(std::move(entries));
               }};
}

void add_text(FunctionTable& t) {
  t["title"] = string_function(title_words);
  t["toUpper"] = string_function(to_upper);
  t["toLower"] = string_function(to_lower);
  t["safeHtml"] = string_function([](std::string_view s) { return s; });
  t["stripPort"] = string_function(strip_port);
  t["stripDomain"] = string_function(strip_domain);
  t["urlQueryEscape"] = string_function(query_escape);
  t["graphLink"] = string_function(
      [](std::string_view s) { return "/graph?g0.expr=" + query_escape(s) + "&g0.tab=0"; });
  t["tableLink"] = string_function(
      [](std::string_view s) { return "/graph?g0.expr=" + query_escape(s) + "&g0.tab=1"; });
  t["match"] = {{P::kString, P::kString}, false, [](const Call& c) -> Result<Value> {
                  SKALD_TRY_ASSIGN(const RegexPtr regex, compile_regex(text_arg(c, 0), c.work));
                  SKALD_TRY_ASSIGN(const bool found,
                                   regex_contains(*regex, text_arg(c, 1), c.work));
                  return Value(found);
                }};
  t["reReplaceAll"] = {
      {P::kString, P::kString, P::kString}, false, [](const Call& c) -> Result<Value> {
        SKALD_TRY_ASSIGN(const RegexPtr regex, must_compile_regex(text_arg(c, 0), c.work));
        SKALD_TRY_ASSIGN(std::string text,
                         regex_replace_all(*regex, text_arg(c, 2), text_arg(c, 1), false, c.work));
        return Value(std::move(text));
      }};
}

FunctionTable make_table() {
  FunctionTable t;
  add_queries(t);
  add_text(t);
  t["humanize"] = float_text(humanize);
  t["humanize1024"] = float_text(humanize1024);
  t["humanizeDuration"] = float_text(humanize_duration);
  t["humanizePercentage"] = float_text([](double v) { return four_digits(v * 100) + "%"; });
  t["humanizeTimestamp"] = {{P::kAny}, false, humanize_timestamp};
  t["toTime"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                   SKALD_TRY_ASSIGN(const double v, to_float(c.args[0]));
                   if (is_special(v)) return invalid_argument("value is NaN or Inf");
                   return time_of(v);
                 }};
  t["toDuration"] = {{P::kAny}, false, [](const Call& c) -> Result<Value> {
                       SKALD_TRY_ASSIGN(const double v, to_float(c.args[0]));
                       const double ns = v * 1e9;
                       return Value::duration(ns >= -0x1p63 && ns < 0x1p63
                                                  ? static_cast<std::int64_t>(ns)
                                                  : INT64_MIN);
                     }};
  t["parseDuration"] = {{P::kString}, false, [](const Call& c) -> Result<Value> {
                          SKALD_TRY_ASSIGN(const std::int64_t ns,
                                           parse_prometheus_duration_signed(text_arg(c, 0)));
                          return Value(static_cast<double>(ns) / 1e9);
                        }};
  t["now"] = {{}, false, [](const Call& c) -> Result<Value> {
                return Value(static_cast<double>(context_of(c).timestamp_ms) / 1000.0);
              }};
  t["externalURL"] = {
      {}, false, [](const Call& c) -> Result<Value> { return Value(context_of(c).external_url); }};
  t["pathPrefix"] = {
      {}, false, [](const Call& c) -> Result<Value> { return Value(context_of(c).path_prefix); }};
  return t;
}

}  // namespace

const FunctionTable& alert_functions() {
  static const FunctionTable table = make_table();
  return table;
}

}  // namespace skald::gotext
