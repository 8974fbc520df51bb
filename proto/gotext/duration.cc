#include "proto/gotext/duration.h"

#include <array>
#include <cmath>
#include <limits>

#include "proto/base/utf8.h"
#include "proto/gotext/functions.h"
#include "proto/gotext/number.h"
#include "proto/gotext/quote.h"
#include "proto/gotext/unicode.h"
#include "proto/model/labels.h"

namespace skald::gotext {
namespace {

constexpr std::uint64_t kNs = 1, kUs = 1000, kMs = 1'000'000, kSecond = 1'000'000'000;
constexpr std::uint64_t kMinute = 60 * kSecond, kHour = 60 * kMinute;
constexpr std::uint64_t kIntMax = std::uint64_t{1} << 63;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

base::Status duration_error(std::string_view what, std::string_view text) {
  return base::invalid_argument("time: " + std::string(what) + " " + time_quote(text));
}

// Digits at the front; false on overflow of 2^63.
bool leading_int(std::string_view& text, std::uint64_t& value) {
  value = 0;
  while (!text.empty() && is_digit(text[0])) {
    if (value > kIntMax / 10) return false;
    value = value * 10 + static_cast<std::uint64_t>(text[0] - '0');
    if (value > kIntMax) return false;
    text.remove_prefix(1);
  }
  return true;
}

void leading_fraction(std::string_view& text, std::uint64_t& value, double& scale) {
  value = 0;
  scale = 1;
  bool overflow = false;
  for (; !text.empty() && is_digit(text[0]); text.remove_prefix(1)) {
    if (overflow) continue;
    if (value > (kIntMax - 1) / 10) {
      overflow = true;
      continue;
    }
    const std::uint64_t next = value * 10 + static_cast<std::uint64_t>(text[0] - '0');
    if (next > kIntMax) {
      overflow = true;
      continue;
    }
    value = next;
    scale *= 10;
  }
}

std::uint64_t unit_of(std::string_view name) {
  if (name == "s") return kSecond;
  if (name == "ms") return kMs;
  if (name == "m") return kMinute;
  if (name == "h") return kHour;
  if (name == "us" || name == "\xC2\xB5s" || name == "\xCE\xBCs") return kUs;
  if (name == "ns") return kNs;
  return 0;
}

// Writes `value` so that `digits` of it are a fraction, trailing zeros cut.
std::string with_fraction(std::uint64_t value, int digits) {
  std::string fraction;
  for (int i = 0; i < digits; ++i, value /= 10)
    fraction.insert(fraction.begin(), static_cast<char>('0' + value % 10));
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  std::string out = std::to_string(value);
  if (!fraction.empty()) out += '.' + fraction;
  return out;
}

struct PrometheusUnit {
  std::string_view name;
  int position;  // units come in this order, each once
  std::uint64_t milliseconds;
};
constexpr std::array<PrometheusUnit, 7> kPrometheusUnits = {{
    {"ms", 7, 1},
    {"s", 6, 1000},
    {"m", 5, 60 * 1000},
    {"h", 4, 3600 * 1000},
    {"d", 3, 24 * 3600 * 1000},
    {"w", 2, 7ULL * 24 * 3600 * 1000},
    {"y", 1, 365ULL * 24 * 3600 * 1000},
}};

base::Status prometheus_error(std::string_view text) {
  return base::invalid_argument("not a valid duration string: " + model::go_quote(text));
}

struct ByteUnit {
  std::string_view name;
  double factor;
};
constexpr std::array<ByteUnit, 26> kByteUnits = {{
    {"", 1},         {"b", 1},        {"kb", 1e3},     {"mb", 1e6},     {"gb", 1e9},
    {"tb", 1e12},    {"pb", 1e15},    {"eb", 1e18},    {"k", 1e3},      {"m", 1e6},
    {"g", 1e9},      {"t", 1e12},     {"p", 1e15},     {"e", 1e18},     {"kib", 1024.0},
    {"mib", 0x1p20}, {"gib", 0x1p30}, {"tib", 0x1p40}, {"pib", 0x1p50}, {"eib", 0x1p60},
    {"ki", 1024.0},  {"mi", 0x1p20},  {"gi", 0x1p30},  {"ti", 0x1p40},  {"pi", 0x1p50},
    {"ei", 0x1p60},
}};

std::string humanize_bytes(std::uint64_t bytes, double base,
                           const std::array<std::string_view, 7>& names) {
  if (bytes < 10) return std::to_string(bytes) + " B";
  const double value = static_cast<double>(bytes);
  const double exponent = std::floor(std::log(value) / std::log(base));
  const double scaled = std::floor(value / std::pow(base, exponent) * 10 + 0.5) / 10;
  std::string out = format_float(scaled, 'f', scaled < 10 ? 1 : 0);
  out += ' ';
  return out += names[static_cast<std::size_t>(exponent)];
}

}  // namespace

base::Result<std::int64_t> parse_duration(std::string_view text) {
  const std::string_view whole = text;
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return 0;
  if (text.empty()) return duration_error("invalid duration", whole);
  std::uint64_t total = 0;
  while (!text.empty()) {
    std::uint64_t value = 0, fraction = 0;
    double scale = 1;
    if (text[0] != '.' && !is_digit(text[0])) return duration_error("invalid duration", whole);
    const auto before = text.size();
    if (!leading_int(text, value)) return duration_error("invalid duration", whole);
    bool digits = text.size() != before;
    if (!text.empty() && text[0] == '.') {
      text.remove_prefix(1);
      const auto point = text.size();
      leading_fraction(text, fraction, scale);
      digits = digits || text.size() != point;
    }
    if (!digits) return duration_error("invalid duration", whole);
    std::size_t end = 0;
    while (end < text.size() && text[end] != '.' && !is_digit(text[end])) ++end;
    if (end == 0) return duration_error("missing unit in duration", whole);
    const std::string_view name = text.substr(0, end);
    text.remove_prefix(end);
    const std::uint64_t unit = unit_of(name);
    if (unit == 0)
      return duration_error("unknown unit " + time_quote(name) + " in duration", whole);
    if (value > kIntMax / unit) return duration_error("invalid duration", whole);
    value *= unit;
    if (fraction > 0) {
      value += static_cast<std::uint64_t>(static_cast<double>(fraction) *
                                          (static_cast<double>(unit) / scale));
      if (value > kIntMax) return duration_error("invalid duration", whole);
    }
    total += value;
    if (total > kIntMax) return duration_error("invalid duration", whole);
  }
  if (negative) return static_cast<std::int64_t>(~total + 1);
  if (total > kIntMax - 1) return duration_error("invalid duration", whole);
  return static_cast<std::int64_t>(total);
}

std::string format_duration(std::int64_t duration_ns) {
  if (duration_ns == 0) return "0s";
  const bool negative = duration_ns < 0;
  const std::uint64_t u = negative ? ~static_cast<std::uint64_t>(duration_ns) + 1
                                   : static_cast<std::uint64_t>(duration_ns);
  std::string out = negative ? "-" : "";
  if (u < kUs) return out + std::to_string(u) + "ns";
  if (u < kMs) return out + with_fraction(u, 3) + "\xC2\xB5s";
  if (u < kSecond) return out + with_fraction(u, 6) + "ms";
  if (u >= kHour) out += std::to_string(u / kHour) + "h";
  if (u >= kMinute) out += std::to_string(u / kMinute % 60) + "m";
  return out + with_fraction(u % kMinute, 9) + "s";
}

double duration_seconds(std::int64_t duration_ns) noexcept {
  const std::int64_t second = 1'000'000'000;
  const std::int64_t whole = duration_ns / second;
  return static_cast<double>(whole) + static_cast<double>(duration_ns % second) / 1e9;
}

base::Result<std::int64_t> parse_prometheus_duration(std::string_view text) {
  if (text == "0") return 0;
  if (text.empty()) return base::invalid_argument("empty duration string");
  const std::string_view whole = text;
  std::uint64_t total_ms = 0;
  int last = 0;
  while (!text.empty()) {
    if (!is_digit(text[0])) return prometheus_error(whole);
    std::uint64_t value = 0;
    std::size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    if (read_uint(text.substr(0, digits), 10, 64, value) != NumberError::kNone)
      return prometheus_error(whole);
    text.remove_prefix(digits);
    std::size_t end = 0;
    while (end < text.size() && !is_digit(text[end])) ++end;
    if (end == 0) return prometheus_error(whole);
    const PrometheusUnit* unit = nullptr;
    for (const auto& candidate : kPrometheusUnits)
      if (candidate.name == text.substr(0, end)) unit = &candidate;
    if (unit == nullptr) {
      return base::invalid_argument("unknown unit " + model::go_quote(text.substr(0, end)) +
                                    " in duration " + model::go_quote(whole));
    }
    text.remove_prefix(end);
    if (unit->position <= last) return prometheus_error(whole);
    last = unit->position;
    if (value > kIntMax / unit->milliseconds / kMs)
      return base::invalid_argument("duration out of range");
    total_ms += value * unit->milliseconds;
    if (total_ms > (kIntMax - 1) / kMs) return base::invalid_argument("duration out of range");
  }
  return static_cast<std::int64_t>(total_ms * kMs);
}

base::Result<std::int64_t> parse_prometheus_duration_signed(std::string_view text) {
  if (text.empty() || text[0] != '-') return parse_prometheus_duration(text);
  SKALD_TRY_ASSIGN(const std::int64_t value, parse_prometheus_duration(text.substr(1)));
  return -value;
}

std::string format_prometheus_duration(std::int64_t duration_ns) {
  std::int64_t ms = duration_ns / static_cast<std::int64_t>(kMs);
  if (ms == 0) return "0s";
  std::string out;
  if (ms < 0) {
    out = "-";
    ms = -ms;
  }
  const auto put = [&](std::string_view unit, std::int64_t size, bool exact) {
    if (exact && ms % size != 0) return;
    if (const std::int64_t count = ms / size; count > 0) {
      out += std::to_string(count);
      out += unit;
      ms -= count * size;
    }
  };
  put("y", 365LL * 24 * 3600 * 1000, true);
  put("w", 7LL * 24 * 3600 * 1000, true);
  put("d", 24LL * 3600 * 1000, false);
  put("h", 3600LL * 1000, false);
  put("m", 60LL * 1000, false);
  put("s", 1000, false);
  put("ms", 1, false);
  return out;
}

base::Result<std::int64_t> parse_logql_duration(std::string_view text) {
  if (auto prometheus = parse_prometheus_duration(text); prometheus.ok()) return prometheus;
  return parse_duration(text);
}

base::Result<std::uint64_t> parse_bytes(std::string_view text) {
  // Digits of all scripts are counted, as characters, but then that many bytes are read.
  std::size_t end = 0;
  for (std::string_view rest = text; !rest.empty(); ++end) {
    const base::Rune rune = base::decode_rune(rest);
    if (!is_digit_rune(rune.value) && rune.value != '.' && rune.value != ',') break;
    rest.remove_prefix(rune.width);
  }
  std::string number(text.substr(0, end));
  std::erase(number, ',');
  SKALD_TRY_ASSIGN(double value, parse_float(number));
  const std::string unit = to_lower(trim_space(text.substr(end)));
  for (const auto& candidate : kByteUnits) {
    if (candidate.name != unit) continue;
    value *= candidate.factor;
    if (value >= 0x1p64) return base::invalid_argument("too large: " + std::string(text));
    return static_cast<std::uint64_t>(value);
  }
  return base::invalid_argument("unhandled size name: " + unit);
}

std::string format_bytes(std::uint64_t bytes) {
  return humanize_bytes(bytes, 1000, {"B", "kB", "MB", "GB", "TB", "PB", "EB"});
}

std::string format_ibytes(std::uint64_t bytes) {
  return humanize_bytes(bytes, 1024, {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"});
}

}  // namespace skald::gotext
