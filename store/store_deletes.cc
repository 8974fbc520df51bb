// Delete requests: kept in a small file per tenant, in force in every scan opened after.

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <shared_mutex>

#include "store/catalog/limits.h"
#include "store/ingest/sealer.h"
#include "store/store_impl.h"

namespace skald::store {

void StoreImpl::set_delete_filter_factory(LineFilterFactory factory) {
  const std::scoped_lock lock(hooks_mutex_);
  filter_factory_ = std::move(factory);
  filters_by_delete_.clear();
}

namespace {

DeleteRequest to_request(const std::string& tenant, const retention::DeleteRecord& record) {
  DeleteRequest out;
  out.id = record.id;
  out.tenant = tenant;
  out.query = record.query;
  out.matchers = record.matchers;
  out.line_filters = record.line_filters;
  out.range = record.range;
  out.created_ns = record.created_ns;
  out.state = record.processed ? DeleteRequest::State::kProcessed : DeleteRequest::State::kReceived;
  return out;
}

}  // namespace

// Filters borrow what the factory keeps alive, so they are built once and kept.
base::Result<std::vector<LineFilter>> StoreImpl::delete_filters(
    const std::string& tenant, const retention::DeleteRecord& record) {
  if (record.line_filters.empty()) return std::vector<LineFilter>();
  const std::scoped_lock lock(hooks_mutex_);
  const std::string key = tenant + '\0' + record.id;
  if (const auto found = filters_by_delete_.find(key); found != filters_by_delete_.end())
    return found->second;
  if (!filter_factory_)
    return base::unavailable("its line filters cannot be evaluated yet (no filter factory set)");
  SKALD_TRY_ASSIGN(auto filters, filter_factory_(to_request(tenant, record)));
  filters_by_delete_.emplace(key, filters);
  return filters;
}

read::DeleteFilters StoreImpl::delete_filter_source(const std::string& tenant) {
  return [this, tenant](const retention::DeleteRecord& record) {
    return delete_filters(tenant, record);
  };
}

// Under deletes_mutex_. After an error the file may have the change all the same, when its renaming
// was done and the sync of the directory failed. A refused request must not act at the next start,
// so the file is then made to say again what is in force.
base::Status StoreImpl::save_deletes(ingest::Tenant& tenant, retention::DeleteList deletes) {
  SKALD_TRY(settle_deletes(tenant));
  SKALD_TRY(ingest::make_tenant_directories(fs_, layout_, tenant.name));
  base::Status status = base::write_file_atomically(fs_, layout_.deletes_file(tenant.name),
                                                    retention::encode_deletes(deletes));
  if (!status.ok()) {
    unsettled_deletes_.insert(tenant.name);
    if (const base::Status again = settle_deletes(tenant); !again.ok())
      spdlog::error("store: tenant {}: a refused change of its deletes is still in the file: {}",
                    tenant.name, again.to_string());
    return status;
  }
  const std::unique_lock lock(tenant.mutex);
  tenant.deletes = std::move(deletes);
  return {};
}

// Under deletes_mutex_.
base::Status StoreImpl::settle_deletes(ingest::Tenant& tenant) {
  if (!unsettled_deletes_.contains(tenant.name)) return {};
  std::string in_force;
  {
    const std::shared_lock lock(tenant.mutex);
    if (!tenant.deletes.empty()) in_force = retention::encode_deletes(tenant.deletes);
  }
  const std::string path = layout_.deletes_file(tenant.name);
  const auto found = fs_.read_file(path, catalog::kDeletesBytesMax);
  const bool untouched = found.ok()
                             ? *found == in_force
                             : in_force.empty() && found.status().code() == base::Code::kNotFound;
  // The renaming was not done: there is nothing to take back.
  if (!untouched)
    SKALD_TRY(base::write_file_atomically(
        fs_, path, in_force.empty() ? retention::encode_deletes({}) : in_force));
  unsettled_deletes_.erase(tenant.name);
  return {};
}

void StoreImpl::settle_all_deletes() {
  const std::scoped_lock changing(deletes_mutex_);
  for (const auto& tenant : tenants_.all())
    static_cast<void>(settle_deletes(*tenant).ok());  // it was logged; the next pass tries again
}

base::Result<std::string> StoreImpl::add_delete(DeleteRequest request) {
  if (request.tenant.empty() || request.tenant.size() > catalog::kTenantBytesMax)
    return base::invalid_argument("a delete request needs the name of a tenant");
  if (request.matchers.empty())
    return base::invalid_argument("a delete request needs at least one label matcher");
  if (request.range.end_ns <= request.range.start_ns)
    return base::invalid_argument("a delete request must end after it starts");
  const std::scoped_lock changing(deletes_mutex_);
  const auto tenant = tenants_.find_or_add(request.tenant);
  retention::DeleteList deletes;
  {
    const std::shared_lock lock(tenant->mutex);
    deletes = tenant->deletes;
  }
  while (deletes.size() >= catalog::kDeletesPerTenantMax) {
    const auto old = std::find_if(deletes.begin(), deletes.end(),
                                  [](const auto& record) { return record->processed; });
    if (old == deletes.end())
      return base::resource_exhausted(
          fmt::format("{} delete requests wait to be processed; cancel some or wait for compaction",
                      deletes.size()));
    deletes.erase(old);
  }
  auto record = std::make_shared<retention::DeleteRecord>();
  // Never one that was cancelled: a merge that is under way knows its deletes by number.
  record->number =
      std::max(deletes.empty() ? 0 : deletes.back()->number, tenant->last_delete_number) + 1;
  tenant->last_delete_number = record->number;
  record->created_ns = clock_.wall_ns();
  record->id =
      request.id.empty()
          ? fmt::format("{:08x}{:04x}",
                        static_cast<std::uint32_t>(record->created_ns / base::kNsPerSecond),
                        record->number & 0xFFFF)
          : request.id;
  record->query = std::move(request.query);
  record->matchers = std::move(request.matchers);
  record->line_filters = std::move(request.line_filters);
  record->range = request.range;
  // A filter that does not compile is refused now, not at every scan.
  if (const auto filters = delete_filters(request.tenant, *record);
      !filters.ok() && filters.status().code() != base::Code::kUnavailable)
    return filters.status();
  deletes.push_back(record);
  SKALD_TRY(save_deletes(*tenant, std::move(deletes)));
  return record->id;
}

std::vector<DeleteRequest> StoreImpl::deletes(std::string_view tenant_name) {
  std::vector<DeleteRequest> out;
  const auto tenant = tenants_.find(tenant_name);
  if (tenant == nullptr) return out;
  const std::shared_lock lock(tenant->mutex);
  for (const auto& record : tenant->deletes) out.push_back(to_request(tenant->name, *record));
  return out;
}

base::Status StoreImpl::cancel_delete(std::string_view tenant_name, std::string_view id) {
  const std::scoped_lock changing(deletes_mutex_);
  const auto tenant = tenants_.find(tenant_name);
  retention::DeleteList deletes;
  if (tenant != nullptr) {
    const std::shared_lock lock(tenant->mutex);
    deletes = tenant->deletes;
  }
  const auto found = std::find_if(deletes.begin(), deletes.end(),
                                  [&](const auto& record) { return record->id == id; });
  if (found == deletes.end()) return base::not_found(fmt::format("no delete request {}", id));
  if ((*found)->processed)
    return base::conflict(fmt::format("delete request {} has been processed already", id));
  tenant->last_delete_number = std::max(tenant->last_delete_number, (*found)->number);
  deletes.erase(found);
  return save_deletes(*tenant, std::move(deletes));
}

base::Status StoreImpl::mark_processed(ingest::Tenant& tenant,
                                       const std::vector<read::PlannedDelete>& applied) {
  const std::scoped_lock changing(deletes_mutex_);
  retention::DeleteList deletes;
  {
    const std::shared_lock lock(tenant.mutex);
    deletes = tenant.deletes;
  }
  for (auto& record : deletes) {
    const bool done = std::any_of(applied.begin(), applied.end(), [&](const auto& planned) {
      return planned.number == record->number;
    });
    if (!done || record->processed) continue;
    auto processed = std::make_shared<retention::DeleteRecord>(*record);
    processed->processed = true;
    record = std::move(processed);
  }
  return save_deletes(tenant, std::move(deletes));
}

}  // namespace skald::store
