#pragma once
// A split-block Bloom filter (as in Parquet's format): one 32-byte block per key, eight bits set.
// 10 bits per key give about 1 % false positives for one cache miss.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "store/part/hex.h"

namespace skald::store::part {

inline constexpr std::size_t kBloomBlockBytes = 32;
inline constexpr std::size_t kBloomBitsPerKey = 10;
inline constexpr std::uint32_t kBloomSalts[8] = {0x47B6137B, 0x44974D91, 0x8824AD5B, 0xA2B7289D,
                                                 0x705495C7, 0x2DF1424B, 0x9EFC4947, 0x5C6BFB31};

inline std::string make_bloom(std::size_t keys) {
  const std::size_t blocks = (keys * kBloomBitsPerKey + 255) / 256;
  return std::string((blocks == 0 ? 1 : blocks) * kBloomBlockBytes, '\0');
}

inline std::size_t bloom_block(std::size_t filter_bytes, std::uint64_t hash) noexcept {
  const std::uint64_t blocks = filter_bytes / kBloomBlockBytes;
  return static_cast<std::size_t>(((hash >> 32) * blocks) >> 32) * kBloomBlockBytes;
}

inline void bloom_add(std::string& filter, std::uint64_t hash) noexcept {
  char* const block = filter.data() + bloom_block(filter.size(), hash);
  for (std::size_t lane = 0; lane < 8; ++lane) {
    std::uint32_t word;
    std::memcpy(&word, block + lane * 4, 4);
    word |= 1U << ((static_cast<std::uint32_t>(hash) * kBloomSalts[lane]) >> 27);
    std::memcpy(block + lane * 4, &word, 4);
  }
}

inline bool bloom_block_has(const char* block, std::uint64_t hash) noexcept {
  for (std::size_t lane = 0; lane < 8; ++lane) {
    std::uint32_t word;
    std::memcpy(&word, block + lane * 4, 4);
    if ((word & (1U << ((static_cast<std::uint32_t>(hash) * kBloomSalts[lane]) >> 27))) == 0)
      return false;
  }
  return true;
}

inline bool bloom_has(std::string_view filter, std::uint64_t hash) noexcept {
  return filter.size() < kBloomBlockBytes ||
         bloom_block_has(filter.data() + bloom_block(filter.size(), hash), hash);
}

inline std::uint64_t bloom_hash(const Uuid& uuid) noexcept { return mix_hash(uuid.high, uuid.low); }

// Of a hex identifier's bytes: its first and last eight, and its size. At least eight bytes.
inline std::uint64_t bloom_hash(std::string_view bytes) noexcept {
  std::uint64_t first, last;
  std::memcpy(&first, bytes.data(), 8);
  std::memcpy(&last, bytes.data() + bytes.size() - 8, 8);
  return mix_hash(first, last ^ bytes.size());
}
inline constexpr std::size_t kFilteredHexBytesMin = 8;

}  // namespace skald::store::part
