#pragma once
// Where Go's sort.Sort leaves elements that compare equal: Loki's answers show it. It is the
// pattern-defeating quicksort of Orson Peters (arXiv 2106.05123) with insertion sort up to twelve
// elements; which elements are compared and swapped, and when, is Go's (1.19 and later), whatever
// `less` says: it need not be an order.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace skald::query {

// `less(a, b)` of two elements.
template <typename T, typename Less>
class GoSort {
 public:
  GoSort(std::span<T> items, const Less& less) : items_(items), less_(less) {}

  void run() {
    if (items_.size() > 1) quick(0, items_.size(), static_cast<int>(std::bit_width(items_.size())));
  }

 private:
  using Index = std::size_t;
  static constexpr Index kInsertionMax = 12;

  bool before(Index a, Index b) const { return less_(items_[a], items_[b]); }
  void swap(Index a, Index b) { std::swap(items_[a], items_[b]); }

  void insertion(Index begin, Index end) {
    for (Index i = begin + 1; i < end; ++i)
      for (Index j = i; j > begin && before(j, j - 1); --j) swap(j, j - 1);
  }

  void sift(Index root, Index size, Index base) {
    for (;;) {
      Index child = 2 * root + 1;
      if (child >= size) return;
      if (child + 1 < size && before(base + child, base + child + 1)) ++child;
      if (!before(base + root, base + child)) return;
      swap(base + root, base + child);
      root = child;
    }
  }
  void heap(Index begin, Index end) {
    const Index size = end - begin;
    for (Index i = (size - 1) / 2 + 1; i-- > 0;) sift(i, size, begin);
    for (Index i = size; i-- > 0;) {
      swap(begin, begin + i);
      sift(0, i, begin);
    }
  }

  void quick(Index begin, Index end, int bad_allowed) {
    bool balanced = true, in_order = true;  // the last partition
    while (end - begin > kInsertionMax) {
      if (bad_allowed == 0) return heap(begin, end);
      if (!balanced) {
        scatter(begin, end);
        --bad_allowed;
      }
      auto [pivot, hint] = choose(begin, end);
      if (hint == Hint::kFalling) {
        std::reverse(items_.begin() + static_cast<std::ptrdiff_t>(begin),
                     items_.begin() + static_cast<std::ptrdiff_t>(end));
        pivot = begin + end - 1 - pivot;
        hint = Hint::kRising;
      }
      if (balanced && in_order && hint == Hint::kRising && nearly_sorted(begin, end)) return;
      if (begin > 0 && !before(begin - 1, pivot)) {  // all that equal the pivot come first
        begin = partition_equal(begin, end, pivot);
        continue;
      }
      const auto [middle, was_parted] = partition(begin, end, pivot);
      in_order = was_parted;
      const Index left = middle - begin, right = end - middle;
      balanced = std::min(left, right) >= (end - begin) / 8;
      if (left < right) {
        quick(begin, middle, bad_allowed);
        begin = middle + 1;
      } else {
        quick(middle + 1, end, bad_allowed);
        end = middle;
      }
    }
    insertion(begin, end);
  }

  // Where the pivot ends up, and whether nothing else had to move.
  std::pair<Index, bool> partition(Index begin, Index end, Index pivot) {
    swap(begin, pivot);
    Index low = begin + 1, high = end - 1;  // what is left to part, both ends included
    for (bool first = true;; first = false) {
      while (low <= high && before(low, begin)) ++low;
      while (low <= high && !before(high, begin)) --high;
      if (low > high) {
        swap(high, begin);
        return {high, first};
      }
      swap(low++, high--);
    }
  }
  // The first that is greater than the pivot, which nothing is smaller than.
  Index partition_equal(Index begin, Index end, Index pivot) {
    swap(begin, pivot);
    for (Index low = begin + 1, high = end - 1;;) {
      while (low <= high && !before(begin, low)) ++low;
      while (low <= high && before(begin, high)) --high;
      if (low > high) return low;
      swap(low++, high--);
    }
  }

  // Mends up to five neighbours that are out of order; whether that sorted all.
  bool nearly_sorted(Index begin, Index end) {
    constexpr int kMendsMax = 5;
    constexpr Index kShiftMin = 50;
    Index i = begin + 1;
    for (int step = 0; step < kMendsMax; ++step) {
      while (i < end && !before(i, i - 1)) ++i;
      if (i == end) return true;
      if (end - begin < kShiftMin) return false;
      swap(i, i - 1);
      if (i - begin >= 2)  // Go looks left as far as the first element of all
        for (Index j = i - 1; j >= 1 && before(j, j - 1); --j) swap(j, j - 1);
      if (end - i >= 2)
        for (Index j = i + 1; j < end && before(j, j - 1); ++j) swap(j, j - 1);
    }
    return false;
  }

  void scatter(Index begin, Index end) {
    const Index size = end - begin;
    if (size < 8) return;
    std::uint64_t random = size;  // xorshift
    const Index mask = (Index{1} << std::bit_width(size)) - 1;
    const Index middle = begin + size / 4 * 2;
    for (Index i = middle - 1; i <= middle + 1; ++i) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      Index other = random & mask;
      if (other >= size) other -= size;
      swap(i, begin + other);
    }
  }

  enum class Hint { kUnknown, kRising, kFalling };
  std::pair<Index, Hint> choose(Index begin, Index end) {
    constexpr Index kMediansMin = 50;
    constexpr int kSwapsMax = 12;
    const Index size = end - begin, quarter = size / 4;
    Index i = begin + quarter, j = begin + 2 * quarter, k = begin + 3 * quarter;
    int swaps = 0;
    if (size >= kMediansMin) {
      i = median(i - 1, i, i + 1, swaps);
      j = median(j - 1, j, j + 1, swaps);
      k = median(k - 1, k, k + 1, swaps);
    }
    j = median(i, j, k, swaps);
    return {j, swaps == 0 ? Hint::kRising : swaps == kSwapsMax ? Hint::kFalling : Hint::kUnknown};
  }
  Index median(Index a, Index b, Index c, int& swaps) const {
    const auto order = [&](Index& x, Index& y) {
      if (!before(y, x)) return;
      ++swaps;
      std::swap(x, y);
    };
    order(a, b);
    order(b, c);
    order(a, b);
    return b;
  }

  std::span<T> items_;
  const Less& less_;
};

}  // namespace skald::query
