#include "agent/parse/pipeline.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <limits>

#include "agent/parse/limits.h"
#include "agent/parse/program.h"
#include "agent/parse/stage.h"

namespace skald::agent {

namespace {

inline std::uint64_t change_hash(const LabelChange& change) {
  // Summed over the changes: their order does not matter.
  const std::uint64_t seed = (std::uint64_t{change.name} << 1U) | (change.removed() ? 1U : 0U);
  return XXH3_64bits_withSeed(change.value.data(), change.value.size(), seed * 0x9E3779B97F4A7C15U);
}

std::uint64_t hash_changes(const LabelSet* base, const std::vector<LabelChange>& changes) {
  std::uint64_t hash = (std::uint64_t{base->id()} + 1) * 0xC2B2AE3D27D4EB4FU;
  for (const LabelChange& change : changes) hash += change_hash(change);
  return hash;
}

}  // namespace

void Context::set_base(const LabelSet* set) {
  for (std::uint32_t name : base_names) {
    base_values[name] = {};
    base_slots[name] = Value();
  }
  base_names.clear();
  base = set;
  for (const auto& [label, value] : set->all()) {
    const std::uint32_t name = names.id(label);
    if (name >= base_values.size()) {
      base_values.resize(names.size());
      base_slots.resize(names.size());
    }
    base_names.push_back(name);
    base_values[name] = value;
    base_slots[name] = Value::string(value);
  }
}

model::Labels Context::labels(const Entry& entry) const {
  std::vector<model::Labels::Pair> pairs;
  each_label(entry, [&](std::uint32_t name, std::string_view value) {
    pairs.emplace_back(names.name(name), value);
  });
  return model::Labels::from_pairs(std::move(pairs));
}

std::uint64_t Context::labels_hash(const Entry& entry) const {
  return hash_changes(entry.base, entry.changes);
}

class Pipeline::Impl final : public Resume {
 public:
  Impl(Program program, std::string job_name, const Environment& environment)
      : program_(std::move(program)),
        job_name_(std::move(job_name)),
        sets_(environment.sets),
        policy_(environment.policy) {
    context_.names = std::move(program_.names);
    context_.metrics = environment.metrics;
    context_.base_values.resize(context_.names.size());
    context_.base_slots.resize(context_.names.size());
    for (auto& stage : program_.stages) {
      stage->resume = this;
      if (stage->holds()) holding_.push_back(stage.get());
    }
  }

  void process(const LineIn& in, EntrySink& sink) {
    context_.arena.reset();
    if (generation_ != sets_->generation()) forget_pointers();
    if (in.labels != context_.base) context_.set_base(in.labels);
    Entry& entry = entry_;
    entry.line = in.line;
    entry.timestamp_ns = entry.read_ns = in.read_ns;
    entry.base = in.labels;
    entry.range = in.range;
    entry.slots.assign(context_.base_slots.begin(), context_.base_slots.end());
    entry.changes.clear();
    entry.metadata.clear();
    for (const auto& [name, value] : in.metadata) add_metadata(entry, name, value);
    sink_ = &sink;
    run(entry, 0);
  }

  // A holding stage gives an entry out: it goes on behind that stage. The line under way, if any,
  // waits meanwhile in its own Entry.
  void resume(const HeldEntry& held, std::size_t from_stage) override {
    const LabelSet* const outer = context_.base;
    if (resume_depth_ == resumed_.size()) resumed_.push_back(std::make_unique<Entry>());
    Entry& entry = *resumed_[resume_depth_++];
    held.restore(entry);
    if (entry.base != outer) context_.set_base(entry.base);
    entry.slots.resize(context_.base_slots.size());
    run(entry, from_stage);
    --resume_depth_;
    if (outer != nullptr && outer != context_.base) context_.set_base(outer);
  }

  template <typename Flush>
  void flush_with(std::int64_t now_ns, EntrySink& sink, Flush flush) {
    static_cast<void>(now_ns);
    if (holding_.empty()) return;
    context_.arena.reset();
    if (generation_ != sets_->generation()) forget_pointers();
    sink_ = &sink;
    // In order: what an earlier stage gives out may be held by a later one, which then follows.
    for (Stage* stage : holding_) flush(*stage);
  }

  std::int64_t next_flush_ns() const {
    std::int64_t next = std::numeric_limits<std::int64_t>::max();
    for (const Stage* stage : holding_) next = std::min(next, stage->next_flush_ns());
    return next;
  }
  std::optional<std::uint64_t> held_from(std::uint64_t source) const {
    std::optional<std::uint64_t> from;
    for (const Stage* stage : holding_) {
      const auto held = stage->held_from(source);
      if (held && (!from || *held < *from)) from = held;
    }
    return from;
  }
  std::size_t held_bytes() const {
    std::size_t bytes = 0;
    for (const Stage* stage : holding_) bytes += stage->held_bytes();
    return bytes;
  }
  std::int64_t blocked_until_ns() const { return context_.blocked_until_ns; }
  void set_inspector(StageInspector* inspector) { inspector_ = inspector; }
  std::string describe() const { return program_.describe(); }

 private:
  // Names come from whoever pushes: their number has a bound.
  void add_metadata(Entry& entry, std::string_view name, std::string_view value) {
    std::optional<std::uint32_t> id = context_.names.find(name);
    if (!id && context_.names.size() < kMetadataNamesMax) id = context_.names.id(name);
    if (id) entry.set_metadata(*id, value);
  }

  void run(Entry& entry, std::size_t at) {
    if (inspector_ != nullptr) return run_inspected(entry, at);
    const auto& stages = program_.stages;
    while (at < stages.size()) {
      switch (stages[at]->run(entry, context_)) {
        case Flow::kNext: ++at; break;
        case Flow::kSkip: at = stages[at]->skip_to; break;
        case Flow::kDrop: sink_->on_dropped(entry.range); return;
        case Flow::kHeld: return;
      }
    }
    emit(entry);
  }

  void run_inspected(Entry& entry, std::size_t at) {
    const auto& stages = program_.stages;
    static constexpr std::string_view kOutcomes[] = {"", "skipped", "dropped", "held"};
    while (at < stages.size()) {
      const auto before = snapshot(entry);
      const Flow flow = stages[at]->run(entry, context_);
      inspector_->on_stage(stages[at]->type, before, snapshot(entry),
                           kOutcomes[static_cast<std::size_t>(flow)]);
      if (flow == Flow::kDrop) sink_->on_dropped(entry.range);
      if (flow == Flow::kDrop || flow == Flow::kHeld) return;
      at = flow == Flow::kSkip ? stages[at]->skip_to : at + 1;
    }
    emit(entry);
  }

  StageInspector::Snapshot snapshot(const Entry& entry) {
    StageInspector::Snapshot out;
    out.line = entry.line;
    out.timestamp_ns = entry.timestamp_ns;
    out.labels = context_.labels(entry);
    for (const Metadata& pair : entry.metadata) {
      out.metadata.set(context_.names.name(pair.name), pair.value);
    }
    std::string_view text;
    for (std::uint32_t name = 0; name < entry.slots.size(); ++name) {
      if (to_text(entry.slots[name], context_.arena, text)) {
        out.extracted.set(context_.names.name(name), text.empty() ? "\"\"" : text);
      } else if (!entry.slots[name].absent()) {
        out.extracted.set(context_.names.name(name), "null");
      }
    }
    return out;
  }

  void emit(Entry& entry) {
    EntryOut out;
    out.labels = entry.changes.empty() ? entry.base : resolve(entry);
    out.timestamp_ns = entry.timestamp_ns;
    out.line = entry.line;
    out.range = entry.range;
    metadata_.clear();
    for (const Metadata& pair : entry.metadata) {
      metadata_.emplace_back(context_.names.name(pair.name), pair.value);
    }
    out.metadata = metadata_;
    sink_->on_entry(out);
  }

  // The label set for the entry's base and changes. Repeated combinations cost one look-up; new
  // ones are asked about at the cardinality guard, and what it refuses becomes metadata.
  const LabelSet* resolve(Entry& entry) {
    const std::uint64_t hash = hash_changes(entry.base, entry.changes);
    if (const LabelSet* known = resolved_.find(hash, entry)) return known;
    if (policy_ != nullptr && demote(entry)) return resolve_demoted(entry);
    return intern(hash, entry);
  }

  const LabelSet* intern(std::uint64_t hash, const Entry& entry) {
    const LabelSet* set = sets_->intern(context_.labels(entry));
    resolved_.put(hash, entry, set);
    return set;
  }

  const LabelSet* resolve_demoted(Entry& entry) {
    if (entry.changes.empty()) return entry.base;
    const std::uint64_t hash = hash_changes(entry.base, entry.changes);
    if (const LabelSet* known = resolved_.find(hash, entry)) return known;
    return intern(hash, entry);
  }

  bool demote(Entry& entry) {
    const bool room = policy_->admit_set(sets_->size());
    const auto refused = [&](const LabelChange& change) {
      const std::string& name = context_.names.name(change.name);
      // The tenant is no label of the stream; removals and repetitions make no new value.
      if (change.removed() || change.value.empty() || name == kTenantLabel) return false;
      if (context_.base_values[change.name].data() != nullptr &&
          context_.base_values[change.name] == change.value) {
        return false;
      }
      if (policy_->admit(name, change.value) && room) return false;
      policy_->count_demoted(name);
      entry.set_metadata(change.name, change.value);
      return true;
    };
    return std::erase_if(entry.changes, refused) > 0;
  }

  void forget_pointers() {
    generation_ = sets_->generation();
    resolved_.clear();
    if (context_.base != nullptr) {
      for (std::uint32_t name : context_.base_names) {
        context_.base_values[name] = {};
        context_.base_slots[name] = Value();
      }
      context_.base_names.clear();
      context_.base = nullptr;
    }
  }

  // (base, changes) -> set, verified in full.
  class ResolveCache {
   public:
    const LabelSet* find(std::uint64_t hash, const Entry& entry) const {
      auto found = known_.find(hash);
      if (found == known_.end()) return nullptr;
      const Item& item = found->second;
      if (item.base != entry.base || item.changes.size() != entry.changes.size()) return nullptr;
      for (const LabelChange& change : entry.changes) {
        if (!item.has(change)) return nullptr;
      }
      return item.set;
    }
    void put(std::uint64_t hash, const Entry& entry, const LabelSet* set) {
      if (known_.size() >= kResolveCacheMax) known_.clear();
      Item item{entry.base, set, {}};
      for (const LabelChange& change : entry.changes) {
        item.changes.push_back({change.name, change.removed(), std::string(change.value)});
      }
      known_.insert_or_assign(hash, std::move(item));
    }
    void clear() { known_.clear(); }

   private:
    struct Change {
      std::uint32_t name = 0;
      bool removed = false;
      std::string value;
    };
    struct Item {
      const LabelSet* base = nullptr;
      const LabelSet* set = nullptr;
      std::vector<Change> changes;
      bool has(const LabelChange& wanted) const {
        for (const Change& change : changes) {
          if (change.name == wanted.name) {
            return change.removed == wanted.removed() && change.value == wanted.value;
          }
        }
        return false;
      }
    };
    std::unordered_map<std::uint64_t, Item> known_;
  };

  Program program_;
  std::string job_name_;
  LabelSetTable* sets_;
  LabelPolicy* policy_;
  Context context_;
  Entry entry_;
  std::vector<std::unique_ptr<Entry>> resumed_;
  std::size_t resume_depth_ = 0;
  std::vector<Stage*> holding_;
  std::vector<MetadataPair> metadata_;
  ResolveCache resolved_;
  EntrySink* sink_ = nullptr;
  StageInspector* inspector_ = nullptr;
  std::uint64_t generation_ = 0;
};

Pipeline::Pipeline(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pipeline::~Pipeline() = default;

base::Result<std::unique_ptr<Pipeline>> Pipeline::build(const Node& stages, std::string job_name,
                                                        const Environment& environment) {
  CHECK(environment.sets != nullptr && environment.metrics != nullptr);
  ReadState state;
  state.file = environment.file_name;
  Program program = build_program(stages, "pipeline_stages", state, *environment.metrics,
                                  environment.random_seed);
  if (!state.ok()) return state.status;
  if (environment.warn) {
    for (const auto& warning : state.warnings) environment.warn(job_name + ": " + warning);
  }
  return std::unique_ptr<Pipeline>(
      new Pipeline(std::make_unique<Impl>(std::move(program), std::move(job_name), environment)));
}

void Pipeline::process(const LineIn& in, EntrySink& sink) { impl_->process(in, sink); }
void Pipeline::flush(std::int64_t now_ns, EntrySink& sink) {
  Impl& impl = *impl_;
  impl.flush_with(now_ns, sink, [&](Stage& stage) { stage.flush(now_ns, impl); });
}
void Pipeline::flush_source(std::uint64_t source, std::int64_t now_ns, EntrySink& sink) {
  Impl& impl = *impl_;
  impl.flush_with(now_ns, sink, [&](Stage& stage) { stage.flush_source(source, impl); });
}
void Pipeline::flush_all(std::int64_t now_ns, EntrySink& sink) {
  Impl& impl = *impl_;
  impl.flush_with(now_ns, sink, [&](Stage& stage) { stage.flush_all(impl); });
}
std::int64_t Pipeline::next_flush_ns() const noexcept { return impl_->next_flush_ns(); }
std::optional<std::uint64_t> Pipeline::held_from(std::uint64_t source) const noexcept {
  return impl_->held_from(source);
}
std::int64_t Pipeline::blocked_until_ns() const noexcept { return impl_->blocked_until_ns(); }
std::size_t Pipeline::held_bytes() const noexcept { return impl_->held_bytes(); }
void Pipeline::set_inspector(StageInspector* inspector) { impl_->set_inspector(inspector); }
std::string Pipeline::describe() const { return impl_->describe(); }

}  // namespace skald::agent
