#include "proto/base/metrics_text.h"

#include <charconv>
#include <cmath>

namespace skald::base {
namespace {

constexpr double kExactMax = 9007199254740992.0;  // 2^53: whole numbers below are exact

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
}

}  // namespace

std::string metric_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value == std::trunc(value) && std::abs(value) < kExactMax)
    return std::to_string(static_cast<std::int64_t>(value));
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return std::string(text, end);
}

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  out_.append("# HELP ").append(name).append(" ").append(help);
  out_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void MetricsText::begin_sample(const Labels& labels, std::string_view suffix) {
  out_.append(name_).append(suffix);
  char before = '{';
  for (const auto& [name, value] : labels) {
    out_ += before;
    before = ',';
    out_.append(name).append("=\"");
    append_escaped(out_, value);
    out_ += '"';
  }
  out_ += labels.empty() ? " " : "} ";
}

void MetricsText::sample(const Labels& labels, double value, std::string_view suffix) {
  begin_sample(labels, suffix);
  out_.append(metric_number(value)) += '\n';
}

void MetricsText::count_sample(const Labels& labels, std::uint64_t value, std::string_view suffix) {
  begin_sample(labels, suffix);
  out_.append(std::to_string(value)) += '\n';
}

}  // namespace skald::base
