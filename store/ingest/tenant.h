#pragma once
// One tenant's state in memory: streams, parts, heads, file marks, deletes. The lock covers all
// fields; a scan takes it shared for as long as it needs to copy pointers, never while reading.

#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "store/catalog/marks.h"
#include "store/catalog/part_handle.h"
#include "store/index/label_index.h"
#include "store/ingest/head.h"
#include "store/retention/delete_log.h"

namespace skald::store::ingest {

struct Tenant {
  explicit Tenant(std::string tenant_name) : name(std::move(tenant_name)) {}
  const std::string name;

  mutable std::shared_mutex mutex;
  index::LabelIndex labels;
  catalog::PartList parts;                         // ascending by name: day, then sequence
  std::vector<std::shared_ptr<TenantHead>> heads;  // oldest first; all but the open one are frozen
  catalog::MarkTable marks;
  std::vector<std::shared_ptr<const retention::DeleteRecord>> deletes;  // oldest first

  // Files of merges that failed behind their renaming. Under the store's compaction mutex.
  std::vector<std::string> stray_parts;

  std::uint64_t last_delete_number = 0;  // given since the start; under the store's deletes mutex

  catalog::PartList part_list() const {
    const std::shared_lock lock(mutex);
    return parts;
  }
};

// Tenants are never removed while the store lives.
class TenantTable {
 public:
  std::shared_ptr<Tenant> find(std::string_view name) const;
  std::shared_ptr<Tenant> find_or_add(std::string_view name);
  std::vector<std::shared_ptr<Tenant>> all() const;

 private:
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<Tenant>, std::less<>> tenants_;
};

}  // namespace skald::store::ingest
