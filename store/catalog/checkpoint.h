#pragma once
// The CHECKPOINT file (LAYOUT.md): how far the WAL is durable as parts, and the file marks, which
// no part carries. Written before WAL segments are dropped; replaced atomically.

#include <cstdint>
#include <map>
#include <string>

#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "store/catalog/marks.h"

namespace skald::store::catalog {

struct Checkpoint {
  std::uint64_t sealed_through = 0;        // records up to here are in parts (or dropped since)
  std::uint64_t hash_seed = 0;             // of the recent-entry hashes (see ingest/recent_set.h)
  std::map<std::string, MarkTable> marks;  // by tenant
  std::string recent;                      // hashes of the newest entries, 8 bytes each
};

std::string encode_checkpoint(const Checkpoint& checkpoint);
base::Result<Checkpoint> decode_checkpoint(std::string_view bytes);

}  // namespace skald::store::catalog
