#pragma once
// Limits of the directory layout and of what is kept open, with the reason.

#include <cstddef>
#include <cstdint>

namespace skald::store::catalog {

// Escaped (at worst three bytes per byte) a tenant must fit a file name of 255 bytes.
inline constexpr std::size_t kTenantBytesMax = 80;
// Opened parts are kept by the streams in their footers, which is what their memory depends on:
// about 300 bytes each.
inline constexpr std::uint64_t kOpenPartStreamsMax = 200'000;
inline constexpr std::size_t kOpenPartsMax = 512;
// What the groups of open parts keep parsed, 100-300 KB each where lines have many shapes. Those
// least recently asked for are closed beyond it, and parsed again when asked.
inline constexpr std::uint64_t kOpenPartBytesMax = 256U << 20;
// A search summary is read whole: 32 KB, and some bytes of checksums per row group.
inline constexpr std::uint64_t kSummaryBytesMax = 16U << 20;
// A checkpoint is read whole. 100 bytes per file mark.
inline constexpr std::uint64_t kCheckpointBytesMax = 256U << 20;
// Marks of files that nobody has written for so long are forgotten; the agent's file is gone.
inline constexpr std::int64_t kMarkAgeMaxNs = 90LL * 24 * 3600 * 1'000'000'000;
// Beyond this many the ones longest untouched go first.
inline constexpr std::size_t kMarksPerTenantMax = 200'000;
// Deletes of a tenant that are remembered, processed ones too.
inline constexpr std::size_t kDeletesPerTenantMax = 10'000;
inline constexpr std::uint64_t kDeletesBytesMax = 64U << 20;

}  // namespace skald::store::catalog
