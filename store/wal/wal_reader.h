#pragma once
// Recovery: reads every segment of a directory in order.
//
// A torn tail (a crash while a record was written) is passed over. Damage in the middle loses only
// what it hit: reading resumes at the next whole record. Void records (see wal_writer.h) are
// skipped. Nothing here fails because of the bytes found; the report says what was wrong.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "store/wal/wal_writer.h"

namespace skald::store::wal {

struct ReplayReport {
  std::vector<WalWriter::Segment> segments;
  std::vector<std::string> unreadable;  // names of segments that are not among them
  std::uint64_t records = 0;
  std::uint64_t next_sequence = 1;  // beyond every sequence seen, void ones and segments' names too
  std::uint64_t torn_bytes = 0;     // after the last whole record of a segment
  std::uint64_t damaged_bytes = 0;  // between whole records: acknowledged data may be lost
  std::uint64_t damaged_records = 0;  // `take` refused them
  std::vector<std::string> findings;  // one line for each place
};

// `take` gets each record once, in order; `owner` keeps the payload's bytes. What it refuses is
// counted as damage. Errors: only if the directory cannot be listed, or a segment not be read for a
// reason that is not the disk's (too many open files).
using TakeRecord = std::function<base::Status(std::uint64_t sequence, std::string_view payload,
                                              const std::shared_ptr<const void>& owner)>;
base::Result<ReplayReport> replay(base::FileSystem& fs, const std::string& directory,
                                  const TakeRecord& take);

}  // namespace skald::store::wal
