// The index file in the store's life: trusted at start where it agrees with the directory, brought
// up to date after seals, merges and retention. See index/INDEX.md.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <shared_mutex>

#include "store/catalog/checkpoint.h"
#include "store/limits.h"
#include "store/store_impl.h"

namespace skald::store {
namespace {

// Of fewer streams than this it does not matter how many are dead.
constexpr std::size_t kDeadStreamsMin = 1024;

index::IndexedPart to_indexed(const catalog::PartMeta& meta) {
  return {meta.min_time_ns, meta.max_time_ns,   meta.entries,      meta.line_bytes, meta.file_bytes,
          meta.streams,     meta.search.offset, meta.search.bytes, meta.search.crc};
}

}  // namespace

void StoreImpl::open_index() {
  // LMDB goes past the FileSystem interface, so it is only used on the real one.
  if (&fs_ != &base::FileSystem::posix()) return;
  auto opened = index::IndexDb::open(fs_, layout_.index_directory());
  if (!opened.ok()) {
    findings_.push_back("index: not usable, starts will be slower: " + opened.status().to_string());
    return;
  }
  index_ = std::move(opened->db);
  index_contents_ = std::move(opened->contents);
  const bool first_start = sealed_through_ == 0 && opened->rebuilt.starts_with("not_found");
  if (!opened->rebuilt.empty() && !first_start) {
    ++counters_.index_rebuilds;
    findings_.push_back("index: built again from the parts: " + opened->rebuilt);
  }
  if (!checkpoint_lost_) return;
  for (const auto& [name, indexed] : index_contents_) {
    auto checkpoint = catalog::decode_checkpoint(indexed.marks);
    if (!checkpoint.ok()) continue;
    for (auto& [tenant, marks] : checkpoint->marks)
      tenants_.find_or_add(tenant)->marks = std::move(marks);
  }
}

// Numbers must come out as they were written: the parts' sets of streams refer to them.
void StoreImpl::take_streams(ingest::Tenant& tenant) {
  const auto found = index_contents_.find(tenant.name);
  if (found == index_contents_.end()) return;
  const index::StreamRecords& streams = found->second.streams;
  index::Bitmap used;
  for (const auto& [name, part] : found->second.parts) used.unite(part.streams);
  const bool mostly_dead = streams.size() >= kDeadStreamsMin && used.size() * 2 < streams.size();
  if (mostly_dead) {
    // The parts name the living ones; opening them all once gets rid of the rest.
    forget_index_of(tenant.name);
    return;
  }
  tenant.labels.reserve(streams.size());
  std::uint32_t number = 0;
  streams.for_each([&](model::StreamId id, std::span<const index::LabelIndex::PairView> labels) {
    return tenant.labels.add_known(id, labels) == number && ++number > 0;
  });
  if (number != streams.size()) {
    findings_.push_back("index: two streams of tenant " + tenant.name + " have one id");
    tenant.labels = index::LabelIndex();
    forget_index_of(tenant.name);
    return;
  }
  indexed_[tenant.name].streams = tenant.labels.size();
  for (const auto& [name, part] : found->second.parts) indexed_[tenant.name].parts.insert(name);
}

// Everything is written again at the next sync.
void StoreImpl::forget_index_of(const std::string& tenant) {
  index_contents_.clear();
  indexed_.clear();
  ++counters_.index_rebuilds;
  spdlog::info("store: the index is built again for tenant {} and all after it", tenant);
  if (const base::Status status = index_->clear(); !status.ok()) {
    findings_.push_back(status.to_string());
    index_.reset();
  }
}

bool StoreImpl::take_part(ingest::Tenant& tenant, const catalog::PartName& name,
                          std::uint64_t file_bytes) {
  const auto contents = index_contents_.find(tenant.name);
  if (contents == index_contents_.end()) return false;
  const auto found = contents->second.parts.find(name.to_string());
  if (found == contents->second.parts.end() || found->second.file_bytes != file_bytes) return false;
  const index::IndexedPart& indexed = found->second;
  for (const std::uint32_t number : indexed.streams.values())
    if (number >= tenant.labels.size()) return false;
  catalog::PartMeta meta{name,
                         indexed.min_time_ns,
                         indexed.max_time_ns,
                         indexed.entries,
                         indexed.line_bytes,
                         indexed.file_bytes,
                         indexed.streams,
                         {indexed.search_offset, indexed.search_bytes, indexed.search_crc}};
  tenant.parts.push_back(std::make_shared<catalog::PartHandle>(
      fs_, layout_.parts_directory(tenant.name) + "/" + name.to_string(), std::move(meta)));
  return true;
}

void StoreImpl::sync_index() {
  const std::scoped_lock syncing(index_mutex_);
  if (index_ == nullptr) return;
  std::vector<index::IndexChange> changes;
  for (const auto& tenant : tenants_.all()) {
    IndexedState& state = indexed_[tenant->name];
    index::IndexChange change;
    change.tenant = tenant->name;
    change.first_number = state.streams;
    std::set<std::string> now;
    {
      const std::shared_lock lock(tenant->mutex);
      for (std::uint32_t number = state.streams; number < tenant->labels.size(); ++number)
        change.new_streams.push_back({tenant->labels.id(number), tenant->labels.labels(number)});
      for (const auto& part : tenant->parts) {
        if (!part->unread().empty()) continue;  // nothing is known of it
        std::string name = part->meta().name.to_string();
        if (!state.parts.contains(name))
          change.new_parts.emplace_back(name, to_indexed(part->meta()));
        now.insert(std::move(name));
      }
    }
    std::set_difference(state.parts.begin(), state.parts.end(), now.begin(), now.end(),
                        std::back_inserter(change.gone_parts));
    if (change.new_streams.empty() && change.new_parts.empty() && change.gone_parts.empty())
      continue;
    catalog::Checkpoint marks;
    marks.marks[tenant->name] = committer_->read_marks(
        *tenant, [](const catalog::MarkTable& committed) { return committed; });
    if (marks.marks[tenant->name].size() > 0) change.marks = catalog::encode_checkpoint(marks);
    state.streams += static_cast<std::uint32_t>(change.new_streams.size());
    state.parts = std::move(now);
    changes.push_back(std::move(change));
  }
  if (changes.empty()) return;
  if (const base::Status status = index_->write(changes); !status.ok()) {
    // What the file holds is older than the store, which a start would notice part by part; but
    // streams could be missing, so it starts over.
    spdlog::warn("store: {}; the index starts over", status.to_string());
    indexed_.clear();
    if (!index_->clear().ok()) index_.reset();
  }
}

}  // namespace skald::store
