#pragma once
// Where a needle can lie in a text made of literal pieces and values: inside a literal (then every
// row has it), inside one value, or across pieces. Each way across is a conjunction of tests of
// single values ("ends with", "is", "starts with"), because the literal bytes in it are fixed. So a
// search of the joined text becomes tests of columns, exactly.

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "store/part/search.h"

namespace skald::store::part {

struct ValueTest {
  std::uint32_t value = 0;  // index of the value between the pieces
  TextTest test;
};

struct SpanMatch {
  bool always = false;                       // a literal holds the needle
  bool overflow = false;                     // too many ways across: test the joined text instead
  std::vector<std::vector<ValueTest>> ways;  // any of these conjunctions
};

template <typename Literal, typename May>
class SpanFinder {
 public:
  static constexpr std::size_t kWaysMax = 64;
  static constexpr std::size_t kStepsMax = 256;  // a needle of separators splits in 2^n ways

  // may(value, test) false: no row passes that test.
  SpanFinder(std::span<const Literal> literals, const TextTest& test, const May& may)
      : literals_(literals), needle_(test.text), fold_(test.fold), may_(may) {
    if (test.op == TextTest::Op::kPrefix)
      prefix();
    else
      contains();
  }
  SpanMatch take() { return std::move(out_); }

 private:
  std::size_t values() const { return literals_.size() - 1; }

  bool same(std::string_view literal, std::string_view part) const {
    return fold_ ? equal_folded(literal, part) : literal == part;
  }
  char first(std::string_view literal) const { return fold_ ? fold_byte(literal[0]) : literal[0]; }

  void add() {
    if (out_.ways.size() >= kWaysMax)
      out_.overflow = true;
    else
      out_.ways.push_back(tests_);
  }

  // The rest of the needle from value `at` on.
  void follow(std::uint32_t at, std::string_view rest) {
    if (++steps_ > kStepsMax) out_.overflow = true;
    if (at >= values() || out_.overflow) return;
    const TextTest starts{TextTest::Op::kPrefix, fold_, rest};
    if (may_(at, starts)) {
      tests_.push_back({at, starts});
      add();
      tests_.pop_back();
    }
    const std::string_view literal = literals_[at + 1];
    if (literal.empty()) return;
    for (std::size_t k = 0; k < rest.size() && !out_.overflow; ++k) {
      if (rest[k] != first(literal)) continue;
      const std::size_t size = std::min(literal.size(), rest.size() - k);
      if (!same(literal.substr(0, size), rest.substr(k, size))) continue;
      const TextTest is{TextTest::Op::kEquals, fold_, rest.substr(0, k)};
      if (!may_(at, is)) continue;
      tests_.push_back({at, is});
      if (k + size == rest.size())
        add();
      else
        follow(at + 1, rest.substr(k + size));
      tests_.pop_back();
    }
  }

  void prefix() {
    const std::string_view literal = literals_[0];
    const std::size_t size = std::min(literal.size(), needle_.size());
    if (!same(literal.substr(0, size), needle_.substr(0, size))) return;
    if (size == needle_.size())
      out_.always = true;
    else
      follow(0, needle_.substr(size));
  }

  void contains() {
    for (const std::string_view literal : literals_)
      if ((fold_ ? find_folded(literal, needle_) : find_bytes(literal, needle_)) != kNotFound) {
        out_.always = true;
        return;
      }
    const TextTest inside{TextTest::Op::kContains, fold_, needle_};
    for (std::uint32_t value = 0; value < values(); ++value)
      if (may_(value, inside)) {
        tests_.assign(1, {value, inside});
        add();
        tests_.clear();
      }
    // Every other way touches a literal; the leftmost one it touches is unique.
    for (std::uint32_t i = 0; i < literals_.size() && !out_.overflow; ++i) {
      from_value(i);
      from_literal(i);
    }
  }

  // The needle begins in the value before literal `i`.
  void from_value(std::uint32_t i) {
    const std::string_view literal = literals_[i];
    if (i == 0 || literal.empty()) return;
    const char head = first(literal);
    for (std::size_t a = needle_.find(head, 1); a < needle_.size(); a = needle_.find(head, a + 1)) {
      const std::size_t size = std::min(literal.size(), needle_.size() - a);
      if (!same(literal.substr(0, size), needle_.substr(a, size))) continue;
      const TextTest ends{TextTest::Op::kSuffix, fold_, needle_.substr(0, a)};
      if (!may_(i - 1, ends)) continue;
      tests_.push_back({i - 1, ends});
      if (a + size == needle_.size())
        add();
      else
        follow(i, needle_.substr(a + size));
      tests_.pop_back();
    }
  }

  // The needle begins in literal `i` and leaves it at its end.
  void from_literal(std::uint32_t i) {
    const std::string_view literal = literals_[i];
    std::size_t o = literal.size() < needle_.size() ? 0 : literal.size() - needle_.size() + 1;
    for (; o < literal.size(); ++o) {
      if (!fold_) o = std::min(literal.find(needle_[0], o), literal.size());
      const std::size_t size = literal.size() - o;
      if (size == 0 || first(literal.substr(o)) != needle_[0]) continue;
      if (same(literal.substr(o), needle_.substr(0, size))) follow(i, needle_.substr(size));
    }
  }

  std::span<const Literal> literals_;
  std::string_view needle_;
  bool fold_;
  const May& may_;
  std::vector<ValueTest> tests_;
  std::size_t steps_ = 0;
  SpanMatch out_;
};

// For kContains and kPrefix. The result borrows the needle.
template <typename Literal, typename May>
SpanMatch find_spans(std::span<const Literal> literals, const TextTest& test, const May& may) {
  return SpanFinder<Literal, May>(literals, test, may).take();
}

}  // namespace skald::store::part
