#include "proto/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace skald::base {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return invalid_argument("odd");
  return n / 2;
}

Result<int> quarter(int n) {
  SKALD_TRY_ASSIGN(const int first, half(n));
  SKALD_TRY_ASSIGN(const int second, half(first));
  return second;
}

TEST(Status, CarriesCodeMessageAndContext) {
  EXPECT_TRUE(Status().ok());
  const Status status = corrupt("footer checksum").with_context("part 7");
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_EQ(status.to_string(), "corrupt: part 7: footer checksum");
}

TEST(Status, MapsFullDisksToNoSpace) {
  EXPECT_EQ(from_errno(ENOSPC, "write").code(), Code::kNoSpace);
  EXPECT_EQ(from_errno(EIO, "write").code(), Code::kIoError);
  EXPECT_EQ(from_errno(ENOENT, "open").code(), Code::kNotFound);
}

TEST(Result, PropagatesTheFirstError) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(6).status().message(), "odd");
}

TEST(Result, DefaultIsAnInternalError) {
  EXPECT_EQ(Result<int>().status().code(), Code::kInternal);
}

}  // namespace
}  // namespace skald::base
