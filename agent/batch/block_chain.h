#pragma once
// A growing byte string in small blocks that are taken from and go back to a pool: batches are
// built without moving what is already there, and memory is reused from one batch to the next.
// Thread rule: a pool and its chains belong to one thread. The pool outlives its chains.

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "agent/batch/limits.h"

namespace skald::agent {

class BlockPool {
 public:
  char* take();
  void give_back(char* block) { free_.push_back(block); }
  std::size_t used_bytes() const noexcept { return (all_.size() - free_.size()) * kBlockBytes; }

 private:
  // Blocks come in slabs of 64 KiB, so that the allocator does not hold them apart.
  std::vector<std::unique_ptr<char[]>> slabs_;
  std::vector<char*> all_;
  std::vector<char*> free_;
};

class BlockChain {
 public:
  explicit BlockChain(BlockPool& pool) noexcept : pool_(&pool) {}
  BlockChain(BlockChain&& other) noexcept
      : pool_(other.pool_), blocks_(std::move(other.blocks_)), room_(other.room_), at_(other.at_) {
    other.blocks_.clear();
    other.room_ = 0;
  }
  BlockChain& operator=(BlockChain&&) = delete;
  ~BlockChain() {
    for (char* block : blocks_) pool_->give_back(block);
  }

  void append(std::string_view bytes) {
    if (bytes.size() <= room_) [[likely]] {
      std::memcpy(at_, bytes.data(), bytes.size());
      at_ += bytes.size();
      room_ -= bytes.size();
      return;
    }
    append_over_blocks(bytes);
  }
  std::size_t size() const noexcept { return blocks_.size() * kBlockBytes - room_; }

  // Calls fn(std::string_view) for each block in order.
  template <typename Fn>
  void for_each(Fn&& fn) const {
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      fn(std::string_view(blocks_[i], i + 1 < blocks_.size() ? kBlockBytes : kBlockBytes - room_));
  }

 private:
  void append_over_blocks(std::string_view bytes);
  BlockPool* pool_;
  std::vector<char*> blocks_;
  std::size_t room_ = 0;  // left in the last block
  char* at_ = nullptr;
};

}  // namespace skald::agent
