#include "store/compact/merge.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "store/catalog/part_builder.h"
#include "store/compact/limits.h"
#include "store/ingest/recent_set.h"

namespace skald::store::compact {
namespace {

class Merger {
 public:
  Merger(const ingest::Tenant& tenant, const MergeOptions& options, catalog::PartBuilder& builder)
      : tenant_(tenant),
        options_(options),
        builder_(builder),
        group_bytes_max_(std::max(kGroupBytesMin, options.memory_max / kMemoryPerGroupByte)),
        recent_(kRecentRows, 1) {}

  base::Status add_part(const part::PartReader& reader) {
    const auto numbers = read::number_streams(tenant_)(reader.streams());
    const auto groups = reader.row_groups();
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (options_.stopping != nullptr && options_.stopping->load())
        return base::cancelled("the store is shutting down");
      // Groups end where an input group ends: what the rows borrow from stays whole.
      if (group_bytes_ + groups[i].line_bytes > group_bytes_max_ ||
          group_.size() + groups[i].rows > kGroupRowsMax)
        SKALD_TRY(finish_group());
      SKALD_TRY_ASSIGN(part::RowGroupRows rows, reader.read_rows(i));
      held_.push_back(std::make_unique<part::RowGroupRows>(std::move(rows)));
      SKALD_TRY(add_rows(*held_.back(), numbers));
      spent(groups[i].file_bytes);
    }
    return {};
  }

  base::Status finish_group() {
    if (group_.empty()) {
      held_.clear();
      return {};
    }
    const std::uint64_t written = builder_.bytes_written();
    base::Status status = builder_.add_row_group(group_);
    group_.clear();
    group_bytes_ = 0;
    held_.clear();
    spent(builder_.bytes_written() - written);
    return status;
  }

  const MergeResult& counts() const { return counts_; }

 private:
  base::Status add_rows(const part::RowGroupRows& rows, const std::vector<std::uint32_t>& numbers) {
    for (const auto& row : rows.rows) {
      ++counts_.rows_in;
      const std::uint32_t number = numbers[row.stream];
      const model::Labels& metadata = rows.metadata[row.metadata];
      if (number == index::kNoStream) return base::internal("a part's stream is not in the index");
      if (dropped(row, number, metadata)) continue;
      ++counts_.rows_out;
      group_.push_back({builder_.local_stream(number, [this](std::uint32_t n) { return info(n); }),
                        row.timestamp_ns, row.line, metadata.empty() ? nullptr : &metadata});
      group_bytes_ += row.line.size();
    }
    return {};
  }

  void spent(std::uint64_t bytes) {
    if (options_.throttle != nullptr) options_.throttle->spent(bytes);
  }

  bool dropped(const part::RowGroupRows::Row& row, std::uint32_t number,
               const model::Labels& metadata) {
    if (options_.oldest_kept && row.timestamp_ns < oldest_kept(number)) {
      ++counts_.expired;
      return true;
    }
    for (const read::PlannedDelete& planned : options_.deletes) {
      if (!planned.range.contains(row.timestamp_ns) || !planned.streams.contains(number)) continue;
      if (std::all_of(planned.filters.begin(), planned.filters.end(),
                      [&](const LineFilter& filter) { return filter.matches(row.line); })) {
        ++counts_.deleted;
        return true;
      }
    }
    if (!recent_.insert(ingest::hash_entry(number, row.timestamp_ns, row.line,
                                           ingest::hash_metadata(&metadata)))) {
      ++counts_.duplicates;
      return true;
    }
    return false;
  }

  model::TimestampNs oldest_kept(std::uint32_t number) {
    if (const auto found = oldest_.find(number); found != oldest_.end()) return found->second;
    return oldest_.emplace(number, options_.oldest_kept(number)).first->second;
  }

  StreamInfo info(std::uint32_t number) const {
    const std::shared_lock lock(tenant_.mutex);
    return {tenant_.labels.id(number), tenant_.labels.labels(number)};
  }

  const ingest::Tenant& tenant_;
  const MergeOptions& options_;
  catalog::PartBuilder& builder_;
  const std::uint64_t group_bytes_max_;
  ingest::RecentSet recent_;
  std::unordered_map<std::uint32_t, model::TimestampNs> oldest_;
  std::vector<part::InputRow> group_;
  std::uint64_t group_bytes_ = 0;
  std::vector<std::unique_ptr<part::RowGroupRows>> held_;  // what group_ borrows from
  MergeResult counts_;
};

// Names are the manifest: a start takes what a part's name covers for its inputs and removes it.
// Nor may it take in rows that are in the head again because the part they were in was damaged, or
// overlap a part that is still to be read.
bool covers_another(const ingest::Tenant& tenant, const MergeRun& run,
                    const catalog::PartName& name) {
  const std::shared_lock lock(tenant.mutex);
  return std::any_of(tenant.parts.begin(), tenant.parts.end(),
                     [&](const auto& part) {
                       const bool taken_in = part->unread().empty()
                                                 ? name.covers(part->meta().name)
                                                 : name.overlaps(part->meta().name);
                       return taken_in && std::find(run.inputs.begin(), run.inputs.end(), part) ==
                                              run.inputs.end();
                     }) ||
         std::any_of(tenant.heads.begin(), tenant.heads.end(), [&](const auto& head) {
           const ingest::Sequences held = head->sequences_of_day(name.day);
           return held.first <= name.last_sequence && held.last >= name.first_sequence;
         });
}

// A merge that failed when its part had its name already left a file that may hold what the next
// merge puts in another part as well. Of those two neither need cover the other, and a start would
// take both. The removal is durable with the next part's name.
base::Status remove_stray_parts(base::FileSystem& fs, ingest::Tenant& tenant) {
  while (!tenant.stray_parts.empty()) {
    base::Status status = fs.remove(tenant.stray_parts.back());
    if (!status.ok() && status.code() != base::Code::kNotFound) return status;
    tenant.stray_parts.pop_back();
  }
  return {};
}

}  // namespace

base::Result<MergeResult> merge(base::FileSystem& fs, const catalog::Layout& layout,
                                ingest::Tenant& tenant, const MergeRun& run,
                                const MergeOptions& options) {
  catalog::PartName name = run.inputs.front()->meta().name;
  for (const auto& input : run.inputs) {
    const catalog::PartName& other = input->meta().name;
    name.first_sequence = std::min(name.first_sequence, other.first_sequence);
    name.last_sequence = std::max(name.last_sequence, other.last_sequence);
    name.level = std::max(name.level, other.level);
  }
  ++name.level;
  if (covers_another(tenant, run, name))
    return base::unavailable("put off: the name " + name.to_string() +
                             " covers rows that are not merged");
  SKALD_TRY(remove_stray_parts(fs, tenant));
  const std::string directory = layout.parts_directory(tenant.name);
  SKALD_TRY_ASSIGN(auto builder,
                   catalog::PartBuilder::create(fs, directory, name, part::Effort::kSmall));
  Merger merger(tenant, options, *builder);
  for (const auto& input : run.inputs) {
    auto reader = catalog::open_reader(fs, input->path());
    base::Status status = reader.ok() ? merger.add_part(**reader) : reader.status();
    if (!reader.ok() && base::is_media_error(status)) status = base::corrupt(status.to_string());
    if (status.code() == base::Code::kCorrupt) input->mark_damaged();
    if (!status.ok()) return std::move(status).with_context(input->meta().name.to_string());
  }
  SKALD_TRY(merger.finish_group());
  MergeResult result = merger.counts();
  if (builder->entries() == 0) return result;
  SKALD_TRY_ASSIGN(result.part, builder->publish());
  result.part->deletes_applied = options.deletes_through;
  base::Status status = fs.sync_directory(directory);
  if (status.ok()) return result;
  tenant.stray_parts.push_back(result.part->path());
  static_cast<void>(remove_stray_parts(fs, tenant).ok());  // else before the next merge
  return status;
}

void publish(ingest::Tenant& tenant, const MergeRun& run,
             const std::shared_ptr<catalog::PartHandle>& output) {
  const std::unique_lock lock(tenant.mutex);
  for (const auto& input : run.inputs) {
    input->supersede(output);
    std::erase(tenant.parts, input);
  }
  if (output == nullptr) return;
  tenant.parts.push_back(output);
  std::sort(tenant.parts.begin(), tenant.parts.end(),
            [](const auto& a, const auto& b) { return a->meta().name < b->meta().name; });
}

}  // namespace skald::store::compact
