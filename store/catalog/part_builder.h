#pragma once
// Writes one part under a temporary name and publishes it: temporary file, fsync, rename. The
// directory is synced by the caller, once for all parts of a seal.
//
// Destroyed before publish() it removes its file. Threads: one at a time.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "store/catalog/part_handle.h"
#include "store/part/part_writer.h"

namespace skald::store::catalog {

inline constexpr std::string_view kTemporarySuffix = ".tmp";

class PartBuilder {
 public:
  static base::Result<std::unique_ptr<PartBuilder>> create(base::FileSystem& fs,
                                                           const std::string& parts_directory,
                                                           PartName name, part::Effort effort);
  ~PartBuilder();
  PartBuilder(const PartBuilder&) = delete;
  PartBuilder& operator=(const PartBuilder&) = delete;

  // The part's local index of a stream, by the tenant's number.
  template <typename Info>
  std::uint32_t local_stream(std::uint32_t number, Info&& info) {
    const auto found = locals_.find(number);
    if (found != locals_.end()) return found->second;
    const std::uint32_t local = writer_->add_stream(info(number));
    numbers_.push_back(number);
    locals_.emplace(number, local);
    return local;
  }
  base::Status add_row_group(std::span<const part::InputRow> rows);
  std::uint64_t entries() const noexcept { return entries_; }
  std::uint64_t bytes_written() const noexcept { return written_; }

  base::Result<std::shared_ptr<PartHandle>> publish();

 private:
  PartBuilder(base::FileSystem& fs, std::string directory, PartName name);

  base::FileSystem& fs_;
  const std::string directory_;
  const PartName name_;
  std::string path_, temporary_;
  std::unique_ptr<base::File> file_;
  std::unique_ptr<part::PartWriter> writer_;
  std::vector<std::uint32_t> numbers_;  // by local index
  std::unordered_map<std::uint32_t, std::uint32_t> locals_;
  std::uint64_t entries_ = 0, written_ = 0;
  bool published_ = false;
};

}  // namespace skald::store::catalog
