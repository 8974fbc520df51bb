// The write door: checks, retention limit, encoding; then the committer.

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <limits>

#include "store/catalog/limits.h"
#include "store/ingest/limits.h"
#include "store/retention_policy.h"
#include "store/store_impl.h"

namespace skald::store {

base::Status StoreImpl::check_space() {
  const std::scoped_lock lock(space_mutex_);
  const std::int64_t now_ns = base::Clock::system().monotonic_ns();
  if (space_checked_ns_ != 0 && now_ns - space_checked_ns_ < ingest::kSpaceCheckNs)
    return space_status_;
  space_checked_ns_ = now_ns;
  const auto free = fs_.free_bytes(layout_.root);
  space_status_ = {};
  if (free.ok() && *free < options_.disk_free_min)
    space_status_ = base::Status(
        base::Code::kNoSpace,
        fmt::format("{} has {} MB free, less than the {} MB kept in reserve; free some space, or "
                    "lower the retention limits",
                    layout_.root, *free >> 20, options_.disk_free_min >> 20));
  no_space_ = !space_status_.ok();
  return space_status_;
}

RetentionPolicy StoreImpl::policy_of(std::string_view tenant) const {
  if (options_.retention) return options_.retention(tenant);
  RetentionPolicy keep;
  keep.period_ns = 0;
  return keep;
}

namespace {

// The batch without the rows that were not stored, for live tail.
model::PushBatch without_dropped(const model::PushBatch& batch, const std::vector<bool>& kept) {
  model::PushBatch out;
  out.marks = batch.marks;
  std::size_t row = 0;
  for (const auto& stream : batch.streams) {
    model::PushStream filtered{stream.labels, {}};
    for (const auto& entry : stream.entries)
      if (kept[row++]) filtered.entries.push_back(entry);
    if (!filtered.entries.empty()) out.streams.push_back(std::move(filtered));
  }
  return out;
}

}  // namespace

base::Result<AppendResult> StoreImpl::append(std::string_view tenant_name,
                                             const model::PushBatch& batch) {
  if (tenant_name.empty() || tenant_name.size() > catalog::kTenantBytesMax)
    return base::invalid_argument(fmt::format("a tenant's name has 1 to {} bytes, not {}",
                                              catalog::kTenantBytesMax, tenant_name.size()));
  SKALD_TRY(check_space());
  const RetentionPolicy policy = policy_of(tenant_name);
  const AgeLimits limits(policy, batch, clock_.wall_ns());

  AppendResult result;
  std::vector<bool> kept;  // by row of the batch; only filled once a row is refused
  std::size_t row = 0;
  const auto keep = [&](std::size_t stream, const model::EntryView& entry) {
    const bool good = entry.timestamp_ns >= limits.oldest_ns(stream);
    if (!good) {
      if (result.too_old++ == 0)
        result.too_old_message = limits.describe(batch.streams[stream].labels, stream, entry);
      if (kept.empty()) kept.assign(row, true);
    }
    if (!kept.empty()) kept.push_back(good);
    ++row;
    return good;
  };
  SKALD_TRY_ASSIGN(wal::EncodedBatch encoded, wal::encode_batch(tenant_name, batch, keep));
  if (encoded.rows.empty() && encoded.marks.empty()) return result;
  const std::size_t rows = encoded.rows.size();

  auto committed = committer_->append(tenants_.find_or_add(tenant_name), std::move(encoded));
  if (!committed.ok()) {
    if (committed.status().code() == base::Code::kNoSpace) no_space_ = true;
    return std::move(committed).status();
  }
  result.appended = committed->appended;
  result.duplicates = committed->duplicates;

  std::shared_ptr<const AppendListener> listener;
  {
    const std::scoped_lock lock(hooks_mutex_);
    listener = listener_;
  }
  if (listener == nullptr || result.appended == 0) return result;
  if (kept.empty() && committed->dropped.empty()) {
    (*listener)(tenant_name, batch);
    return result;
  }
  if (kept.empty()) kept.assign(rows, true);
  std::size_t encoded_row = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) continue;
    if (!committed->dropped.empty() && committed->dropped[encoded_row]) kept[i] = false;
    ++encoded_row;
  }
  (*listener)(tenant_name, without_dropped(batch, kept));
  return result;
}

std::vector<model::FileMark> StoreImpl::marks(std::string_view tenant_name,
                                              std::string_view agent_id) {
  const auto tenant = tenants_.find(tenant_name);
  if (tenant == nullptr) return {};
  return committer_->read_marks(
      *tenant, [&](const catalog::MarkTable& marks) { return marks.of_agent(agent_id); });
}

void StoreImpl::set_append_listener(AppendListener listener) {
  const std::scoped_lock lock(hooks_mutex_);
  listener_ = listener ? std::make_shared<const AppendListener>(std::move(listener)) : nullptr;
}

}  // namespace skald::store
