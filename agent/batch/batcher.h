#pragma once
// One client's open batches, one per tenant, and the account of which bytes of which source each
// batch settles.
//
// Exactly once rests on this: for a (tenant, source) the marks of successive batches are adjacent
// byte ranges. A range covers every line in it, those included that went to no batch of this tenant
// (dropped, or another tenant's). Entries a pipeline still holds are not covered: the range ends
// before the first of them.
//
// Sealing never happens while a line is in the pipeline, only between lines (seal_full).
// Thread rule: one thread.

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/batch/batch.h"
#include "agent/label/label_set.h"
#include "proto/model/labels.h"

namespace skald::agent {

constexpr std::uint64_t kNoOffset = std::numeric_limits<std::uint64_t>::max();

// What one source has in batches. Belongs to the source's owner; lives until forget().
struct SourceProgress {
  struct Tenant {
    std::uint32_t tenant = 0;
    bool open = false;          // has entries in the open batch
    std::uint64_t mark_to = 0;  // where the next mark starts: the end of the one before
    std::uint64_t skip_to = 0;  // lines that end at or before this are stored already
  };
  struct Pending {
    std::uint64_t batch = 0;
    std::uint64_t start = 0;
  };

  std::uint64_t source = 0;
  std::string file_id;                  // for marks; set before the first batch is sealed
  std::uint64_t first_offset = 0;       // where this run began to read
  std::uint64_t processed_to = 0;       // end of the last line given to the pipeline
  std::uint64_t held_from = kNoOffset;  // of the pipeline, as of the last refresh
  std::vector<Tenant> tenants;
  std::vector<Pending> pending;  // sealed and not yet acknowledged
  // Marks found in the store at start, by tenant, for tenants not met yet.
  std::vector<std::pair<std::string, std::uint64_t>> stored;

  std::uint64_t covered_to() const noexcept { return std::min(processed_to, held_from); }
  // Everything before this offset is acknowledged or was dropped.
  std::uint64_t settled_to() const noexcept;
  bool is_settled() const noexcept { return settled_to() == processed_to; }
};

struct BatcherOptions {
  std::size_t batch_bytes = 1'048'576;
  std::int64_t batch_wait_ns = 1'000'000'000;
  std::size_t streams_max = 0;    // per batch; 0: kBatchStreamsMax
  std::string tenant;             // of entries without one of their own
  model::Labels external_labels;  // added where absent
  std::string agent_id;           // for marks
};

class Batcher {
 public:
  // `refresh` brings held_from up to date before it is used; `on_sealed` takes each batch. Neither
  // may call back.
  using Refresh = std::function<void(SourceProgress&)>;
  using OnSealed = std::function<void(SealedBatch)>;
  // Whether a tenant's batch may be sealed now. If not, it stays open until it may, or until the
  // open batches take too much memory. May be empty.
  using MaySeal = std::function<bool(const std::string& tenant)>;
  void set_may_seal(MaySeal may_seal) { may_seal_ = std::move(may_seal); }
  Batcher(BatcherOptions options, Refresh refresh, OnSealed on_sealed);

  // Skald: marks and zstd. Loki: snappy. Before the first entry.
  void set_protocol(bool with_marks);

  // `end`: of the entry's bytes in its source. The progress object is remembered while a batch is
  // open. False: the entry is in the store already and was left out.
  bool add(const LabelSet& labels, std::int64_t timestamp_ns, std::string_view line,
           MetadataView metadata, SourceProgress& source, std::uint64_t end, std::int64_t now_ns);
  // Between lines: seals what is full. Cheap when nothing is.
  base::Status seal_full();
  base::Status seal_due(std::int64_t now_ns);
  base::Status seal_all();
  std::int64_t next_due_ns() const noexcept;  // monotonic; int64 max: nothing is open

  void acknowledged(SourceProgress& source, std::uint64_t batch);
  // The store has less, or more, of this tenant than we thought: forget the open batch, ...
  void discard_open(const std::string& tenant);
  // ... and then for every source with a part in it or in the refused sealed ones: the next mark
  // starts at `stored_to` (kNoOffset: the store knows nothing of it), lines before it are left out.
  // Other tenants leave out what they already have. The caller then reads again.
  void rewind(SourceProgress& source, const std::string& tenant, std::uint64_t stored_to);
  void forget(SourceProgress& source);  // the source ended

  // LabelSetTable::collect() freed sets: pointers and ids may mean others now.
  void forget_label_sets() { slots_.clear(); }
  // Where this source's unsealed entries of the tenant begin; kNoOffset: there are none.
  std::uint64_t open_from(const SourceProgress& source, const std::string& tenant) const;

  std::vector<std::string> tenants() const;
  std::uint64_t entries_total() const noexcept { return entries_total_; }
  std::size_t open_bytes() const noexcept { return pool_.used_bytes(); }

 private:
  struct TenantBatch {
    std::string name;
    OpenBatch batch;
    std::uint64_t generation = 1;  // tells cached stream indexes of older batches apart
    std::int64_t opened_ns = 0;
    std::vector<SourceProgress*> sources;
    bool full = false;
  };
  struct Slot {  // by LabelSet::id()
    const LabelSet* set = nullptr;
    TenantBatch* tenant = nullptr;
    std::uint64_t generation = 0;
    std::size_t stream = 0;
  };

  Slot& slot_of(const LabelSet& labels);
  TenantBatch& tenant_of(const std::string& name);
  SourceProgress::Tenant& progress_of(SourceProgress& source, std::uint32_t tenant);
  bool may_seal(const TenantBatch& tenant) const {
    return !may_seal_ || pool_.used_bytes() > kOpenBytesMax || may_seal_(tenant.name);
  }
  base::Status seal(TenantBatch& tenant);
  std::string labels_text(const LabelSet& labels) const;

  const BatcherOptions options_;
  Refresh refresh_;
  OnSealed on_sealed_;
  MaySeal may_seal_;
  BlockPool pool_;  // outlives tenants_
  std::vector<std::unique_ptr<TenantBatch>> tenants_;
  std::vector<Slot> slots_;
  BodyCompressor compressor_;
  Encoding encoding_ = Encoding::kSnappy;
  bool with_marks_ = false;
  bool any_full_ = false;
  std::uint64_t last_number_ = 0;
  std::uint64_t entries_total_ = 0;
};

}  // namespace skald::agent
