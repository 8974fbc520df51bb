#pragma once
// X-Scope-OrgID.

#include <string>
#include <vector>

#include "proto/base/status.h"
#include "proto/net/http_server.h"

namespace skald::query::api {

constexpr char kDefaultTenant[] = "fake";  // Loki's name for "tenancy is off"

// At least one tenant. kUnauthenticated "no org id" when tenancy is on and the header missing;
// kInvalidArgument for a bad name, or for "a|b" where only one is allowed.
base::Result<std::vector<std::string>> resolve_tenants(const net::ServerRequest& request,
                                                       bool auth_enabled, bool one_only);

}  // namespace skald::query::api
