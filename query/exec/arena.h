#pragma once
// Memory for what one row's stages build: values unescaped, lines formatted, names changed. All of
// it goes at once with reset().

#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace skald::query {

class Arena {
 public:
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
    if (blocks_.size() > 1) blocks_.resize(1);
    at_ = blocks_.empty() ? nullptr : blocks_[0].get();
    left_ = blocks_.empty() ? 0 : kBlock;
  }

 private:
  static constexpr std::size_t kBlock = 64U << 10;
  void grow(std::size_t size) {
    // The first block has the standard size, so that reset() knows it.
    if (blocks_.empty()) {
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(kBlock));
      at_ = blocks_[0].get();
      left_ = kBlock;
      if (size <= left_) return;
    }
    const std::size_t block = size > kBlock ? size : kBlock;
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(block));
    at_ = blocks_.back().get();
    left_ = block;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* at_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace skald::query
