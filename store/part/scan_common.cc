// The parts of store/scan.h that are not abstract.

#include <algorithm>
#include <bit>

#include "proto/base/check.h"
#include "store/part/search.h"
#include "store/scan.h"

namespace skald::store {

Selection::Selection(std::uint32_t rows, bool all) : rows_(rows), words_((rows + 63) / 64, 0) {
  if (!all || rows == 0) return;
  std::fill(words_.begin(), words_.end(), ~std::uint64_t{0});
  if (rows % 64 != 0) words_.back() >>= 64 - rows % 64;
}

std::uint32_t Selection::count() const noexcept {
  std::uint32_t total = 0;
  for (const std::uint64_t word : words_) total += static_cast<std::uint32_t>(std::popcount(word));
  return total;
}

bool Selection::none() const noexcept {
  return std::all_of(words_.begin(), words_.end(), [](std::uint64_t word) { return word == 0; });
}

void Selection::clear() noexcept { std::fill(words_.begin(), words_.end(), 0); }

void Selection::intersect(const Selection& other) noexcept {
  CHECK_EQ(rows_, other.rows_);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
}

void Selection::subtract(const Selection& other) noexcept {
  CHECK_EQ(rows_, other.rows_);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= ~other.words_[i];
}

bool LineFilter::matches(std::string_view line) const {
  const auto has = [&](const std::string& needle) {
    return (fold_case ? part::find_folded(line, needle) : part::find_bytes(line, needle)) !=
           part::kNotFound;
  };
  for (const auto& clause : clauses)
    if (std::none_of(clause.begin(), clause.end(), has)) return negated;
  if (matcher != nullptr && !matcher->matches(line)) return negated;
  return !negated;
}

}  // namespace skald::store
