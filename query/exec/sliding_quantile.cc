#include "query/exec/sliding_quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace skald::query {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// So few values are sorted out one by one; more are divided once more.
constexpr std::size_t kGatherMin = 64;
// Every division takes away at least its pivot. When slots are unlike each other that may be all.
constexpr int kDivisionsMax = 48;

std::size_t count_below(std::span<const double> values, double bound) {
  return static_cast<std::size_t>(std::lower_bound(values.begin(), values.end(), bound) -
                                  values.begin());
}
std::size_t count_to(std::span<const double> values, double bound) {
  return static_cast<std::size_t>(std::upper_bound(values.begin(), values.end(), bound) -
                                  values.begin());
}

}  // namespace

void SlidingQuantile::enter(ValueBag& bag) {
  std::span<const double> values = bag.sort(memory_);
  Run run;
  run.nans = static_cast<std::size_t>(
      std::find_if(values.begin(), values.end(), [](double v) { return !std::isnan(v); }) -
      values.begin());
  run.values = values.subspan(run.nans);
  run.at = count_below(run.values, pivot_);
  if (oldest_ > runs_.size() / 2) {
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(oldest_));
    oldest_ = 0;
  }
  runs_.push_back(run);
}

void SlidingQuantile::leave() { ++oldest_; }

// Looks for the value at `target` of the ranks in [from, to) of all runs: `inside` values.
struct SlidingQuantile::Search {
  std::span<Run> runs;
  std::size_t target = 0, inside = 0;

  static std::span<const double> part(const Run& run) {
    return run.values.subspan(run.from, run.to - run.from);
  }

  // Starts at `pivot`, of which every run knows its place.
  static Search begin(std::span<Run> runs, std::size_t target) {
    Search out{runs};
    std::size_t below = 0, total = 0;
    for (const Run& run : runs) below += run.at, total += run.values.size();
    const bool above = target >= below;
    for (Run& run : runs) {
      run.from = above ? run.at : 0;
      run.to = above ? run.values.size() : run.at;
    }
    out.target = above ? target - below : target;
    out.inside = above ? total - below : below;
    return out;
  }

  // A value of the longest run, which stands for all: a little to the far side of the target's
  // place, so that the next one leaves little between them.
  double guess() const {
    const Run& run = *std::max_element(runs.begin(), runs.end(), [](const Run& a, const Run& b) {
      return a.to - a.from < b.to - b.from;
    });
    const auto width = static_cast<double>(run.to - run.from);
    const double share = (static_cast<double>(target) + 0.5) / static_cast<double>(inside);
    const double place = width * share;
    const double slack = 1 + std::sqrt(width * share * (1 - share));
    const double biased = share < 0.5 ? place + slack : place - slack;
    const auto index = static_cast<std::size_t>(std::clamp(biased, 0.0, width - 1));
    return run.values[run.from + index];
  }

  // True: `pivot` is the value.
  bool divide(double pivot) {
    std::size_t below = 0;
    for (Run& run : runs) below += run.at = count_below(part(run), pivot);
    if (target < below) {
      for (Run& run : runs) run.to = run.from + run.at;
      inside = below;
      return false;
    }
    std::size_t up_to = 0;
    for (Run& run : runs) up_to += run.at = count_to(part(run), pivot);
    if (target < up_to) return true;
    for (Run& run : runs) run.from += run.at;
    target -= up_to;
    inside -= up_to;
    return false;
  }

  double find(std::vector<double>& scratch) {
    const std::size_t few = std::max(kGatherMin, 2 * runs.size());
    for (int i = 0; inside > few && i < kDivisionsMax; ++i) {
      const double pivot = guess();
      if (divide(pivot)) return pivot;
    }
    scratch.clear();
    for (const Run& run : runs) scratch.insert(scratch.end(), part(run).begin(), part(run).end());
    const auto middle = scratch.begin() + static_cast<std::ptrdiff_t>(target);
    std::nth_element(scratch.begin(), middle, scratch.end());
    return *middle;
  }
};

double SlidingQuantile::value() {
  const std::span<Run> runs = window();
  std::size_t nans = 0, total = 0;
  for (const Run& run : runs) nans += run.nans, total += run.nans + run.values.size();
  const QuantilePlace place = QuantilePlace::of(q_, total);
  if (place.known) return *place.known;
  if (place.low < nans) return kNan;
  const std::size_t rank = place.low - nans;
  pivot_ = Search::begin(runs, rank).find(scratch_);
  std::size_t up_to = 0;
  double next = std::numeric_limits<double>::infinity();
  for (Run& run : runs) {
    run.at = count_below(run.values, pivot_);
    const std::size_t end = count_to(run.values, pivot_);
    up_to += end;
    if (end < run.values.size()) next = std::min(next, run.values[end]);
  }
  const bool same = place.high == place.low || rank + 1 < up_to;
  return place.between(pivot_, same ? pivot_ : next);
}

}  // namespace skald::query
