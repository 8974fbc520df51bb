#pragma once
// Exact quantiles of windows that slide over slots of values. Each slot is sorted once. A window is
// a list of sorted slots, and its rank is looked for from where the last window's was: so a window
// costs its slots, not its values.

#include <cstddef>
#include <span>
#include <vector>

#include "query/exec/value_bag.h"
#include "store/scan.h"

namespace skald::query {

class SlidingQuantile {
 public:
  // `memory` outlives it.
  SlidingQuantile(double q, store::ScanMemory& memory) : q_(q), memory_(memory) {}

  // The next slot, whose bag is kept sorted from now on and outlives the window.
  void enter(ValueBag& bag);
  void leave();  // the oldest
  // Of the values inside, as quantile() has it.
  double value();

 private:
  // Values of one slot, those that are no number left out.
  struct Run {
    std::span<const double> values;
    std::size_t nans = 0;
    std::size_t at = 0;            // how many are below pivot_
    std::size_t from = 0, to = 0;  // of a search: the rank lies in here
  };
  struct Search;
  std::span<Run> window() { return std::span<Run>(runs_).subspan(oldest_); }

  const double q_;
  store::ScanMemory& memory_;
  std::vector<Run> runs_;  // before oldest_: left
  std::size_t oldest_ = 0;
  double pivot_ = 0;  // the last answer
  std::vector<double> scratch_;
};

}  // namespace skald::query
