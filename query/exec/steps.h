#pragma once
// The evaluation points of a metric query and the values at them.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "proto/model/labels.h"
#include "query/exec/held_bytes.h"

namespace skald::query {

// start, start + step, ... up to end; an instant query has one point.
struct Steps {
  std::int64_t start_ns = 0;
  std::int64_t step_ns = 1;
  std::uint32_t count = 1;
  std::int64_t at(std::uint32_t k) const {
    return start_ns + step_ns * static_cast<std::int64_t>(k);
  }
};

// Values at some points, which take no more than those: a hundred thousand series that each show up
// for a minute of a day are usual.
class StepValues {
 public:
  bool has(std::uint32_t k) const { return find(k) != kNone; }
  // Of points that it has.
  double operator[](std::uint32_t k) const { return values_[find(k)]; }
  double& operator[](std::uint32_t k) { return values_[find(k)]; }
  // The last point, or one after all that it has.
  void set(std::uint32_t k, double value) {
    if (!steps_.empty() && steps_.back() == k) {
      values_.back() = value;
      return;
    }
    steps_.push_back(k);
    values_.push_back(value);
    ++count_;
  }
  void clear(std::uint32_t k) {
    const std::size_t at = find(k);
    if (at == kNone) return;
    steps_[at] |= kCleared;
    --count_;
  }
  template <typename F>
  void for_each(F&& visit) const {  // visit(k, value), ascending
    for (std::size_t i = 0; i < steps_.size(); ++i)
      if ((steps_[i] & kCleared) == 0) visit(steps_[i], values_[i]);
  }
  std::size_t count() const noexcept { return count_; }
  // One past the last point.
  std::uint32_t size() const { return steps_.empty() ? 0 : (steps_.back() & ~kCleared) + 1; }
  // No more are set.
  void fit() {
    steps_.shrink_to_fit();
    values_.shrink_to_fit();
  }
  std::uint64_t bytes() const noexcept {
    return steps_.capacity() * sizeof(std::uint32_t) + values_.capacity() * sizeof(double);
  }

 private:
  static constexpr std::uint32_t kCleared = std::uint32_t{1} << 31;
  static constexpr std::size_t kNone = SIZE_MAX;

  std::size_t find(std::uint32_t k) const {
    const auto point = [&](std::size_t i) { return steps_[i] & ~kCleared; };
    if (steps_.empty() || k < point(0)) return kNone;
    // There are no more points between than there are steps; mostly there are as many.
    std::size_t at = std::min<std::size_t>(k - point(0), steps_.size() - 1);
    if (point(at) > k)
      at = static_cast<std::size_t>(
          std::lower_bound(steps_.begin(), steps_.begin() + static_cast<std::ptrdiff_t>(at), k,
                           [](std::uint32_t a, std::uint32_t b) { return (a & ~kCleared) < b; }) -
          steps_.begin());
    return steps_[at] == k ? at : kNone;
  }

  std::vector<std::uint32_t> steps_;  // ascending but for the mark
  std::vector<double> values_;
  std::size_t count_ = 0;
};

// A series with a value at some of the points.
struct StepSeries {
  model::Labels labels;
  StepValues values;

  StepSeries() = default;
  explicit StepSeries(model::Labels series_labels) : labels(std::move(series_labels)) {}
  bool has(std::uint32_t k) const { return values.has(k); }
  void set(std::uint32_t k, double value) { values.set(k, value); }
  void clear(std::uint32_t k) { values.clear(k); }
  bool empty() const { return values.count() == 0; }
  std::size_t points() const { return values.count(); }
  // Memory that it takes, with its place in a matrix that grows and is sorted.
  std::uint64_t bytes() const {
    return 3 * sizeof(StepSeries) + values.bytes() + held_bytes(labels);
  }
};

// In result order; series may be empty.
using StepMatrix = std::vector<StepSeries>;

}  // namespace skald::query
