#pragma once
// Pages: the stored byte runs of a row group. A page is described where it is used by a reference
// (PART.md, "Page reference"); short ones lie inside the reference itself.
//
// Threads: PageWriter belongs to one thread. PageSource may be shared by readers of one row group.

#include <zstd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"
#include "proto/base/status.h"
#include "proto/base/unique_handle.h"
#include "store/part/part_writer.h"
#include "store/scan.h"

namespace skald::store::part {

// What the bytes are like, which decides how they are compressed.
enum class Content : std::uint8_t {
  kText,     // zstd as usual
  kSymbols,  // independent small symbols: entropy coding only, unless matches pay
  kRandom,   // not worth trying
};

// Compression contexts and scratch space, reused from page to page.
class Compressor {
 public:
  explicit Compressor(Effort effort);
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  Effort effort() const noexcept { return effort_; }
  // Compressed bytes if that saves space, else empty. The view lives until the next call.
  std::string_view compress(std::string_view bytes, Content content);

 private:
  std::string_view run(std::string_view bytes, std::string& out, bool symbols_only);
  Effort effort_;
  ZSTD_CCtx* context_;
  std::string first_, second_;
};

// Appends pages to the bytes of the row group being built.
class PageWriter {
 public:
  PageWriter(Compressor& compressor, std::string& group) : compressor_(compressor), group_(group) {}

  // Stores the page and appends its reference to `spec`.
  void put(std::string_view bytes, Content content, std::string& spec);
  Compressor& compressor() noexcept { return compressor_; }

 private:
  Compressor& compressor_;
  std::string& group_;
};

struct PageRef {
  enum class Kind : std::uint8_t { kInline = 0, kStored = 1, kZstd = 2 };
  // Small, because a group has some thousand: a page is below 2^32 bytes (kPageBytesMax).
  std::uint64_t offset = 0;       // from the start of the row group
  const char* inlined = nullptr;  // kInline: borrows from the spec
  std::uint32_t stored = 0;
  std::uint32_t size = 0;  // decoded
  std::uint32_t crc = 0;   // of the stored bytes
  Kind kind = Kind::kInline;

  // False if the bytes are no reference; the reader then has failed.
  static PageRef parse(base::ByteReader& reader, bool& ok);
};

// Decoded bytes of a page; borrows from the mapping when the page is stored plainly.
struct PageBytes {
  std::string_view view;
  std::unique_ptr<char[]> owned;
};

// What one block decodes: counted for its scan, and taken from the scan's memory until the block
// goes.
class Decoding {
 public:
  Decoding(ScanStats* stats, ScanMemory* memory) : stats_(stats), memory_(memory) {}
  ~Decoding() {
    if (memory_ != nullptr) memory_->give_back(taken_);
  }
  Decoding(const Decoding&) = delete;
  Decoding& operator=(const Decoding&) = delete;

  // Before that much is allocated. kResourceExhausted: the scan may not have it.
  base::Status take(std::uint64_t bytes);
  // The same for what the caller of the block will hold.
  base::Status check_room(std::uint64_t bytes);
  void count_page(std::uint64_t stored, std::uint64_t decoded) noexcept;

 private:
  ScanStats* const stats_;
  ScanMemory* const memory_;
  std::uint64_t taken_ = 0;
};

class PageSource {
 public:
  PageSource(std::string_view group, std::string place) : group_(group), place_(std::move(place)) {}

  // kCorrupt if the reference is out of bounds, claims more than `size_max`, or fails its checksum;
  // kResourceExhausted from `decoding`, which may be null.
  base::Result<PageBytes> read(const PageRef& ref, std::uint64_t size_max,
                               Decoding* decoding) const;
  base::Status damaged(std::string_view what) const;  // kCorrupt with the place
  std::uint64_t group_size() const noexcept { return group_.size(); }

 private:
  std::string_view group_;
  std::string place_;
};

// Decodes what may be stored compressed: plain when both sizes are equal.
base::Status unpack(std::string_view stored, std::uint64_t size, const PageSource& source,
                    std::string& out);

}  // namespace skald::store::part
