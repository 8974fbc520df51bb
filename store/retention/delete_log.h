#pragma once
// A tenant's delete requests as stored (LAYOUT.md): one small file, replaced atomically. Deletes
// hide rows from scans at once; compaction removes them from the parts, after which the record is
// marked processed and only remembered.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "proto/model/matcher.h"

namespace skald::store::retention {

struct DeleteRecord {
  std::string id;
  std::uint64_t number = 0;  // ascending in the order of creation; never reused in a tenant
  std::string query;
  model::Matchers matchers;
  std::vector<std::string> line_filters;
  model::TimeRange range;
  std::int64_t created_ns = 0;
  bool processed = false;
};

using DeleteList = std::vector<std::shared_ptr<const DeleteRecord>>;

std::string encode_deletes(const DeleteList& deletes);
// kCorrupt, kUnsupported (version).
base::Result<DeleteList> decode_deletes(std::string_view bytes);

}  // namespace skald::store::retention
