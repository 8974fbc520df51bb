#include "proto/net/compress.h"

#include <zlib.h>
#include <zstd.h>

#include "proto/base/unique_handle.h"

namespace skald::net {
namespace {

constexpr std::size_t kStep = 32U << 10;  // output grows by this much at a time
// Answers are compressed while a person waits and the network is usually near.
constexpr int kGzipLevel = 1;
constexpr int kZstdLevel = 1;

class GzipCompressor final : public Compressor {
 public:
  GzipCompressor() {
    ready_ = deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~GzipCompressor() override {
    if (ready_) deflateEnd(&stream_);
  }
  GzipCompressor(const GzipCompressor&) = delete;
  GzipCompressor& operator=(const GzipCompressor&) = delete;

  bool append(std::string_view bytes, bool last, std::string& out) override {
    if (!ready_) return false;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      const std::size_t at = out.size();
      out.resize(at + kStep);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + at);
      stream_.avail_out = kStep;
      const int code = deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
      out.resize(out.size() - stream_.avail_out);
      if (code == Z_STREAM_ERROR) return false;
    } while (stream_.avail_out == 0);
    return true;
  }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

class ZstdStreamCompressor final : public Compressor {
 public:
  ZstdStreamCompressor() {
    if (context_) ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kZstdLevel);
  }
  bool append(std::string_view bytes, bool last, std::string& out) override {
    if (!context_) return false;
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    while (true) {
      const std::size_t at = out.size();
      out.resize(at + kStep);
      ZSTD_outBuffer target{out.data() + at, kStep, 0};
      const std::size_t left =
          ZSTD_compressStream2(context_.get(), &target, &in, last ? ZSTD_e_end : ZSTD_e_continue);
      out.resize(at + target.pos);
      if (ZSTD_isError(left) != 0) return false;
      if (last ? left == 0 : in.pos == in.size) return true;
    }
  }

 private:
  base::UniqueHandle<ZSTD_CCtx, ZSTD_freeCCtx> context_{ZSTD_createCCtx()};
};

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_zero_quality(std::string_view parameters) noexcept {  // "q=0", "q=0.000"
  parameters = trim(parameters);
  if (parameters.substr(0, 2) != "q=" && parameters.substr(0, 2) != "Q=") return false;
  return parameters.find_first_not_of("0.", 2) == std::string_view::npos;
}

}  // namespace

std::string_view coding_name(Coding coding) noexcept {
  switch (coding) {
    case Coding::kGzip: return "gzip";
    case Coding::kZstd: return "zstd";
    case Coding::kIdentity: break;
  }
  return {};
}

Coding choose_coding(std::string_view accept_encoding) noexcept {
  bool gzip = false;
  bool zstd = false;
  while (!accept_encoding.empty()) {
    const std::size_t comma = accept_encoding.find(',');
    const std::string_view item = accept_encoding.substr(0, comma);
    accept_encoding =
        comma == std::string_view::npos ? std::string_view() : accept_encoding.substr(comma + 1);
    const std::size_t semicolon = item.find(';');
    const std::string_view name = trim(item.substr(0, semicolon));
    if (semicolon != std::string_view::npos && is_zero_quality(item.substr(semicolon + 1)))
      continue;
    if (name == "gzip" || name == "x-gzip") gzip = true;
    if (name == "zstd") zstd = true;
  }
  return zstd ? Coding::kZstd : gzip ? Coding::kGzip : Coding::kIdentity;
}

std::unique_ptr<Compressor> Compressor::create(Coding coding) {
  switch (coding) {
    case Coding::kGzip: return std::make_unique<GzipCompressor>();
    case Coding::kZstd: return std::make_unique<ZstdStreamCompressor>();
    case Coding::kIdentity: break;
  }
  return nullptr;
}

}  // namespace skald::net
