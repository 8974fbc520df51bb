#pragma once
// Opens a part (PART.md) over the bytes of a mapped file. Everything in the file is untrusted:
// lengths are capped, nothing is read out of bounds, and damage is kCorrupt with the place.
//
// open() verifies magic, version and footer; pages are verified when they are first read. Damage
// inside a row group shows when that group is opened or one of its columns is read, and says
// nothing about the other groups.
//
// Threads: a PartReader is immutable to its callers and may be shared; Blocks belong to one worker.
// Blocks keep the reader (and so the mapping) alive.

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "store/part/block_context.h"
#include "store/part/part_writer.h"
#include "store/scan.h"

namespace skald::store::part {

struct RowGroupInfo {
  model::TimestampNs min_time_ns = 0;
  model::TimestampNs max_time_ns = 0;
  std::uint32_t rows = 0;
  std::uint64_t line_bytes = 0;
  std::uint64_t file_bytes = 0;       // of its pages
  std::vector<StreamTotals> streams;  // ascending local index, only those with entries
};

// All rows of a row group with their lines rebuilt, in the order the writer wants them back
// (ascending time; ties in arrival order), so that compaction can merge groups. Lines borrow from
// the struct itself. Peak memory is the raw bytes of the group and its decoded columns.
struct RowGroupRows {
  struct Row {
    std::uint32_t stream = 0;    // local index
    std::uint32_t metadata = 0;  // index into `metadata`; 0 is always empty
    model::TimestampNs timestamp_ns = 0;
    std::string_view line;
  };
  std::vector<Row> rows;
  std::vector<model::Labels> metadata;
  std::vector<std::unique_ptr<char[]>> storage;
  std::vector<std::shared_ptr<const void>> owners;  // of lines not in `storage`
};

struct GroupSpec;  // group_spec.h

using BlockNumbers = std::vector<std::uint32_t>;  // indices of blocks within their row group

class PartReader : public std::enable_shared_from_this<PartReader> {
 public:
  // `name` is only for messages. kCorrupt, kUnsupported (unknown version).
  static base::Result<std::shared_ptr<const PartReader>> open(
      std::shared_ptr<const base::MappedFile> file, std::string name);
  ~PartReader();

  const std::string& name() const noexcept;
  std::uint64_t file_bytes() const noexcept;
  std::span<const StreamInfo> streams() const noexcept;  // by local index
  std::span<const RowGroupInfo> row_groups() const noexcept;
  const PartSummary& summary() const noexcept;  // totals of all row groups
  // About what the groups looked at so far keep in memory.
  std::uint64_t memory_bytes() const noexcept;

  // False proves that no line of the part matches; true proves nothing.
  // Damage answers true: opening the group will report it.
  bool may_match(const LineFilter& filter) const;
  // The same for each block of a row group: the numbers, ascending, of those that may have a line
  // which passes all filters. Damage answers nothing: opening the group will report it.
  std::optional<BlockNumbers> blocks_that_may_match(std::span<const LineFilter> filters,
                                                    std::size_t row_group) const;

  // The row group's blocks that have at least one selected stream and overlap the range, in no
  // order; with `only`, no others than these. The Blocks share `context`.
  base::Result<std::vector<std::unique_ptr<Block>>> open_row_group(
      std::size_t row_group, std::shared_ptr<const BlockContext> context,
      const BlockNumbers* only = nullptr) const;

  base::Result<RowGroupRows> read_rows(std::size_t row_group) const;

  // Every checksum and every row of every group: `skaldctl check --deep`.
  base::Status verify() const;

  // The parsed metadata of a group: for tools that print what a part is made of.
  base::Result<std::shared_ptr<const GroupSpec>> group_for_tools(std::size_t row_group) const;

 private:
  struct Impl;
  struct OpenGroup;
  explicit PartReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::store::part
