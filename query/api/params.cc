#include "query/api/params.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "proto/base/clock.h"
#include "proto/gotext/duration.h"
#include "proto/wire/rfc3339.h"

namespace skald::query::api {
namespace {

constexpr std::int64_t kPointsMax = 11'000;  // of a matrix, per series; Loki's number
constexpr double kNsPerSecond = 1e9;
constexpr double kTimeSecondsMax = 9.2e9;  // what 64 bits of nanoseconds hold

// Times are kept where sums and differences with durations cannot overflow: 1970 to 2189.
constexpr std::int64_t kTimeMaxNs = INT64_MAX - (std::int64_t{1} << 61);
constexpr std::int64_t kStepMaxNs = std::int64_t{1} << 60;

std::int64_t clamp_time(std::int64_t ns) noexcept {
  return std::clamp<std::int64_t>(ns, 0, kTimeMaxNs);
}

bool iequals(std::string_view a, std::string_view lower) noexcept {
  if (a.size() != lower.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(a[i])) != lower[i]) return false;
  return true;
}

std::optional<double> parse_float(std::string_view text) noexcept {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

std::string quoted(std::string_view text) { return "\"" + std::string(text.substr(0, 200)) + "\""; }

}  // namespace

Params Params::from(const net::ServerRequest& request) {
  Params params;
  net::parse_form(request.query(), params.fields_);
  const std::string_view type = request.header("content-type");
  if (type.substr(0, 33) == "application/x-www-form-urlencoded")
    net::parse_form(request.body, params.fields_);
  return params;
}

std::string_view Params::get(std::string_view name) const noexcept {
  for (const auto& [field, value] : fields_)
    if (field == name) return value;
  return {};
}

bool Params::has(std::string_view name) const noexcept {
  for (const auto& [field, value] : fields_)
    if (field == name) return true;
  return false;
}

std::vector<std::string> Params::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [field, value] : fields_)
    if (field == name) values.push_back(value);
  return values;
}

base::Result<std::int64_t> parse_time(std::string_view text) {
  if (text.find('.') != std::string_view::npos) {
    if (const auto seconds = parse_float(text)) {
      if (!(std::abs(*seconds) < kTimeSecondsMax))
        return base::invalid_argument("time out of range: " + quoted(text));
      return clamp_time(static_cast<std::int64_t>(std::llround(*seconds * 1e3)) * base::kNsPerMs);
    }
  }
  if (const auto integer = parse_integer(text)) {
    std::int64_t ns = *integer;
    if (text.size() <= 10 && __builtin_mul_overflow(*integer, base::kNsPerSecond, &ns))
      ns = *integer < 0 ? 0 : kTimeMaxNs;
    return clamp_time(ns);
  }
  if (const auto time_ns = wire::parse_rfc3339(text)) return clamp_time(*time_ns);
  return base::invalid_argument("cannot parse " + quoted(text) +
                                " as a time: want seconds, nanoseconds or RFC 3339");
}

base::Result<std::int64_t> parse_step(std::string_view text, std::string_view name) {
  if (const auto seconds = parse_float(text)) {
    const double ns = *seconds * kNsPerSecond;
    if (!(std::abs(ns) < 9.2e18))
      return base::invalid_argument("cannot parse " + quoted(text) +
                                    " to a valid duration. It overflows int64");
    return static_cast<std::int64_t>(ns);
  }
  if (auto duration = gotext::parse_logql_duration(text); duration.ok()) return *duration;
  return base::invalid_argument("cannot parse " + quoted(text) + " to a valid duration (" +
                                std::string(name) + ")");
}

base::Result<model::TimeRange> parse_range(const Params& params, std::int64_t now_ns,
                                           std::int64_t default_since_ns) {
  std::int64_t since_ns = default_since_ns;
  if (const auto text = params.get("since"); !text.empty()) {
    auto duration = gotext::parse_prometheus_duration(text);
    if (!duration.ok())
      return base::invalid_argument("could not parse 'since' parameter: " +
                                    std::string(duration.status().message()));
    since_ns = *duration;
  }
  model::TimeRange range{0, now_ns};
  if (const auto text = params.get("end"); !text.empty()) {
    auto time = parse_time(text);
    if (!time.ok())
      return base::invalid_argument("could not parse 'end' parameter: " +
                                    std::string(time.status().message()));
    range.end_ns = *time;
  }
  range.start_ns = clamp_time(std::min(range.end_ns, now_ns) - since_ns);
  if (const auto text = params.get("start"); !text.empty()) {
    auto time = parse_time(text);
    if (!time.ok())
      return base::invalid_argument("could not parse 'start' parameter: " +
                                    std::string(time.status().message()));
    range.start_ns = *time;
  }
  if (range.end_ns < range.start_ns)
    return base::invalid_argument("end timestamp must not be before or equal to start time");
  return range;
}

base::Result<std::int64_t> parse_instant(const Params& params, std::int64_t now_ns) {
  const auto text = params.get("time");
  if (text.empty()) return now_ns;
  return parse_time(text);
}

base::Result<std::uint32_t> parse_limit(const Params& params, std::string_view name,
                                        std::uint32_t fallback, bool zero_is_fallback) {
  const auto text = params.get(name);
  if (text.empty()) return fallback;
  const auto value = parse_integer(text);
  if (!value || *value > INT32_MAX || *value < INT32_MIN)
    return base::invalid_argument("cannot parse " + quoted(text) + " as " + std::string(name) +
                                  ": want an integer");
  if (*value == 0 && zero_is_fallback) return fallback;
  if (*value <= 0) return base::invalid_argument("limit must be a positive value");
  return static_cast<std::uint32_t>(*value);
}

base::Result<model::Direction> parse_direction(std::string_view text) {
  if (text.empty() || iequals(text, "backward")) return model::Direction::kBackward;
  if (iequals(text, "forward")) return model::Direction::kForward;
  return base::invalid_argument("invalid direction '" + std::string(text.substr(0, 100)) + "'");
}

base::Result<std::int64_t> parse_query_step(const Params& params, const model::TimeRange& range) {
  const std::int64_t span_ns = range.end_ns - range.start_ns;
  const auto text = params.get("step");
  if (text.empty())
    return std::max<std::int64_t>(span_ns / base::kNsPerSecond / 250, 1) * base::kNsPerSecond;
  SKALD_TRY_ASSIGN(const std::int64_t step_ns, parse_step(text, "step"));
  if (step_ns <= 0)
    return base::invalid_argument(
        "zero or negative query resolution step widths are not accepted. Try a positive integer");
  if (step_ns > kStepMaxNs) return kStepMaxNs;
  if (span_ns / step_ns > kPointsMax)
    return base::invalid_argument(
        "exceeded maximum resolution of 11,000 points per time series. Try increasing the value "
        "of the step parameter");
  return step_ns;
}

}  // namespace skald::query::api
