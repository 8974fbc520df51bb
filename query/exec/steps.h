#pragma once
// The evaluation points of a metric query and the values at them.

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

// A series with a value at some of the points.
struct StepSeries {
  model::Labels labels;
  std::vector<double> values;          // steps.count
  std::vector<std::uint64_t> present;  // one bit per point

  StepSeries() = default;
  StepSeries(model::Labels series_labels, std::uint32_t count)
      : labels(std::move(series_labels)), values(count), present((count + 63) / 64) {}
  bool has(std::uint32_t k) const { return ((present[k / 64] >> (k % 64)) & 1) != 0; }
  void set(std::uint32_t k, double value) {
    values[k] = value;
    present[k / 64] |= std::uint64_t{1} << (k % 64);
  }
  void clear(std::uint32_t k) { present[k / 64] &= ~(std::uint64_t{1} << (k % 64)); }
  bool empty() const {
    for (const std::uint64_t word : present)
      if (word != 0) return false;
    return true;
  }
  std::size_t points() const {
    std::size_t out = 0;
    for (const std::uint64_t word : present)
      out += static_cast<std::size_t>(__builtin_popcountll(word));
    return out;
  }
  // Memory that it takes, with its place in a growing matrix.
  std::uint64_t bytes() const {
    return 2 * sizeof(StepSeries) + values.size() * sizeof(double) +
           present.size() * sizeof(std::uint64_t) + held_bytes(labels);
  }
};

// In result order; series may be empty.
using StepMatrix = std::vector<StepSeries>;

}  // namespace skald::query
