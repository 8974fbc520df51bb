#pragma once
// Every value of a window, which exact quantiles need. Values stay where they were written: a bag
// grows by new runs, and a window over several bags is a list of their runs, so that nothing is
// copied between the scan and the answer.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "store/scan.h"

namespace skald::query {

class ValueBag {
 public:
  // The bytes that were allocated for it.
  std::size_t add(double value);
  // Room for `count` values, which the caller writes at once; count > 0. It allocates
  // run_bytes(count).
  std::span<double> extend(std::size_t count);
  static constexpr std::size_t run_bytes(std::size_t count) {
    return count * sizeof(double) + kRunBytes;
  }
  void merge(ValueBag&& other);
  void append_runs(std::vector<std::span<const double>>& out) const;
  // Makes it one run in the order in which quantiles count, NaN first. Empty if `memory`, which a
  // second copy of the values is for a moment, refuses.
  std::span<const double> sort(store::ScanMemory& memory);

 private:
  struct Run {
    std::unique_ptr<double[]> values;
    std::size_t size = 0, capacity = 0;
  };
  // The run in its growing list, and what the allocator adds to both.
  static constexpr std::size_t kRunBytes = 2 * sizeof(Run) + 32;
  std::vector<Run> runs_;
};

// Where the q-quantile of sorted values lies.
struct QuantilePlace {
  std::size_t low = 0, high = 0;  // neighbouring ranks, or one twice
  double weight = 0;              // of the higher one
  std::optional<double> known;    // whatever the values are

  static QuantilePlace of(double q, std::size_t total);
  double between(double low_value, double high_value) const {
    return low_value * (1 - weight) + high_value * weight;
  }
};

// The q-quantile by linear interpolation, as Prometheus has it: NaN sorts first; NaN of no values,
// -Inf for q < 0, +Inf for q > 1. Usually some hundredths of the values are copied, at worst all:
// into `memory`; NaN, too, if that refuses.
double quantile(double q, std::span<const std::span<const double>> runs, store::ScanMemory& memory);

}  // namespace skald::query
