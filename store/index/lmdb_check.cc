#include "store/index/lmdb_check.h"

#include <cstdint>
#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "store/index/limits.h"

namespace skald::store::index {
namespace {

// LMDB 0.9's file format on a little-endian 64-bit machine (mdb.c: MDB_page, MDB_meta, MDB_node).
constexpr std::size_t kPageHeader = 16;
constexpr std::size_t kNodeHeader = 8;
constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kDataVersion = 1;
constexpr std::uint64_t kNoPage = ~0ULL;
constexpr std::uint16_t kBranch = 0x01, kLeaf = 0x02, kOverflow = 0x04, kMetaPage = 0x08;
constexpr std::uint16_t kBigData = 0x01, kSubData = 0x02, kDuplicates = 0x04;

struct Tree {
  std::uint16_t depth = 0;
  std::uint64_t root = kNoPage;
};

struct Meta {
  std::uint64_t page_bytes = 0, last_page = 0, transaction = 0;
  Tree free, main;
};

class Walker {
 public:
  explicit Walker(std::string_view file) : file_(file) {}

  base::Status run() {
    Meta first, second;
    SKALD_TRY(read_meta(0, first));
    page_bytes_ = first.page_bytes;
    if (page_bytes_ < 512 || page_bytes_ > 65536 || (page_bytes_ & (page_bytes_ - 1)) != 0)
      return bad(0, "page size");
    SKALD_TRY(read_meta(1, second));
    if (second.page_bytes != page_bytes_) return bad(1, "page size");
    const Meta& meta = second.transaction > first.transaction ? second : first;
    last_page_ = meta.last_page;
    if (last_page_ < 1 || last_page_ > file_.size() / page_bytes_ + (1U << 20))
      return bad(0, "last page");
    used_.assign(last_page_ + 1, false);
    used_[0] = used_[1] = true;
    SKALD_TRY(walk(meta.main.root, meta.main.depth, false));
    SKALD_TRY(walk(meta.free.root, meta.free.depth, true));
    for (const std::uint64_t page : free_) {
      if (page > last_page_ || used_[page]) return bad(page, "free and in use");
      used_[page] = true;
    }
    return {};
  }

 private:
  base::Status bad(std::uint64_t page, const char* what) const {
    return base::corrupt("index file: page " + std::to_string(page) + ": " + what);
  }
  template <typename T>
  T at(std::uint64_t offset) const {
    return base::load_le<T>(file_.data() + offset);
  }

  base::Status read_meta(std::uint64_t page, Meta& out) const {
    const std::uint64_t base = page * page_bytes_;
    if (base + kPageHeader + 136 > file_.size()) return bad(page, "cut off");
    const std::uint64_t meta = base + kPageHeader;
    if (at<std::uint16_t>(base + 10) != kMetaPage || at<std::uint32_t>(meta) != kMagic ||
        (at<std::uint32_t>(meta + 4) & 0xFFFF) != kDataVersion)
      return bad(page, "no meta page");
    out.page_bytes = at<std::uint32_t>(meta + 24);
    out.free = {at<std::uint16_t>(meta + 24 + 6), at<std::uint64_t>(meta + 24 + 40)};
    out.main = {at<std::uint16_t>(meta + 72 + 6), at<std::uint64_t>(meta + 72 + 40)};
    // Named databases and duplicate keys are not used; integer keys only in the free list.
    if (at<std::uint16_t>(meta + 72 + 4) != 0) return bad(page, "flags of the main tree");
    out.last_page = at<std::uint64_t>(meta + 120);
    out.transaction = at<std::uint64_t>(meta + 128);
    return {};
  }

  base::Status claim(std::uint64_t page) {
    if (page < 2 || page > last_page_ || (page + 1) * page_bytes_ > file_.size())
      return bad(page, "outside the file");
    if (used_[page]) return bad(page, "in use twice");
    used_[page] = true;
    return {};
  }

  base::Status walk(std::uint64_t page, int depth, bool is_free_list) {
    if (page == kNoPage) return {};
    if (depth < 1 || depth > kDepthMax) return bad(page, "depth of the tree");
    SKALD_TRY(claim(page));
    const std::uint64_t base = page * page_bytes_;
    const auto flags = at<std::uint16_t>(base + 10);
    const auto lower = at<std::uint16_t>(base + 12), upper = at<std::uint16_t>(base + 14);
    const std::uint16_t want = depth == 1 ? kLeaf : kBranch;
    if (at<std::uint64_t>(base) != page || flags != want) return bad(page, "number or kind");
    if (lower < kPageHeader || lower % 2 != 0 || lower > upper || upper > page_bytes_)
      return bad(page, "bounds");
    const std::size_t count = (lower - kPageHeader) / 2;
    if (count == 0 || (want == kBranch && count < 2)) return bad(page, "no entries");
    for (std::size_t i = 0; i < count; ++i) {
      const auto offset = at<std::uint16_t>(base + kPageHeader + 2 * i);
      if (offset < upper || offset + kNodeHeader > page_bytes_ || offset % 2 != 0)
        return bad(page, "an entry's offset");
      SKALD_TRY(want == kBranch ? walk_branch(base, page, offset, depth, is_free_list)
                                : check_leaf(base, page, offset, is_free_list));
    }
    return {};
  }

  base::Status walk_branch(std::uint64_t base, std::uint64_t page, std::uint64_t offset, int depth,
                           bool is_free_list) {
    const std::uint64_t node = base + offset;
    if (offset + kNodeHeader + at<std::uint16_t>(node + 6) > page_bytes_)
      return bad(page, "a key's size");
    const std::uint64_t child =
        at<std::uint32_t>(node) | (static_cast<std::uint64_t>(at<std::uint16_t>(node + 4)) << 32);
    return walk(child, depth - 1, is_free_list);
  }

  base::Status check_leaf(std::uint64_t base, std::uint64_t page, std::uint64_t offset,
                          bool is_free_list) {
    const std::uint64_t node = base + offset;
    const std::uint64_t data_bytes = at<std::uint32_t>(node);
    const auto flags = at<std::uint16_t>(node + 4);
    const auto key_bytes = at<std::uint16_t>(node + 6);
    if (key_bytes > kKeyBytesMax || (flags & (kSubData | kDuplicates)) != 0)
      return bad(page, "an entry's key or kind");
    const bool big = (flags & kBigData) != 0;
    if (offset + kNodeHeader + key_bytes + (big ? 8 : data_bytes) > page_bytes_)
      return bad(page, "an entry's size");
    std::uint64_t data = node + kNodeHeader + key_bytes;
    if (big) SKALD_TRY(claim_overflow(at<std::uint64_t>(data), data_bytes, data));
    if (!is_free_list) return {};
    if (key_bytes != 8 || data_bytes < 8 || data_bytes % 8 != 0) return bad(page, "free list");
    const auto count = at<std::uint64_t>(data);
    if (count != data_bytes / 8 - 1) return bad(page, "free list's count");
    for (std::uint64_t i = 1; i <= count; ++i) {
      free_.push_back(at<std::uint64_t>(data + 8 * i));
      if (free_.back() < 2 || (i > 1 && free_.back() >= free_[free_.size() - 2]))
        return bad(page, "free list's order");
    }
    return {};
  }

  base::Status claim_overflow(std::uint64_t page, std::uint64_t data_bytes, std::uint64_t& data) {
    SKALD_TRY(claim(page));
    const std::uint64_t base = page * page_bytes_;
    const std::uint64_t pages = at<std::uint32_t>(base + 12);
    if (at<std::uint64_t>(base) != page || at<std::uint16_t>(base + 10) != kOverflow ||
        pages == 0 || pages > last_page_ || data_bytes + kPageHeader > pages * page_bytes_)
      return bad(page, "large value");
    for (std::uint64_t i = 1; i < pages; ++i) SKALD_TRY(claim(page + i));
    data = base + kPageHeader;
    return {};
  }

  const std::string_view file_;
  std::uint64_t page_bytes_ = 0, last_page_ = 0;
  std::vector<bool> used_;
  std::vector<std::uint64_t> free_;
};

}  // namespace

base::Status check_lmdb_file(std::string_view file) { return Walker(file).run(); }

}  // namespace skald::store::index
