#pragma once
// Bounds of this room: all of it is fed by strangers.

#include <cstddef>
#include <cstdint>

namespace skald::wire {

// A decoded body. Clients send batches of about 1 MB; Fluent Bit's largest chunk is 2 MB. With the
// decompressor's window below, a bomb costs at most 64 MB whatever it claims.
constexpr std::size_t kDecodedBytesMax = 32U << 20;
// zstd's window for frames that do not state their size: what level 19 uses. `--long` is refused.
constexpr int kZstdWindowLogMax = 23;
// JSON that came compressed: its parser needs up to 5 bytes per byte of text.
constexpr std::size_t kUnpackedJsonBytesMax = 12U << 20;
// Buffers and arrays kept by a decoder between requests.
constexpr std::size_t kKeptBytesMax = 8U << 20;
// Distinct label texts remembered by a decoder: a few agents' worth. Then it starts anew.
constexpr std::size_t kLabelsCacheMax = 4096;
constexpr std::size_t kLabelsTextMax = 64U << 10;  // of one stream
// Of one request: 32 bytes each in memory, 2 on the wire.
constexpr std::size_t kEntriesMax = 400'000;
// Metadata pairs of one request that neighbouring entries do not share: 64 bytes each in memory.
constexpr std::size_t kPairsMax = 250'000;
constexpr std::size_t kStreamsMax = 100'000;  // of one request
constexpr std::size_t kMarksMax = 10'000;     // files with lines in one batch
constexpr std::size_t kMarkIdBytesMax = 256;
// Metadata pairs of one entry that are kept for validation to refuse.
constexpr std::size_t kMetadataPairsMax = 1024;
// Errors of single streams that are reported; the rest is counted.
constexpr std::size_t kRefusedTextsMax = 16;
// OTLP values nest; so do unknown protobuf groups.
constexpr int kNestingMax = 64;

}  // namespace skald::wire
