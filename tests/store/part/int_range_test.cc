// Asking packed integers for a range gives what decoding them and comparing gives.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "store/part/intpack.h"

namespace skald::store::part {
namespace {

using Values = std::vector<std::uint64_t>;

struct Packed {
  std::string group, spec;

  explicit Packed(const Values& values, IntsHint hint = IntsHint::kPlain) {
    Compressor compressor(Effort::kFast);
    PageWriter pages(compressor, group);
    encode_ints(values, hint, pages, spec);
  }
  PageSource source() const { return PageSource(group, "test"); }
  Ints parse(std::size_t count) const {
    base::ByteReader reader(spec);
    auto ints = Ints::parse(reader, static_cast<std::uint32_t>(count), source());
    EXPECT_TRUE(ints.ok());
    return std::move(*ints);
  }
};

Values random_values(std::mt19937_64& random, std::size_t count) {
  const std::uint64_t factor = random() % 3 == 0 ? random() % 1000 + 1 : 1;
  const std::uint64_t base = random() % 2 == 0 ? random() % (1ULL << 40) : 0;
  const unsigned bits = static_cast<unsigned>(random() % 45) + 1;
  const bool skewed = random() % 2 == 0;  // a byte above the low bits, and exceptions to it
  Values values(count);
  for (std::uint64_t& value : values) {
    value = random() & ((1ULL << bits) - 1);
    if (skewed) value >>= std::min<std::uint64_t>(random() % 64, random() % 64);
    value = base + factor * value;
  }
  return values;
}

void expect_equal_to_decoding(const Values& values, IntsHint hint, std::mt19937_64& random) {
  const Packed packed(values, hint);
  const auto rows = static_cast<std::uint32_t>(values.size());
  const Ints ints = packed.parse(rows);
  const std::uint64_t most = *std::max_element(values.begin(), values.end());
  for (int round = 0; round < 8; ++round) {
    const auto edge = [&] { return values[random() % rows] + random() % 3 - 1; };
    const IntRange range{random() % 4 == 0 ? 0 : edge(), random() % 4 == 0 ? most + 1 : edge()};
    Selection among(rows), hits(rows), wanted(rows);
    for (std::uint32_t row = 0; row < rows; ++row) {
      if (random() % 4 != 0) among.set(row);
      if (among.test(row) && range.begin <= values[row] && values[row] < range.end) wanted.set(row);
    }
    ASSERT_TRUE(ints.select(packed.source(), nullptr, range, most, among, hits).ok());
    ASSERT_TRUE(std::equal(hits.words().begin(), hits.words().end(), wanted.words().begin()))
        << rows << " rows, from " << range.begin << " to " << range.end;
  }
}

TEST(IntRange, EqualsDecodingWhateverTheEncoding) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    Values values = random_values(random, random() % 3000 + 1);
    if (seed % 4 == 1) std::sort(values.begin(), values.end());
    expect_equal_to_decoding(values, seed % 4 < 2 ? IntsHint::kOrdered : IntsHint::kPlain, random);
  }
}

TEST(IntRange, AValueAboveTheLargestIsDamage) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const Values values = random_values(random, 500);
    const std::uint64_t most = *std::max_element(values.begin(), values.end());
    if (most == 0) continue;
    const Packed packed(values);
    const Selection all(500, true);
    Selection hits(500);
    const auto status =
        packed.parse(500).select(packed.source(), nullptr, {0, most}, most - 1, all, hits);
    EXPECT_EQ(status.code(), base::Code::kCorrupt);
  }
}

TEST(IntRange, ADamagedPageIsRefused) {
  std::mt19937_64 random(1);
  Values values(2000);
  for (std::uint64_t& value : values) value = (random() & 0xFFFF) >> (random() % 16);
  const Packed sound(values);
  ASSERT_GT(sound.group.size(), 0U);
  for (std::size_t at = 0; at < sound.group.size(); at += 37) {
    Packed packed = sound;
    packed.group[at] = static_cast<char>(packed.group[at] ^ 0x10);
    Selection hits(2000);
    const auto status = packed.parse(2000).select(packed.source(), nullptr, {5, 50}, 0xFFFF,
                                                  Selection(2000, true), hits);
    EXPECT_EQ(status.code(), base::Code::kCorrupt) << at;
  }
}

}  // namespace
}  // namespace skald::store::part
