#pragma once
// Content codings of request bodies, under a cap that is checked before memory is used.

#include <cstddef>
#include <memory>
#include <string_view>

#include "proto/base/status.h"

namespace skald::wire {

// Bytes whose memory is not zeroed first and whose untouched pages cost nothing.
class Buffer {
 public:
  // At least `size` usable bytes plus `padding`; the old content is lost.
  char* reserve(std::size_t size, std::size_t padding = 0);
  void set_size(std::size_t size) noexcept { size_ = size; }
  std::string_view view() const noexcept { return {data_.get(), size_}; }
  char* data() noexcept { return data_.get(); }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

// A worker's zstd and zlib contexts, kept between requests. One thread at a time.
//
// Each call replaces the content of `out`. Errors: kInvalidArgument (not that coding, or damaged),
// kResourceExhausted (more than `size_max` bytes; callers answer 413).
class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;
  base::Status snappy(std::string_view in, std::size_t size_max, Buffer& out);
  base::Status gzip(std::string_view in, std::size_t size_max, Buffer& out);
  base::Status deflate(std::string_view in, std::size_t size_max, Buffer& out);  // raw or zlib
  base::Status zstd(std::string_view in, std::size_t size_max, Buffer& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::wire
