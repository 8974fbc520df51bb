#include "proto/wire/decoded_bound.h"

#include <gtest/gtest.h>
#include <snappy.h>
#include <zstd.h>

#include <string>

#include "proto/wire/limits.h"

namespace skald::wire {
namespace {

constexpr std::size_t kBlock = 128U << 10;

std::string zstd_stream(const std::string& text) {  // does not state its size
  ZSTD_CCtx* context = ZSTD_createCCtx();
  std::string out(ZSTD_compressBound(text.size()) + 64, '\0');
  ZSTD_outBuffer target{out.data(), out.size(), 0};
  for (std::size_t at = 0; at < text.size(); at += kBlock) {
    ZSTD_inBuffer source{text.data() + at, std::min(kBlock, text.size() - at), 0};
    ZSTD_compressStream2(context, &target, &source, ZSTD_e_continue);
  }
  ZSTD_inBuffer end{nullptr, 0, 0};
  EXPECT_EQ(ZSTD_compressStream2(context, &target, &end, ZSTD_e_end), 0U);
  ZSTD_freeCCtx(context);
  out.resize(target.pos);
  return out;
}

std::string zstd_whole(const std::string& text) {  // states it
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

TEST(DecodedBound, IsWhatTheHeadersSay) {
  const std::string text(1'000'000, 'x');
  EXPECT_EQ(decoded_bound("application/x-protobuf", "zstd", zstd_whole(text)), text.size());
  EXPECT_EQ(decoded_bound("application/x-protobuf", " ZSTD", zstd_whole(text) + zstd_whole(text)),
            2 * text.size());
  const std::size_t streamed = decoded_bound("application/x-protobuf", "zstd", zstd_stream(text));
  EXPECT_GE(streamed, text.size());
  EXPECT_LE(streamed, text.size() + 2 * kBlock);
  std::string snapped;
  snappy::Compress(text.data(), text.size(), &snapped);
  EXPECT_EQ(decoded_bound("application/x-protobuf", "", snapped), text.size());
  EXPECT_EQ(decoded_bound("application/json", "", text), 0U);
}

TEST(DecodedBound, ABombCountsAsTheLargestBody) {
  const std::string text(100U << 20, 'x');
  EXPECT_EQ(decoded_bound("application/x-protobuf", "zstd", zstd_stream(text)), kDecodedBytesMax);
  EXPECT_EQ(decoded_bound("application/x-protobuf", "gzip", std::string(100'000, 'x')),
            kDecodedBytesMax);
  EXPECT_EQ(decoded_bound("application/json; charset=utf-8", "gzip", std::string(100'000, 'x')),
            kUnpackedJsonBytesMax);
  EXPECT_EQ(decoded_bound("application/x-protobuf", "snappy", "\xff\xff\xff\xff\x0fxxx"),
            kDecodedBytesMax);
}

TEST(DecodedBound, WhatIsDamagedHasABoundToo) {
  EXPECT_LE(decoded_bound("application/x-protobuf", "zstd", "nothing of the kind"),
            kDecodedBytesMax);
  EXPECT_EQ(decoded_bound("", "", ""), 0U);
  EXPECT_EQ(decoded_bound("application/x-protobuf", "gzip", "x"), 1032U);
}

}  // namespace
}  // namespace skald::wire
