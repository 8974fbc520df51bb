#include "store/ingest/sealer.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "store/catalog/part_builder.h"
#include "store/ingest/limits.h"

namespace skald::store::ingest {
namespace {

using RowsOfDay = std::map<std::int64_t, std::vector<const HeadRow*>>;

RowsOfDay split_by_day(const std::vector<TenantHead::Slice>& slices) {
  RowsOfDay days;
  std::vector<const HeadRow*>* rows = nullptr;
  std::int64_t day = 0;
  for (const auto& slice : slices) {
    for (std::uint32_t i = 0; i < slice.rows; ++i) {
      const HeadRow& row = slice.chunk->rows[i];
      const std::int64_t row_day = catalog::day_of(row.timestamp_ns);
      if (rows == nullptr || row_day != day) {
        day = row_day;
        rows = &days[day];
      }
      rows->push_back(&row);
    }
  }
  return days;
}

base::Status write_rows(catalog::PartBuilder& builder, const Tenant& tenant,
                        const std::vector<const HeadRow*>& rows) {
  const auto info = [&tenant](std::uint32_t number) {
    const std::shared_lock lock(tenant.mutex);
    return StreamInfo{tenant.labels.id(number), tenant.labels.labels(number)};
  };
  std::vector<part::InputRow> group;
  group.reserve(std::min(rows.size(), kSealGroupRows));
  std::size_t bytes = 0;
  for (const HeadRow* row : rows) {
    group.push_back({builder.local_stream(row->stream, info),
                     row->timestamp_ns,
                     {row->line, row->line_size},
                     row->metadata});
    bytes += row->line_size;
    if (bytes < kSealGroupBytes && group.size() < kSealGroupRows) continue;
    SKALD_TRY(builder.add_row_group(group));
    group.clear();
    bytes = 0;
  }
  return group.empty() ? base::Status() : builder.add_row_group(group);
}

}  // namespace

base::Status make_tenant_directories(base::FileSystem& fs, const catalog::Layout& layout,
                                     const std::string& tenant) {
  SKALD_TRY(fs.make_directories(layout.tenant_directory(tenant)));
  return fs.make_directories(layout.parts_directory(tenant));
}

base::Result<catalog::PartList> write_parts(base::FileSystem& fs, const catalog::Layout& layout,
                                            const Tenant& tenant, const TenantHead& head) {
  catalog::PartList parts;
  if (head.entries() == 0) return parts;
  SKALD_TRY(make_tenant_directories(fs, layout, tenant.name));
  const std::string directory = layout.parts_directory(tenant.name);
  for (const auto& [day, rows] : split_by_day(head.snapshot())) {
    const Sequences sequences = head.sequences_of_day(day);
    const catalog::PartName name{day, sequences.first, sequences.last, 0};
    SKALD_TRY_ASSIGN(auto builder,
                     catalog::PartBuilder::create(fs, directory, name, part::Effort::kFast));
    SKALD_TRY(write_rows(*builder, tenant, rows));
    SKALD_TRY_ASSIGN(auto part, builder->publish());
    parts.push_back(std::move(part));
  }
  SKALD_TRY(fs.sync_directory(directory));
  return parts;
}

void publish_parts(Tenant& tenant, const std::shared_ptr<TenantHead>& head,
                   const catalog::PartList& parts) {
  const std::unique_lock lock(tenant.mutex);
  std::erase(tenant.heads, head);
  tenant.parts.insert(tenant.parts.end(), parts.begin(), parts.end());
  std::sort(tenant.parts.begin(), tenant.parts.end(),
            [](const auto& a, const auto& b) { return a->meta().name < b->meta().name; });
}

}  // namespace skald::store::ingest
