#pragma once
// Prometheus' text format (version 0.0.4), which every program of ours answers on /metrics.
//
//   MetricsText out;
//   out.family("x_total", "counter", "What x counts.");
//   out.sample({{"user", tenant}}, count);
//   out.sample({}, seconds, "_sum");              // x_total_sum
//
// Label values may hold any bytes: they are escaped here. Names, types and helps are literals.

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skald::base {

// The content type of such a text.
constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

class MetricsText {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  // Begins a family; the samples that follow belong to it.
  void family(std::string_view name, std::string_view type, std::string_view help);
  void sample(const Labels& labels, double value, std::string_view suffix = {});
  // Counts are written in full, however large.
  template <std::unsigned_integral T>
  void sample(const Labels& labels, T value, std::string_view suffix = {}) {
    count_sample(labels, value, suffix);
  }
  // A family of one sample without labels.
  template <typename T>
  void one(std::string_view name, std::string_view type, std::string_view help, T value) {
    family(name, type, help);
    sample({}, value);
  }

  std::string& text() noexcept { return out_; }

 private:
  void count_sample(const Labels& labels, std::uint64_t value, std::string_view suffix);
  void begin_sample(const Labels& labels, std::string_view suffix);

  std::string out_;
  std::string name_;
};

// A value as the format writes it: 3, 0.25, 1e+21, +Inf, NaN.
std::string metric_number(double value);

}  // namespace skald::base
