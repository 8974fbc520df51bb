#pragma once
// Builds one part: an immutable, self-describing file of row groups in typed columns (PART.md).
//
//   PartWriter writer(options, [&](std::string_view bytes) { return file->append(bytes); });
//   const std::uint32_t local = writer.add_stream({id, labels});
//   writer.add_row_group(rows);              // any number of times; each is encoded on its own
//   SKALD_TRY_ASSIGN(PartSummary summary, writer.finish());
//
// The writer only hands bytes to the sink, in order, and never asks for them back; publishing the
// file (temporary name, fsync, rename, fsync of the directory) is the caller's. After an error of
// any call the output is worthless and must be thrown away.
//
// A row group is the unit of damage and of parallel scans. Good sizes are 16-32 MB of raw lines at
// a seal and 32-128 MB at compaction: larger groups share more. The working memory
// is about one byte per raw byte of the group, beyond the caller's lines (measured: 27 MB for a
// group of 25 MB, 140 MB for one of 134 MB).
//
// Threads: one writer belongs to one thread at a time.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "store/scan.h"

namespace skald::store::part {

enum class Effort : std::uint8_t {
  kFast,   // at seal: ingest speed first
  kSmall,  // at compaction: size first
};

struct WriterOptions {
  Effort effort = Effort::kFast;
};

// Borrows line and metadata, which must live until add_row_group() returns.
struct InputRow {
  std::uint32_t stream = 0;  // as add_stream() returned
  model::TimestampNs timestamp_ns = 0;
  std::string_view line;                    // any bytes, at most kLineBytesMax (limits.h)
  const model::Labels* metadata = nullptr;  // null or empty: none
};

struct StreamTotals {
  std::uint32_t stream = 0;  // local index
  std::uint64_t entries = 0;
  std::uint64_t line_bytes = 0;
  model::TimestampNs min_time_ns = 0;
  model::TimestampNs max_time_ns = 0;
};

// Where the search summary lies in the file; no bytes: there is none.
struct SummaryPlace {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
  std::uint32_t crc = 0;
};

struct PartSummary {
  std::uint64_t file_bytes = 0;
  std::uint64_t entries = 0;
  std::uint64_t line_bytes = 0;  // raw bytes of all lines
  model::TimestampNs min_time_ns = 0;
  model::TimestampNs max_time_ns = 0;
  std::vector<StreamTotals> streams;  // by local index, only those with entries
  SummaryPlace search;
};

class PartWriter {
 public:
  using Sink = std::function<base::Status(std::string_view bytes)>;

  PartWriter(WriterOptions options, Sink sink);
  ~PartWriter();
  PartWriter(const PartWriter&) = delete;
  PartWriter& operator=(const PartWriter&) = delete;

  // The same id and labels twice give two entries: the caller keeps its own map.
  std::uint32_t add_stream(StreamInfo info);

  // Rows in arrival order: of equal (stream, time), the earlier one comes back first; a later row
  // group comes after an earlier one. Otherwise any order of times is accepted.
  // At most kRowGroupRowsMax rows and kRowGroupBytesMax line bytes (limits.h), at least one row.
  base::Status add_row_group(std::span<const InputRow> rows);

  // Writes streams and footer. Nothing may be called after.
  base::Result<PartSummary> finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::store::part
