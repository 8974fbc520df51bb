#include "query/exec/value_bag.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace skald::query {
namespace {

using Runs = std::span<const std::span<const double>>;

constexpr std::size_t kFirstRun = 4, kRunMax = 4096;
// From this many values on a sample is taken to find the neighbourhood of the quantile.
constexpr std::size_t kSampledMin = 1U << 16;
constexpr std::size_t kSample = 4096;

bool less(double a, double b) {
  if (std::isnan(a)) return !std::isnan(b);
  return a < b;
}

// The values at two neighbouring ranks, or one rank twice.
struct Ranks {
  std::size_t low = 0, high = 0;
};
struct Pair {
  double low = 0, high = 0;
};

Pair select(std::vector<double>& values, Ranks ranks) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(ranks.low);
  std::nth_element(values.begin(), middle, values.end(), less);
  if (ranks.high == ranks.low) return {*middle, *middle};
  return {*middle, *std::min_element(middle + 1, values.end(), less)};
}

// Memory for as long as it lives.
class Loan {
 public:
  Loan(store::ScanMemory& memory, std::uint64_t bytes)
      : memory_(memory), bytes_(memory.take(bytes) ? bytes : 0), ok_(bytes_ == bytes) {}
  ~Loan() { memory_.give_back(bytes_); }
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  bool ok() const noexcept { return ok_; }

 private:
  store::ScanMemory& memory_;
  const std::uint64_t bytes_;
  const bool ok_;
};

struct Bracket {
  double low = 0, high = 0;
};

// Bounds that hold the ranks but for bad luck: the neighbours of their place in a sorted sample
// (after Floyd and Rivest's selection), three standard deviations to either side.
std::optional<Bracket> guess(Runs runs, std::size_t total, double q) {
  const std::size_t stride = total / kSample;
  std::vector<double> sample;
  sample.reserve(kSample + 1);
  std::size_t next = stride / 2;
  for (const std::span<const double> run : runs) {
    for (; next < run.size(); next += stride) sample.push_back(run[next]);
    next -= run.size();
  }
  std::sort(sample.begin(), sample.end(), less);
  const auto size = static_cast<double>(sample.size());
  const double place = q * (size - 1);
  const double slack = 3 * std::sqrt(size * q * (1 - q)) + 2;
  const double infinity = std::numeric_limits<double>::infinity();
  Bracket out{-infinity, infinity};
  if (place - slack >= 0) out.low = sample[static_cast<std::size_t>(place - slack)];
  if (place + slack < size - 1) out.high = sample[static_cast<std::size_t>(place + slack) + 1];
  if (std::isnan(out.low) || std::isnan(out.high)) return std::nullopt;
  return out;
}

// Of so many values a bracket should hold one; with many equal ones it may hold all.
constexpr std::size_t kInsideShare = 8;

// The values inside the bracket, and how many sort before them. Nothing if they are too many.
std::optional<std::size_t> gather(Runs runs, Bracket bracket, std::size_t inside_max,
                                  std::vector<double>& inside) {
  constexpr std::size_t kBatch = 1024;
  std::size_t above_low = 0, total = 0, kept = 0;
  for (std::span<const double> run : runs) {
    total += run.size();
    while (!run.empty()) {
      const auto batch = run.first(std::min(kBatch, run.size()));
      run = run.subspan(batch.size());
      // Each is written and kept or not: no branch to guess wrong.
      if (inside.size() < kept + kBatch) {
        if (kept > inside_max) return std::nullopt;
        inside.resize(std::max(kept + kBatch, inside.size() * 2));
      }
      double* const out = inside.data();
      for (const double value : batch) {
        out[kept] = value;
        const bool in = value >= bracket.low;
        above_low += in ? 1 : 0;
        kept += (in & (value <= bracket.high)) ? 1 : 0;
      }
    }
  }
  inside.resize(kept);
  return total - above_low;
}

Pair select(Runs runs, std::size_t total, Ranks ranks, double q, store::ScanMemory& memory) {
  std::vector<double> values;
  if (total >= kSampledMin) {
    const auto bracket = guess(runs, total, q);
    const auto before =
        bracket ? gather(runs, *bracket, total / kInsideShare, values) : std::nullopt;
    if (before && *before <= ranks.low && ranks.high < *before + values.size())
      return select(values, {ranks.low - *before, ranks.high - *before});
  }
  const Loan loan(memory, total * sizeof(double));
  if (!loan.ok()) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {nan, nan};
  }
  values = std::vector<double>();
  values.reserve(total);
  for (const std::span<const double> run : runs)
    values.insert(values.end(), run.begin(), run.end());
  return select(values, ranks);
}

}  // namespace

std::size_t ValueBag::add(double value) {
  std::size_t allocated = 0;
  if (runs_.empty() || runs_.back().size == runs_.back().capacity) {
    const std::size_t before = runs_.empty() ? 0 : runs_.back().capacity;
    const std::size_t capacity = std::clamp(before * 2, kFirstRun, kRunMax);
    runs_.push_back({std::make_unique_for_overwrite<double[]>(capacity), 0, capacity});
    allocated = run_bytes(capacity);
  }
  Run& run = runs_.back();
  run.values[run.size++] = value;
  return allocated;
}

std::span<double> ValueBag::extend(std::size_t count) {
  runs_.push_back({std::make_unique_for_overwrite<double[]>(count), count, count});
  return {runs_.back().values.get(), count};
}

void ValueBag::merge(ValueBag&& other) {
  if (runs_.empty()) {
    runs_ = std::move(other.runs_);
    return;
  }
  runs_.insert(runs_.end(), std::make_move_iterator(other.runs_.begin()),
               std::make_move_iterator(other.runs_.end()));
  other.runs_.clear();
}

void ValueBag::append_runs(std::vector<std::span<const double>>& out) const {
  for (const Run& run : runs_) out.emplace_back(run.values.get(), run.size);
}

std::span<const double> ValueBag::sort(store::ScanMemory& memory) {
  if (runs_.empty()) return {};
  if (runs_.size() > 1) {
    std::size_t total = 0;
    for (const Run& run : runs_) total += run.size;
    const Loan loan(memory, total * sizeof(double));
    if (!loan.ok()) return {};
    Run all{std::make_unique_for_overwrite<double[]>(total), 0, total};
    for (const Run& run : runs_) {
      std::copy_n(run.values.get(), run.size, all.values.get() + all.size);
      all.size += run.size;
    }
    runs_.clear();
    runs_.push_back(std::move(all));
  }
  double* const begin = runs_.front().values.get();
  double* const end = begin + runs_.front().size;
  double* const numbers = std::partition(begin, end, [](double v) { return std::isnan(v); });
  std::sort(numbers, end);
  return {begin, runs_.front().size};
}

QuantilePlace QuantilePlace::of(double q, std::size_t total) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  QuantilePlace out;
  if (total == 0 || std::isnan(q)) {
    out.known = std::numeric_limits<double>::quiet_NaN();
  } else if (q < 0 || q > 1) {
    out.known = q < 0 ? -kInfinity : kInfinity;
  } else {
    const double rank = q * static_cast<double>(total - 1);
    const double low = std::floor(rank);
    out.low = static_cast<std::size_t>(low);
    out.high = std::min(out.low + 1, total - 1);
    out.weight = rank - low;
  }
  return out;
}

double quantile(double q, std::span<const std::span<const double>> runs,
                store::ScanMemory& memory) {
  std::size_t total = 0;
  for (const std::span<const double> run : runs) total += run.size();
  const QuantilePlace place = QuantilePlace::of(q, total);
  if (place.known) return *place.known;
  const Pair at = select(runs, total, {place.low, place.high}, q, memory);
  return place.between(at.low, at.high);
}

}  // namespace skald::query
