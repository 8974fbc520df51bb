#pragma once
// Turns one tenant's frozen head into parts, one for each UTC day it has entries of, so that
// retention drops whole files.

#include "proto/base/fs.h"
#include "proto/base/status.h"
#include "store/catalog/layout.h"
#include "store/catalog/part_handle.h"
#include "store/ingest/tenant.h"

namespace skald::store::ingest {

// Creates the tenant's directories durably.
base::Status make_tenant_directories(base::FileSystem& fs, const catalog::Layout& layout,
                                     const std::string& tenant);

// The parts are durable when this returns (renamed, directory synced), but not yet published in
// memory. Their names carry the sequences of their rows. After an error some may exist: start-up
// finds them by name, and a retry writes the same names again.
base::Result<catalog::PartList> write_parts(base::FileSystem& fs, const catalog::Layout& layout,
                                            const Tenant& tenant, const TenantHead& head);

// In one step for scans: the head goes, the parts come.
void publish_parts(Tenant& tenant, const std::shared_ptr<TenantHead>& head,
                   const catalog::PartList& parts);

}  // namespace skald::store::ingest
