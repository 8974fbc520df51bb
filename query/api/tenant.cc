#include "query/api/tenant.h"

#include <algorithm>

namespace skald::query::api {
namespace {

constexpr std::size_t kTenantBytesMax = 150;
constexpr std::size_t kTenantsMax = 64;  // of one query

bool is_tenant_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!-_.*'()").find(c) != std::string_view::npos;
}

base::Status check_name(std::string_view name) {
  if (name.size() > kTenantBytesMax)
    return base::invalid_argument("tenant ID is too long: max 150 characters");
  for (const char c : name)
    if (!is_tenant_char(c))
      return base::invalid_argument("tenant ID '" + std::string(name) +
                                    "' contains unsupported character '" + std::string(1, c) + "'");
  if (name == "." || name == "..") return base::invalid_argument("tenant ID is '.' or '..'");
  return {};
}

}  // namespace

base::Result<std::vector<std::string>> resolve_tenants(const net::ServerRequest& request,
                                                       bool auth_enabled, bool one_only) {
  if (!auth_enabled) return std::vector<std::string>{kDefaultTenant};
  std::string_view header = request.header("x-scope-orgid");
  if (header.empty()) return base::Status(base::Code::kUnauthenticated, "no org id");
  std::vector<std::string> tenants;
  while (true) {
    const std::size_t bar = header.find('|');
    const std::string_view name = header.substr(0, bar);
    SKALD_TRY(check_name(name));
    if (!name.empty()) tenants.emplace_back(name);
    if (bar == std::string_view::npos) break;
    header.remove_prefix(bar + 1);
  }
  std::sort(tenants.begin(), tenants.end());
  tenants.erase(std::unique(tenants.begin(), tenants.end()), tenants.end());
  if (tenants.empty()) return base::Status(base::Code::kUnauthenticated, "no org id");
  if (one_only && tenants.size() > 1) return base::invalid_argument("multiple org IDs present");
  if (tenants.size() > kTenantsMax)
    return base::invalid_argument("more than 64 org IDs in one request");
  return tenants;
}

}  // namespace skald::query::api
