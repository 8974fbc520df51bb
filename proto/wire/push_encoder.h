#pragma once
// Writes push requests in the protobuf form of PUSH.md, for our agent and our tests. Everything
// appends to a std::string the caller keeps and reuses, so that a batch is built without copies:
//
//   std::string entries;                         // one per stream of the batch under way
//   append_entry(entries, entry);                // as lines arrive; entries.size() is the batch
//   size
//   ...
//   std::string body;                            // when the batch is full
//   append_stream(body, labels_text, entries);   // once per stream
//   append_mark(body, mark);                     // once per file the batch has lines of
//   SKALD_TRY(zstd.compress(body, compressed));  // POST with kProtobufType and kZstdEncoding
//
// Threads: plain functions, safe from any thread; a ZstdCompressor belongs to one thread at a time.

#include <memory>
#include <string>
#include <string_view>

#include "proto/base/status.h"
#include "proto/model/push.h"

namespace skald::wire {

inline constexpr std::string_view kPushPath = "/loki/api/v1/push";
inline constexpr std::string_view kProtobufType = "application/x-protobuf";  // Content-Type
inline constexpr std::string_view kZstdEncoding = "zstd";                    // Content-Encoding
inline constexpr std::string_view kSnappyEncoding = "snappy";

// One `entries` field of a stream: time, line, structured metadata.
void append_entry(std::string& entries, const model::EntryView& entry);
// Bytes append_entry() will add.
std::size_t encoded_entry_size(const model::EntryView& entry) noexcept;

// One `streams` field of the request. `labels_text` is Labels::to_string(); `entries` is what
// append_entry() wrote, for that stream.
void append_stream(std::string& body, std::string_view labels_text, std::string_view entries);
// One `marks` field (ours, skipped by Loki).
void append_mark(std::string& body, const model::FileMark& mark);
// A whole batch, streams first.
void append_batch(std::string& body, const model::PushBatch& batch);

// Replaces `out` by the snappy raw block of `body`: what Loki itself understands.
void compress_snappy(std::string_view body, std::string& out);

// zstd with its context kept between calls.
class ZstdCompressor {
 public:
  explicit ZstdCompressor(int level = 1);
  ~ZstdCompressor();
  ZstdCompressor(ZstdCompressor&&) noexcept;
  ZstdCompressor& operator=(ZstdCompressor&&) noexcept;
  // Replaces `out` by one zstd frame of `body` with its content size and checksum. kInternal if
  // zstd refuses (out of memory).
  base::Status compress(std::string_view body, std::string& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::wire
