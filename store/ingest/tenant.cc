#include "store/ingest/tenant.h"

#include <mutex>

namespace skald::store::ingest {

std::shared_ptr<Tenant> TenantTable::find(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const auto at = tenants_.find(name);
  return at == tenants_.end() ? nullptr : at->second;
}

std::shared_ptr<Tenant> TenantTable::find_or_add(std::string_view name) {
  if (auto tenant = find(name)) return tenant;
  const std::unique_lock lock(mutex_);
  auto& tenant = tenants_[std::string(name)];
  if (tenant == nullptr) tenant = std::make_shared<Tenant>(std::string(name));
  return tenant;
}

std::vector<std::shared_ptr<Tenant>> TenantTable::all() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<Tenant>> out;
  for (const auto& [name, tenant] : tenants_) out.push_back(tenant);
  return out;
}

}  // namespace skald::store::ingest
