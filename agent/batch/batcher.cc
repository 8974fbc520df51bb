#include "agent/batch/batcher.h"

#include <algorithm>

#include "agent/batch/limits.h"
#include "proto/wire/push_encoder.h"

namespace skald::agent {

std::uint64_t SourceProgress::settled_to() const noexcept {
  std::uint64_t settled = covered_to();
  for (const Pending& batch : pending) settled = std::min(settled, batch.start);
  for (const Tenant& tenant : tenants)
    if (tenant.open) settled = std::min(settled, std::max(tenant.mark_to, first_offset));
  return settled;
}

Batcher::Batcher(BatcherOptions options, Refresh refresh, OnSealed on_sealed)
    : options_(std::move(options)),
      refresh_(std::move(refresh)),
      on_sealed_(std::move(on_sealed)) {}

void Batcher::set_protocol(bool with_marks) {
  with_marks_ = with_marks;
  encoding_ = with_marks ? Encoding::kZstd : Encoding::kSnappy;
  for (const auto& tenant : tenants_) tenant->batch.set_for_skald(with_marks);
}

Batcher::TenantBatch& Batcher::tenant_of(const std::string& name) {
  for (const auto& tenant : tenants_)
    if (tenant->name == name) return *tenant;
  tenants_.push_back(
      std::unique_ptr<TenantBatch>(new TenantBatch{name, OpenBatch(pool_), 1, 0, {}, false}));
  tenants_.back()->batch.set_for_skald(with_marks_);
  return *tenants_.back();
}

std::string Batcher::labels_text(const LabelSet& labels) const {
  if (options_.external_labels.empty()) return labels.labels().to_string();
  model::Labels merged = labels.labels();
  for (const auto& [name, value] : options_.external_labels)
    if (!merged.has(name)) merged.set(name, value);
  return merged.to_string();
}

Batcher::Slot& Batcher::slot_of(const LabelSet& labels) {
  if (labels.id() >= slots_.size()) slots_.resize(labels.id() + 1);
  Slot& slot = slots_[labels.id()];
  if (slot.set != &labels) {
    slot.set = &labels;
    slot.tenant = &tenant_of(labels.tenant().empty() ? options_.tenant : labels.tenant());
    slot.generation = 0;
  }
  return slot;
}

SourceProgress::Tenant& Batcher::progress_of(SourceProgress& source, std::uint32_t tenant) {
  for (SourceProgress::Tenant& progress : source.tenants)
    if (progress.tenant == tenant) return progress;
  SourceProgress::Tenant progress;
  progress.tenant = tenant;
  for (const auto& [name, offset] : source.stored)
    if (name == tenants_[tenant]->name) progress.mark_to = progress.skip_to = offset;
  source.tenants.push_back(progress);
  return source.tenants.back();
}

bool Batcher::add(const LabelSet& labels, std::int64_t timestamp_ns, std::string_view line,
                  MetadataView metadata, SourceProgress& source, std::uint64_t end,
                  std::int64_t now_ns) {
  Slot& slot = slot_of(labels);
  TenantBatch& tenant = *slot.tenant;
  const auto index = static_cast<std::uint32_t>(
      tenants_.size() == 1 ? 0 : std::find_if(tenants_.begin(), tenants_.end(), [&](const auto& t) {
                                   return t.get() == &tenant;
                                 }) - tenants_.begin());
  SourceProgress::Tenant& progress = progress_of(source, index);
  if (end <= progress.skip_to) return false;
  if (tenant.batch.empty()) tenant.opened_ns = now_ns;
  if (!progress.open) {
    progress.open = true;
    tenant.sources.push_back(&source);
  }
  if (slot.generation != tenant.generation) {
    slot.stream = tenant.batch.add_stream(labels_text(labels));
    slot.generation = tenant.generation;
  }
  tenant.batch.add(slot.stream, timestamp_ns, line, metadata);
  ++entries_total_;
  const std::size_t streams_max =
      options_.streams_max == 0 ? kBatchStreamsMax : options_.streams_max;
  if (tenant.batch.bytes() >= options_.batch_bytes || tenant.batch.streams() >= streams_max ||
      tenant.batch.entries() >= kBatchEntriesMax || tenant.sources.size() >= kBatchFilesMax ||
      pool_.used_bytes() > kOpenBytesMax) [[unlikely]] {
    tenant.full = true;
    any_full_ = true;
  }
  return true;
}

base::Status Batcher::seal(TenantBatch& tenant) {
  tenant.full = false;
  if (tenant.batch.empty()) return {};
  const auto index =
      static_cast<std::uint32_t>(std::find_if(tenants_.begin(), tenants_.end(),
                                              [&](const auto& t) { return t.get() == &tenant; }) -
                                 tenants_.begin());
  SealedBatch sealed;
  sealed.number = ++last_number_;
  sealed.tenant = tenant.name;
  sealed.encoding = encoding_;
  sealed.entries = tenant.batch.entries();
  sealed.line_bytes = tenant.batch.bytes();
  for (SourceProgress* source : tenant.sources) {
    refresh_(*source);
    SourceProgress::Tenant& progress = progress_of(*source, index);
    const std::uint64_t end = std::max(source->covered_to(), progress.mark_to);
    if (with_marks_ && !source->file_id.empty()) {  // lines without a file have no marks
      wire::append_mark(sealed.marks, {options_.agent_id, source->file_id, progress.mark_to, end});
    }
    const std::uint64_t start = std::max(progress.mark_to, source->first_offset);
    sealed.spans.push_back({source->source, start, end});
    source->pending.push_back({sealed.number, start});
    progress.mark_to = end;
    progress.open = false;
  }
  SKALD_TRY(compressor_.compress(tenant.batch, sealed.marks, encoding_, sealed.body));
  tenant.sources.clear();
  tenant.batch.clear();
  ++tenant.generation;
  on_sealed_(std::move(sealed));
  return {};
}

base::Status Batcher::seal_full() {
  if (!any_full_) [[likely]]
    return {};
  any_full_ = false;
  for (const auto& tenant : tenants_) {
    if (!tenant->full) continue;
    if (may_seal(*tenant))
      SKALD_TRY(seal(*tenant));
    else
      any_full_ = true;
  }
  return {};
}

base::Status Batcher::seal_due(std::int64_t now_ns) {
  for (const auto& tenant : tenants_)
    if (!tenant->batch.empty() && now_ns - tenant->opened_ns >= options_.batch_wait_ns &&
        may_seal(*tenant))
      SKALD_TRY(seal(*tenant));
  return {};
}

base::Status Batcher::seal_all() {
  for (const auto& tenant : tenants_) SKALD_TRY(seal(*tenant));
  return {};
}

std::int64_t Batcher::next_due_ns() const noexcept {
  std::int64_t due = std::numeric_limits<std::int64_t>::max();
  for (const auto& tenant : tenants_)
    if (!tenant->batch.empty() && may_seal(*tenant))
      due = std::min(due, tenant->opened_ns + options_.batch_wait_ns);
  return due;
}

void Batcher::acknowledged(SourceProgress& source, std::uint64_t batch) {
  std::erase_if(source.pending, [batch](const auto& p) { return p.batch == batch; });
}

void Batcher::discard_open(const std::string& name) {
  TenantBatch& tenant = tenant_of(name);
  tenant.batch.clear();
  tenant.full = false;
  ++tenant.generation;
  // Their `open` flags stay for rewind() to see.
  tenant.sources.clear();
}

std::uint64_t Batcher::open_from(const SourceProgress& source, const std::string& name) const {
  for (const SourceProgress::Tenant& progress : source.tenants)
    if (progress.open && tenants_[progress.tenant]->name == name)
      return std::max(progress.mark_to, source.first_offset);
  return kNoOffset;
}

void Batcher::rewind(SourceProgress& source, const std::string& name, std::uint64_t stored_to) {
  TenantBatch& tenant = tenant_of(name);
  for (std::size_t i = 0; i < tenants_.size(); ++i) {
    SourceProgress::Tenant& progress = progress_of(source, static_cast<std::uint32_t>(i));
    if (tenants_[i].get() != &tenant) {  // has all of it, in batches or dropped
      progress.skip_to = std::max(progress.skip_to, source.covered_to());
      continue;
    }
    progress.open = false;
    progress.mark_to = stored_to == kNoOffset ? 0 : stored_to;
    progress.skip_to = progress.mark_to;
  }
}

void Batcher::forget(SourceProgress& source) {
  for (const auto& tenant : tenants_) std::erase(tenant->sources, &source);
}

std::vector<std::string> Batcher::tenants() const {
  std::vector<std::string> names;
  for (const auto& tenant : tenants_) names.push_back(tenant->name);
  return names;
}

}  // namespace skald::agent
