#pragma once
// One scan over the streams of several tenants, told apart by the label __tenant_id__: so that a
// query over them aggregates as over one.

#include <memory>
#include <string_view>

#include "proto/base/status.h"
#include "store/store.h"

namespace skald::query {

constexpr char kTenantLabel[] = "__tenant_id__";
constexpr char kTenantSeparator = '|';  // no tenant's name holds it

// As store.open_scan(), whose tenant may here be several: "a|b". Matchers on __tenant_id__ then
// choose among them; a label of that name which a stream had is called original___tenant_id__.
base::Result<std::unique_ptr<store::Scan>> open_tenants_scan(store::Store& store,
                                                             store::ScanRequest request);

}  // namespace skald::query
