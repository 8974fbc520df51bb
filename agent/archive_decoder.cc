#include "agent/archive_decoder.h"

#include <dlfcn.h>
#include <zlib.h>
#include <zstd.h>

#include <array>

#include "agent/limits.h"

namespace skald::agent {
namespace {

using Out = std::function<bool(std::string_view)>;
using Window = std::array<char, kArchivePieceBytes>;

class ZlibDecoder final : public ArchiveDecoder {
 public:
  explicit ZlibDecoder(bool gzip) {
    usable_ = ::inflateInit2(&stream_, gzip ? 15 + 16 : 15) == Z_OK;
  }
  ~ZlibDecoder() override {
    if (usable_) ::inflateEnd(&stream_);
  }
  ZlibDecoder(const ZlibDecoder&) = delete;
  ZlibDecoder& operator=(const ZlibDecoder&) = delete;

  base::Status feed(std::string_view bytes, const Out& out) override {
    if (!usable_) return base::internal("zlib cannot be set up");
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      if (at_end_ && stream_.avail_in > 0) {
        ::inflateReset(&stream_);
        at_end_ = false;
      }
      stream_.next_out = reinterpret_cast<Bytef*>(window_.data());
      stream_.avail_out = static_cast<uInt>(window_.size());
      const int code = ::inflate(&stream_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return base::corrupt(stream_.msg != nullptr ? stream_.msg : "not in this format");
      const std::size_t size = window_.size() - stream_.avail_out;
      if (size > 0 && !out({window_.data(), size})) return base::cancelled("stopped");
      at_end_ = code == Z_STREAM_END;
    } while (stream_.avail_in > 0 || (stream_.avail_out == 0 && !at_end_));
    return {};
  }
  bool at_end() const override { return at_end_; }

 private:
  z_stream stream_{};
  Window window_;
  bool usable_ = false, at_end_ = false;
};

class ZstdDecoder final : public ArchiveDecoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx(), ZSTD_freeDCtx) {}

  base::Status feed(std::string_view bytes, const Out& out) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    bool full = true;
    while (in.pos < in.size || full) {
      ZSTD_outBuffer piece{window_.data(), window_.size(), 0};
      const std::size_t left = ZSTD_decompressStream(context_.get(), &piece, &in);
      if (ZSTD_isError(left)) return base::corrupt(ZSTD_getErrorName(left));
      if (piece.pos > 0 && !out({window_.data(), piece.pos})) return base::cancelled("stopped");
      at_end_ = left == 0;
      full = piece.pos == piece.size;
    }
    return {};
  }
  bool at_end() const override { return at_end_; }

 private:
  std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context_;
  Window window_;
  bool at_end_ = false;
};

// As documented for libbz2 1.0; loaded only when a configuration asks for it.
struct BzStream {
  char* next_in = nullptr;
  unsigned avail_in = 0, total_in_low = 0, total_in_high = 0;
  char* next_out = nullptr;
  unsigned avail_out = 0, total_out_low = 0, total_out_high = 0;
  void* state = nullptr;
  void* (*allocate)(void*, int, int) = nullptr;
  void (*release)(void*, void*) = nullptr;
  void* opaque = nullptr;
};
struct BzLibrary {
  int (*begin)(BzStream*, int verbosity, int small) = nullptr;
  int (*run)(BzStream*) = nullptr;
  int (*end)(BzStream*) = nullptr;
};
constexpr int kBzOk = 0, kBzStreamEnd = 4;

const BzLibrary* bz_library() {
  static const BzLibrary library = [] {
    BzLibrary out;
    void* const handle = ::dlopen("libbz2.so.1.0", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return out;
    out.begin = reinterpret_cast<decltype(out.begin)>(::dlsym(handle, "BZ2_bzDecompressInit"));
    out.run = reinterpret_cast<decltype(out.run)>(::dlsym(handle, "BZ2_bzDecompress"));
    out.end = reinterpret_cast<decltype(out.end)>(::dlsym(handle, "BZ2_bzDecompressEnd"));
    return out;
  }();
  return library.begin != nullptr && library.run != nullptr && library.end != nullptr ? &library
                                                                                      : nullptr;
}

class BzDecoder final : public ArchiveDecoder {
 public:
  explicit BzDecoder(const BzLibrary& library) : library_(library) {}
  ~BzDecoder() override {
    if (open_) library_.end(&stream_);
  }
  BzDecoder(const BzDecoder&) = delete;
  BzDecoder& operator=(const BzDecoder&) = delete;

  base::Status feed(std::string_view bytes, const Out& out) override {
    stream_.next_in = const_cast<char*>(bytes.data());
    stream_.avail_in = static_cast<unsigned>(bytes.size());
    bool full = false;
    while (stream_.avail_in > 0 || full) {
      if (!open_) {
        if (library_.begin(&stream_, 0, 0) != kBzOk) return base::internal("bzip2: no memory");
        open_ = true;
      }
      stream_.next_out = window_.data();
      stream_.avail_out = static_cast<unsigned>(window_.size());
      const int code = library_.run(&stream_);
      if (code != kBzOk && code != kBzStreamEnd) return base::corrupt("bzip2: damaged");
      const std::size_t size = window_.size() - stream_.avail_out;
      if (size > 0 && !out({window_.data(), size})) return base::cancelled("stopped");
      full = stream_.avail_out == 0 && code != kBzStreamEnd;
      if (code == kBzStreamEnd) {
        library_.end(&stream_);
        open_ = false;
      }
    }
    return {};
  }
  bool at_end() const override { return !open_; }

 private:
  const BzLibrary& library_;
  BzStream stream_;
  Window window_;
  bool open_ = false;
};

}  // namespace

base::Result<std::unique_ptr<ArchiveDecoder>> ArchiveDecoder::create(ArchiveFormat format) {
  switch (format) {
    case ArchiveFormat::kZstd:
      return std::unique_ptr<ArchiveDecoder>(std::make_unique<ZstdDecoder>());
    case ArchiveFormat::kBzip2:
      if (bz_library() == nullptr)
        return base::unsupported("bz2: this system has no libbz2.so.1.0 (package libbz2-1.0)");
      return std::unique_ptr<ArchiveDecoder>(std::make_unique<BzDecoder>(*bz_library()));
    case ArchiveFormat::kGzip:
    case ArchiveFormat::kZlib: break;
  }
  return std::unique_ptr<ArchiveDecoder>(
      std::make_unique<ZlibDecoder>(format == ArchiveFormat::kGzip));
}

}  // namespace skald::agent
