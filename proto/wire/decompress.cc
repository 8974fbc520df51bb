#include "proto/wire/decompress.h"

#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "proto/base/unique_handle.h"
#include "proto/wire/limits.h"

namespace skald::wire {
namespace {

// Every buffer may be handed to simdjson, which reads past the end.
constexpr std::size_t kPadding = 64;
constexpr std::size_t kFirstGuess = 4;  // output bytes per input byte, before more is needed

base::Status too_large(std::size_t size_max) {
  return base::resource_exhausted("the decoded body is larger than " + std::to_string(size_max) +
                                  " bytes: send smaller batches");
}

base::Status damaged(const char* coding, const char* why) {
  return base::invalid_argument(std::string("body is not valid ") + coding + ": " + why);
}

// Grows `out` keeping `used` bytes; false at the cap.
bool grow(Buffer& out, std::size_t used, std::size_t size_max) {
  if (used >= size_max) return false;
  Buffer larger;
  // The step to the cap is the last: pages never written cost nothing.
  const std::size_t wanted = used * 4 >= size_max ? size_max : used * 4;
  std::memcpy(larger.reserve(std::max<std::size_t>(wanted, 64U << 10), kPadding), out.data(), used);
  out = std::move(larger);
  return true;
}

base::Status inflate_all(std::string_view in, int window_bits, const char* coding,
                         std::size_t size_max, Buffer& out) {
  z_stream stream{};
  if (inflateInit2(&stream, window_bits) != Z_OK) return base::internal("zlib: no memory");
  const base::UniqueHandle<z_stream, inflateEnd> guard(&stream);
  out.reserve(std::min(size_max, in.size() * kFirstGuess + 4096), kPadding);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  std::size_t used = 0;
  while (true) {
    const std::size_t room = std::min(out.capacity(), size_max + 1) - used;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + used);
    stream.avail_out = static_cast<uInt>(room);
    const int code = inflate(&stream, Z_NO_FLUSH);
    used += room - stream.avail_out;
    if (used > size_max) return too_large(size_max);
    if (code == Z_STREAM_END) {
      // gzip files may be concatenated.
      if (stream.avail_in == 0 || window_bits < 16 || inflateReset(&stream) != Z_OK) break;
      continue;
    }
    if (code != Z_OK && code != Z_BUF_ERROR)
      return damaged(coding, stream.msg != nullptr ? stream.msg : "damaged");
    if (stream.avail_out != 0) return damaged(coding, "it ends early");
    if (!grow(out, used, size_max + 1)) return too_large(size_max);
  }
  out.set_size(used);
  return {};
}

}  // namespace

char* Buffer::reserve(std::size_t size, std::size_t padding) {
  size_ = 0;
  if (data_ == nullptr || capacity_ < size) {
    data_.reset();
    data_ = std::make_unique_for_overwrite<char[]>(size + padding);
    capacity_ = size;
  }
  return data_.get();
}

struct Decompressor::Impl {
  base::UniqueHandle<ZSTD_DCtx, ZSTD_freeDCtx> zstd{ZSTD_createDCtx()};
};

Decompressor::Decompressor() : impl_(std::make_unique<Impl>()) {}
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

base::Status Decompressor::snappy(std::string_view in, std::size_t size_max, Buffer& out) {
  std::size_t size = 0;
  if (!::snappy::GetUncompressedLength(in.data(), in.size(), &size))
    return damaged("snappy", "corrupt input");
  if (size > size_max) return too_large(size_max);
  out.reserve(size, kPadding);
  if (!::snappy::RawUncompress(in.data(), in.size(), out.data()))
    return damaged("snappy", "corrupt input");
  out.set_size(size);
  return {};
}

base::Status Decompressor::gzip(std::string_view in, std::size_t size_max, Buffer& out) {
  return inflate_all(in, 15 + 16, "gzip", size_max, out);
}

base::Status Decompressor::deflate(std::string_view in, std::size_t size_max, Buffer& out) {
  // HTTP means the zlib form, Go and many clients send the raw one.
  const bool zlib_form =
      in.size() >= 2 && (in[0] & 0x0F) == 8 &&
      (static_cast<unsigned char>(in[0]) * 256U + static_cast<unsigned char>(in[1])) % 31 == 0;
  return inflate_all(in, zlib_form ? 15 : -15, "deflate", size_max, out);
}

base::Status Decompressor::zstd(std::string_view in, std::size_t size_max, Buffer& out) {
  ZSTD_DCtx* context = impl_->zstd.get();
  if (context == nullptr) return base::internal("zstd: no memory");
  ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, kZstdWindowLogMax);
  const unsigned long long claim = ZSTD_getFrameContentSize(in.data(), in.size());
  if (claim == ZSTD_CONTENTSIZE_ERROR) return damaged("zstd", "no frame header");
  const bool known = claim != ZSTD_CONTENTSIZE_UNKNOWN;
  if (known && claim > size_max) return too_large(size_max);
  out.reserve(known ? static_cast<std::size_t>(claim) + 1
                    : std::min(size_max + 1, in.size() * kFirstGuess + 4096),
              kPadding);
  ZSTD_inBuffer source{in.data(), in.size(), 0};
  std::size_t used = 0;
  while (true) {
    ZSTD_outBuffer target{out.data(), std::min(out.capacity(), size_max + 1), used};
    const std::size_t hint = ZSTD_decompressStream(context, &target, &source);
    used = target.pos;
    if (ZSTD_isError(hint) != 0) return damaged("zstd", ZSTD_getErrorName(hint));
    if (used > size_max) return too_large(size_max);
    if (source.pos == source.size) {
      if (hint == 0) break;
      if (target.pos < target.size) return damaged("zstd", "it ends early");
    }
    if (target.pos == target.size && !grow(out, used, size_max + 1)) return too_large(size_max);
  }
  out.set_size(used);
  return {};
}

}  // namespace skald::wire
