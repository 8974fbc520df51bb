#pragma once
// Answers about streams without reading entries. Only streams with entries in the range count, by
// the time bounds of parts and of the head's streams.

#include <string>
#include <string_view>
#include <vector>

#include "store/catalog/part_handle.h"
#include "store/ingest/tenant.h"
#include "store/scan.h"
#include "store/store.h"

namespace skald::store::read {

std::vector<std::string> label_names(const ingest::Tenant& tenant, const LabelQuery& query);
std::vector<std::string> label_values(const ingest::Tenant& tenant, const LabelQuery& query,
                                      std::string_view name);
std::vector<StreamInfo> series(const ingest::Tenant& tenant, const LabelQuery& query);
// Damaged parts count nothing.
std::vector<VolumeRow> volume(const ingest::Tenant& tenant, const LabelQuery& query,
                              catalog::PartCache& cache);

}  // namespace skald::store::read
