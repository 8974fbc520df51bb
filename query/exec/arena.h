#pragma once
// Memory for what one row's stages build: values unescaped, lines formatted, names changed. All of
// it goes at once with reset(). It is taken from the query's: once that refuses, `refused()` says
// so until reset(), and whoever builds in a loop stops. So it is over by one value at most.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "store/scan.h"

namespace skald::query {

class Arena {
 public:
  // `memory` outlives it; null: as much as it takes.
  explicit Arena(store::ScanMemory* memory = nullptr) : memory_(memory) {}
  ~Arena() { give_back(taken_ + beside_); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  bool refused() const noexcept { return refused_; }
  // Memory beside it that the row keeps as long as it lives.
  void take_beside(std::uint64_t bytes) {
    if (take(bytes)) beside_ += bytes;
  }

  char* allocate(std::size_t size) {
    if (size > left_) grow(size);
    char* out = at_;
    at_ += size;
    left_ -= size;
    return out;
  }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* out = allocate(text.size());
    std::memcpy(out, text.data(), text.size());
    return {out, text.size()};
  }
  std::string_view concat(std::string_view a, std::string_view b) {
    char* out = allocate(a.size() + b.size());
    std::memcpy(out, a.data(), a.size());
    std::memcpy(out + a.size(), b.data(), b.size());
    return {out, a.size() + b.size()};
  }
  // Gives back the end of the last allocation.
  void shrink(std::size_t unused) {
    at_ -= unused;
    left_ += unused;
  }
  void reset() {
    refused_ = false;
    if (blocks_.size() > 1) {
      blocks_.resize(1);
      const std::uint64_t kept = std::min<std::uint64_t>(taken_, kBlock);
      give_back(taken_ - kept);
      taken_ = kept;
    }
    at_ = blocks_.empty() ? nullptr : blocks_[0].get();
    left_ = blocks_.empty() ? 0 : kBlock;
  }

 private:
  static constexpr std::size_t kBlock = 64U << 10;
  void grow(std::size_t size) {
    // The first block has the standard size, so that reset() knows it.
    if (blocks_.empty()) add_block(kBlock);
    if (size > left_) add_block(std::max(size, kBlock));
  }
  void add_block(std::size_t size) {
    if (take(size)) taken_ += size;
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    at_ = blocks_.back().get();
    left_ = size;
  }
  bool take(std::uint64_t bytes) {
    if (memory_ == nullptr) return false;
    if (memory_->take(bytes)) return true;
    refused_ = true;
    return false;
  }
  void give_back(std::uint64_t bytes) {
    if (memory_ != nullptr) memory_->give_back(bytes);
  }

  store::ScanMemory* const memory_;
  std::uint64_t taken_ = 0, beside_ = 0;
  bool refused_ = false;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* at_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace skald::query
