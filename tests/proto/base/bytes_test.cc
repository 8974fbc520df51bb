#include "proto/base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

#include "proto/base/crc32c.h"
#include "proto/base/utf8.h"

namespace skald::base {
namespace {

TEST(Bytes, VarintsComeBack) {
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{127}, std::uint64_t{128}, std::uint64_t{1} << 63,
        std::numeric_limits<std::uint64_t>::max()}) {
    std::string out;
    put_varint(out, value);
    ByteReader reader(out);
    EXPECT_EQ(reader.read_varint(), value);
    EXPECT_TRUE(reader.done());
    EXPECT_FALSE(reader.failed());
  }
}

TEST(Bytes, RefusesVarintsThatAreCutOrTooLong) {
  for (const std::string& bad : {std::string("\x80"), std::string(10, '\xff'), std::string()}) {
    ByteReader reader(bad);
    EXPECT_EQ(reader.read_varint(), 0U);
    EXPECT_TRUE(reader.failed());
  }
}

TEST(Bytes, NeverReadsPastItsInput) {
  ByteReader reader(
      std::string_view("\x05"
                       "abc"));
  EXPECT_EQ(reader.read_bytes(), "");
  EXPECT_TRUE(reader.failed());
}

TEST(Bytes, ZigzagKeepsSmallNumbersSmall) {
  EXPECT_EQ(zigzag(-1), 1U);
  EXPECT_EQ(unzigzag(zigzag(std::numeric_limits<std::int64_t>::min())),
            std::numeric_limits<std::int64_t>::min());
}

TEST(Crc32c, MatchesThePublishedCheckValue) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), crc32c("123456789"));
  // Long runs are taken apart and joined again; byte by byte they are not.
  std::string bytes;
  std::uint32_t slow = 0;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    bytes.push_back(static_cast<char>(i * 2654435761U >> 24));
    slow = crc32c(std::string_view(bytes).substr(i), slow);
    if (i % 1021 == 0 || i + 1 == 3072 || i + 1 == 6144) {
      EXPECT_EQ(crc32c(bytes), slow) << i;
    }
  }
}

TEST(Utf8, ReplacesEachInvalidByte) {
  EXPECT_EQ(to_valid_utf8("a\xff\xc3(\xed\xa0\x80"), "a\uFFFD\uFFFD(\uFFFD\uFFFD\uFFFD");
  EXPECT_TRUE(is_valid_utf8("caf\u00e9 \U0001F600"));
  EXPECT_FALSE(is_valid_utf8("\xc0\x80"));
}

}  // namespace
}  // namespace skald::base
