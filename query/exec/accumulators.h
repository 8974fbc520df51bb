#pragma once
// What a range aggregation keeps of a window's samples: add() one, merge() another window's, then
// ask for the value. Workers take blocks as they come, so samples arrive in any order; values are
// the same for all of them, to the last bit where doubles of twice the length decide it. Those of
// one block come in its order, and then the value is Loki's own, rounded where Loki rounds.

#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "query/exec/value_bag.h"

namespace skald::query {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A sum as it is rounded on its way, and apart from it what rounding took (Neumaier 1974; Ogita,
// Rump and Oishi 2005).
struct LongSum {
  double rounded = 0, rest = 0;

  void add(double v) {
    const double next = rounded + v;
    const double grown = next - rounded;
    rest += (rounded - (next - grown)) + (v - grown);
    rounded = next;
  }
  // a * b, whose own rounding counts (Dekker 1971).
  void add_product(double a, double b) {
    constexpr double kSplit = 0x1p27 + 1;
    const double product = a * b;
    const double far_a = a * kSplit, far_b = b * kSplit;
    const double high_a = far_a - (far_a - a), high_b = far_b - (far_b - b);
    const double low_a = a - high_a, low_b = b - high_b;
    add(product);
    rest += ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b;
  }
  void merge(const LongSum& other) {
    add(other.rounded);
    rest += other.rest;
  }
  double value() const {  // of infinities, NaN and beyond the largest number there is no rest
    return std::isfinite(rounded) && std::isfinite(rest) ? rounded + rest : rounded;
  }
};

struct CountAcc {
  std::uint64_t count = 0;
  void add(std::int64_t, double) { ++count; }
  void add_many(std::uint64_t n, double) { count += n; }
  void merge(const CountAcc& other) { count += other.count; }
};

// Of bytes, whose sums doubles hold exactly.
struct BytesAcc {
  double sum = 0;
  void add(std::int64_t, double v) { sum += v; }
  void add_many(std::uint64_t, double s) { sum += s; }
  void merge(const BytesAcc& other) { sum += other.sum; }
};

struct SumAcc {
  LongSum sum;
  void add(std::int64_t, double v) { sum.add(v); }
  void merge(const SumAcc& other) { sum.merge(other.sum); }
  double value(bool one_block) const { return one_block ? sum.rounded : sum.value(); }
};

class MeanAcc {
 public:
  void add(std::int64_t, double v) {
    count_ += 1;
    sum_.add(v * kScale);
    if (std::isinf(mean_) && ((std::isinf(v) && (mean_ > 0) == (v > 0)) || std::isfinite(v)))
      return;
    mean_ += v / count_ - mean_ / count_;
  }
  void merge(const MeanAcc& other) {
    if (other.count_ == 0) return;
    if (count_ == 0) {
      *this = other;
      return;
    }
    const double total = count_ + other.count_;
    const bool keep = std::isinf(mean_) && (std::isfinite(other.mean_) ||
                                            (std::isinf(other.mean_) && mean_ == other.mean_));
    if (!keep)
      mean_ = std::isinf(other.mean_) ? mean_ + other.mean_
                                      : mean_ + (other.mean_ - mean_) * (other.count_ / total);
    count_ = total;
    sum_.merge(other.sum_);
  }
  double value(bool one_block) const { return one_block ? mean_ : sum_.value() / count_ / kScale; }

 private:
  static constexpr double kScale = 0x1p-64;  // so that the sum of large numbers is one

  double mean_ = 0, count_ = 0;
  LongSum sum_;
};

struct MaxAcc {
  double value = kNan;
  void add(std::int64_t, double v) {
    if (v > value || std::isnan(value)) value = v;
  }
  void merge(const MaxAcc& other) { add(0, other.value); }
};
struct MinAcc {
  double value = kNan;
  void add(std::int64_t, double v) {
    if (v < value || std::isnan(value)) value = v;
  }
  void merge(const MinAcc& other) { add(0, other.value); }
};

// Welford's recurrence, merged after Chan, Golub and LeVeque, where the order is known; else the
// sums of the values and of their squares.
class VarianceAcc {
 public:
  void add(std::int64_t, double v) {
    count_ += 1;
    const double delta = v - mean_;
    mean_ += delta / count_;
    deviations_ += delta * (v - mean_);
    sum_.add(v);
    squares_.add_product(v, v);
  }
  void merge(const VarianceAcc& other) {
    if (other.count_ == 0) return;
    if (count_ == 0) {
      *this = other;
      return;
    }
    const double total = count_ + other.count_;
    const double delta = other.mean_ - mean_;
    deviations_ += other.deviations_ + delta * delta * (count_ * other.count_ / total);
    mean_ += delta * (other.count_ / total);
    count_ = total;
    sum_.merge(other.sum_);
    squares_.merge(other.squares_);
  }
  double value(bool one_block) const {
    if (one_block || !std::isfinite(squares_.rounded) || !std::isfinite(squares_.rest))
      return deviations_ / count_;
    // Of the distances from any point near the mean: squares - 2 * point * sum + count * point^2.
    const double point = sum_.value() / count_;
    LongSum out = squares_;
    out.add_product(-2 * point, sum_.rounded);
    out.add_product(-2 * point, sum_.rest);
    LongSum square;
    square.add_product(point, point);
    out.add_product(count_, square.rounded);
    out.add_product(count_, square.rest);
    const double distances = out.value();
    // Less than that is what doubles of twice the length leave of equal values.
    return distances > squares_.rounded * 0x1p-98 ? distances / count_ : 0;
  }

 private:
  double count_ = 0, mean_ = 0, deviations_ = 0;
  LongSum sum_, squares_;
};

// Where a sample was found: of equal times the order of blocks decides, in one block that of rows.
struct Found {
  std::int64_t time;
  std::uint64_t sequence;  // of the block, and its first time
  std::int64_t block_time;
  auto operator<=>(const Found&) const = default;
};
struct FirstAcc {
  Found found{std::numeric_limits<std::int64_t>::max(), 0, 0};
  double value = kNan;
  void add(const Found& at, double v) {
    if (at < found) found = at, value = v;
  }
  void merge(const FirstAcc& other) { add(other.found, other.value); }
};
struct LastAcc {
  Found found{std::numeric_limits<std::int64_t>::min(), 0, 0};
  double value = kNan;
  void add(const Found& at, double v) {
    if (at >= found) found = at, value = v;
  }
  void merge(const LastAcc& other) { add(other.found, other.value); }
};

// Exact quantiles need every value, but no times.
struct ValuesAcc {
  ValueBag values;
  std::size_t add(std::int64_t, double v) { return values.add(v); }  // the bytes that it took
  void merge(ValuesAcc&& other) { values.merge(std::move(other.values)); }
};

struct PointsAcc {
  struct Point {
    std::int64_t time;
    double value;
  };
  std::vector<Point> points;
  std::size_t add(std::int64_t t, double v) {  // the bytes that it took
    const std::size_t before = points.capacity();
    points.push_back({t, v});
    return (points.capacity() - before) * sizeof(Point);
  }
  void merge(const PointsAcc& other) {
    points.insert(points.end(), other.points.begin(), other.points.end());
  }
};

}  // namespace skald::query
