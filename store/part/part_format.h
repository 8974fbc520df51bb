#pragma once
// Fixed parts of the file (PART.md): header and tail. The numbers are on disk.

#include <cstdint>
#include <string_view>

namespace skald::store::part {

inline constexpr std::string_view kPartMagic = "SKALDPRT";  // start of the file
inline constexpr std::string_view kTailMagic = "SKALDEND";  // end of the file
inline constexpr std::uint32_t kPartVersion = 2;
inline constexpr std::uint32_t kPartVersionMin = 1;  // without a search summary
inline constexpr std::size_t kHeaderBytes = 16;      // magic, u32 version, u32 zero
// u64 footer offset, u32 stored size, u32 decoded size, u32 crc32c of the stored footer,
// u32 crc32c of the 20 bytes before, magic.
inline constexpr std::size_t kTailBytes = 32;

enum class StreamOrder : std::uint8_t {
  kRuns = 0,  // rows lie stream by stream, in the order of the block's stream list
  kIds = 1,   // an index into the block's stream list per row
};

// The name of the one value that holds all of a row's metadata, for odd or too many name lists.
inline constexpr std::string_view kPackedMetadata{"\0", 1};

}  // namespace skald::store::part
