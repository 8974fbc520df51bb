#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_c_literalCompressionMode
#include "store/part/page.h"

#include <algorithm>

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "store/part/limits.h"

namespace skald::store::part {
namespace {

constexpr std::size_t kLargePageBytes = 1U << 20;  // the slow levels cost minutes per gigabyte
constexpr std::size_t kInlineBytesMax = 40;        // a reference to a page costs about 12 bytes

struct DctxDeleter {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

ZSTD_DCtx* thread_decompressor() {
  thread_local std::unique_ptr<ZSTD_DCtx, DctxDeleter> context(ZSTD_createDCtx());
  CHECK(context != nullptr);
  return context.get();
}

}  // namespace

Compressor::Compressor(Effort effort) : effort_(effort), context_(ZSTD_createCCtx()) {
  CHECK(context_ != nullptr);
}

Compressor::~Compressor() { ZSTD_freeCCtx(context_); }

std::string_view Compressor::run(std::string_view bytes, std::string& out, bool symbols_only) {
  ZSTD_CCtx_reset(context_, ZSTD_reset_session_and_parameters);
  const bool small = effort_ == Effort::kSmall;
  ZSTD_CCtx_setParameter(context_, ZSTD_c_contentSizeFlag, 0);
  if (symbols_only) {
    // As good as no matches: then the literals are Huffman coded and nothing else.
    ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_strategy, ZSTD_fast);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_minMatch, 7);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_targetLength, 64);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
  } else {
    ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel,
                           small ? (bytes.size() > kLargePageBytes ? 9 : 15) : 3);
  }
  out.resize(ZSTD_compressBound(bytes.size()));
  const std::size_t size =
      ZSTD_compress2(context_, out.data(), out.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0) return {};
  return std::string_view(out.data(), size);
}

std::string_view Compressor::compress(std::string_view bytes, Content content) {
  if (content == Content::kRandom || bytes.size() < 24) return {};
  std::string_view best = run(bytes, first_, content == Content::kSymbols);
  // Symbols that repeat in runs (a sorted column) are worth real matching.
  const bool retry = content == Content::kSymbols &&
                     (effort_ == Effort::kSmall || best.empty() || best.size() < bytes.size() / 8);
  if (retry) {
    const std::string_view other = run(bytes, second_, false);
    if (!other.empty() && (best.empty() || other.size() < best.size())) best = other;
  }
  if (best.size() + best.size() / 64 >= bytes.size()) return {};
  return best;
}

void PageWriter::put(std::string_view bytes, Content content, std::string& spec) {
  CHECK_LE(bytes.size(), kPageBytesMax);
  if (bytes.size() <= kInlineBytesMax) {
    spec.push_back(static_cast<char>(PageRef::Kind::kInline));
    base::put_bytes(spec, bytes);
    return;
  }
  const std::string_view packed = compressor_.compress(bytes, content);
  const std::string_view stored = packed.empty() ? bytes : packed;
  spec.push_back(static_cast<char>(packed.empty() ? PageRef::Kind::kStored : PageRef::Kind::kZstd));
  base::put_varint(spec, group_.size());
  base::put_varint(spec, stored.size());
  if (!packed.empty()) base::put_varint(spec, bytes.size());
  base::put_le<std::uint32_t>(spec, base::crc32c(stored));
  group_.append(stored);
}

PageRef PageRef::parse(base::ByteReader& reader, bool& ok) {
  PageRef ref;
  const auto kind = reader.read_le<std::uint8_t>();
  if (kind > 2) ok = false;
  ref.kind = static_cast<Kind>(kind);
  if (ref.kind == Kind::kInline) {
    const std::string_view bytes = reader.read_bytes();
    ok = ok && !reader.failed() && bytes.size() <= kPageBytesMax;
    ref.inlined = bytes.data();
    ref.size = static_cast<std::uint32_t>(bytes.size());
    return ref;
  }
  ref.offset = reader.read_varint();
  const std::uint64_t stored = reader.read_varint();
  const std::uint64_t size = ref.kind == Kind::kZstd ? reader.read_varint() : stored;
  ref.crc = reader.read_le<std::uint32_t>();
  ok = ok && !reader.failed() && stored <= kPageBytesMax && size <= kPageBytesMax;
  ref.stored = static_cast<std::uint32_t>(stored);
  ref.size = static_cast<std::uint32_t>(size);
  return ref;
}

base::Status Decoding::take(std::uint64_t bytes) {
  if (memory_ == nullptr) return {};
  if (!memory_->take(bytes)) return base::resource_exhausted("the scan is out of memory");
  taken_ += bytes;
  return {};
}

base::Status Decoding::check_room(std::uint64_t bytes) {
  SKALD_TRY(take(bytes));
  if (memory_ == nullptr) return {};
  taken_ -= bytes;
  memory_->give_back(bytes);
  return {};
}

void Decoding::count_page(std::uint64_t stored, std::uint64_t decoded) noexcept {
  if (stats_ == nullptr) return;
  stats_->bytes_read.fetch_add(stored, std::memory_order_relaxed);
  stats_->bytes_decoded.fetch_add(decoded, std::memory_order_relaxed);
}

base::Status PageSource::damaged(std::string_view what) const {
  return base::corrupt(place_ + ": " + std::string(what));
}

base::Result<PageBytes> PageSource::read(const PageRef& ref, std::uint64_t size_max,
                                         Decoding* decoding) const {
  PageBytes page;
  if (ref.size > size_max) return damaged("page larger than its column");
  if (ref.kind == PageRef::Kind::kInline) {
    page.view = std::string_view(ref.inlined, ref.size);
    return page;
  }
  if (ref.offset > group_.size() || ref.stored > group_.size() - ref.offset)
    return damaged("page outside its row group");
  const std::string_view stored = group_.substr(ref.offset, ref.stored);
  if (base::crc32c(stored) != ref.crc)
    return damaged("checksum of the page at " + std::to_string(ref.offset));
  if (decoding != nullptr) decoding->count_page(ref.stored, ref.size);
  if (ref.kind == PageRef::Kind::kStored) {
    page.view = stored;
    return page;
  }
  if (decoding != nullptr) SKALD_TRY(decoding->take(ref.size));
  page.owned = std::make_unique_for_overwrite<char[]>(ref.size);
  const std::size_t size = ZSTD_decompressDCtx(thread_decompressor(), page.owned.get(), ref.size,
                                               stored.data(), stored.size());
  if (ZSTD_isError(size) != 0 || size != ref.size)
    return damaged("page at " + std::to_string(ref.offset) + " does not decompress");
  page.view = std::string_view(page.owned.get(), ref.size);
  return page;
}

base::Status unpack(std::string_view stored, std::uint64_t size, const PageSource& source,
                    std::string& out) {
  if (size > kFooterBytesMax) return source.damaged("metadata larger than the limit");
  if (stored.size() == size) {
    out.assign(stored);
    return {};
  }
  out.resize(size);
  const std::size_t got = ZSTD_decompressDCtx(thread_decompressor(), out.data(), out.size(),
                                              stored.data(), stored.size());
  return ZSTD_isError(got) != 0 || got != size ? source.damaged("metadata does not decompress")
                                               : base::Status();
}

}  // namespace skald::store::part
