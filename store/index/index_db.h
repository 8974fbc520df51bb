#pragma once
// The index file: an LMDB database (INDEX.md) that spares start-up the reading of all parts. It
// holds the streams of each tenant by number, what is known of each part, and a second copy of the
// file marks. It is a cache: whatever is wrong with it, it is thrown away and built again.
//
// Threads: not synchronised; the store calls it under its own lock. One process only (the data
// directory is locked), so LMDB's lock file is not used.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "store/index/bitmap.h"
#include "store/index/label_index.h"

struct MDB_env;

namespace skald::store::index {

struct IndexedStream {
  model::StreamId id;
  model::Labels labels;
};

struct IndexedPart {
  model::TimestampNs min_time_ns = 0, max_time_ns = 0;
  std::uint64_t entries = 0, line_bytes = 0, file_bytes = 0;
  Bitmap streams;
  // Where its search summary lies; 0 bytes: it has none.
  std::uint64_t search_offset = 0;
  std::uint32_t search_bytes = 0, search_crc = 0;
};

// The streams of a tenant by number, without gaps, as the records of the file: a million of them
// are not worth a million little objects on their way into the LabelIndex.
class StreamRecords {
 public:
  std::uint32_t size() const noexcept { return count_; }
  // Calls visit(id, labels) in the order of the numbers until it returns false. Labels are in the
  // order of their names; views live as long as this does.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    std::vector<LabelIndex::PairView> labels;
    base::ByteReader reader(bytes_);
    for (std::uint32_t i = 0; i < count_; ++i) {
      const model::StreamId id{reader.read_le<std::uint64_t>()};
      labels.resize(reader.read_varint());
      for (auto& [name, value] : labels) {
        name = reader.read_bytes();
        value = reader.read_bytes();
      }
      if (!visit(id, std::span<const LabelIndex::PairView>(labels))) return;
    }
  }
  // False: the record is not well-formed.
  bool append(std::string_view record);

 private:
  std::string bytes_;
  std::uint32_t count_ = 0;
};

struct IndexedTenant {
  StreamRecords streams;
  std::map<std::string, IndexedPart> parts;  // by file name
  std::string marks;                         // opaque to the index
};
using IndexContents = std::map<std::string, IndexedTenant>;

// One change of one tenant, written in one transaction with the others of its batch.
struct IndexChange {
  std::string tenant;
  std::uint32_t first_number = 0;  // of new_streams
  std::vector<IndexedStream> new_streams;
  std::vector<std::pair<std::string, IndexedPart>> new_parts;
  std::vector<std::string> gone_parts;
  std::string marks;  // empty: as they are
};

class IndexDb {
 public:
  // Makes the directory; an unusable file is removed. `rebuilt` says why there is nothing to load
  // although there was a file, or that there was none.
  struct Opened {
    std::unique_ptr<IndexDb> db;
    IndexContents contents;
    std::string rebuilt;  // empty: loaded
  };
  static base::Result<Opened> open(base::FileSystem& fs, const std::string& directory);
  // Forgets everything (when its contents contradict the store).
  base::Status clear();
  base::Status write(const std::vector<IndexChange>& changes);
  ~IndexDb();

 private:
  explicit IndexDb(MDB_env* env) : env_(env) {}
  base::Result<IndexContents> load() const;
  MDB_env* env_;
};

}  // namespace skald::store::index
