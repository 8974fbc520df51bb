#pragma once
// A scrape config's pipeline_stages, built once and run over every line of the job.
//
// Speed is the point: in the common case (json, labels, timestamp) a line costs no allocation.
// Names are numbered at build time, values borrow from the line or from an arena that is reset per
// line, and label sets are interned, so the batcher groups entries by LabelSet pointer.
//
// Stages that hold lines back (multiline, cri, docker) keep their own copies, per source file and
// label set, and give them out through flush(), flush_source() or a later line of the same source.
//
// Order: entries of one label set of one source come out in the order their lines came in.
// Thread rule: one thread, that of the LabelSetTable.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "agent/label/label_policy.h"
#include "agent/label/label_set.h"
#include "agent/parse/stage_metrics.h"
#include "agent/parse/yaml_node.h"
#include "proto/base/status.h"

namespace skald::agent {

// Which bytes of which file: `source` is the tailer's number for one file (one generation of it).
struct SourceRange {
  std::uint64_t source = 0;
  std::uint64_t start = 0;  // offset of the line's first byte
  std::uint64_t end = 0;    // offset after its newline
};

using MetadataPair = std::pair<std::string_view, std::string_view>;

struct LineIn {
  std::string_view line;             // without its newline; may hold any bytes
  std::int64_t read_ns = 0;          // wall time it was read: the timestamp until a stage sets one
  const LabelSet* labels = nullptr;  // of the file: file_labels(), interned
  SourceRange range;
  std::span<const MetadataPair> metadata;  // it came with; names beyond kMetadataNamesMax are lost
};

// Everything borrowed lives until on_entry() returns, `labels` as its table says.
struct EntryOut {
  const LabelSet* labels = nullptr;
  std::int64_t timestamp_ns = 0;
  std::string_view line;
  std::span<const MetadataPair> metadata;  // names unique; at most once per name also in labels
  SourceRange range;                       // the hull of all lines that went into it
};

// Every line given to process() is told exactly once: as (part of) an entry or as dropped. Until
// then it is held: Pipeline::held_from() says from which offset, and a position must not pass it.
class EntrySink {
 public:
  virtual ~EntrySink() = default;
  virtual void on_entry(const EntryOut& entry) = 0;
  virtual void on_dropped(const SourceRange& range) = 0;
};

// Sees each stage's effect, for -inspect. Slow; null in normal runs.
class StageInspector {
 public:
  struct Snapshot {
    std::string line;
    std::int64_t timestamp_ns = 0;
    model::Labels labels, metadata, extracted;
  };
  virtual ~StageInspector() = default;
  // `outcome`: "", "dropped", "held" or "skipped" (a match that did not apply).
  virtual void on_stage(std::string_view stage_name, const Snapshot& before, const Snapshot& after,
                        std::string_view outcome) = 0;
};
// Promtail's look: one block per stage with -old +new lines per changed field. `color`: ANSI.
std::string format_stage_diff(std::string_view stage_name, const StageInspector::Snapshot& before,
                              const StageInspector::Snapshot& after, std::string_view outcome,
                              bool color);

class Pipeline {
 public:
  struct Environment {
    LabelSetTable* sets = nullptr;                 // required; outlives the pipeline
    StageMetrics* metrics = nullptr;               // required; outlives the pipeline
    LabelPolicy* policy = nullptr;                 // null: no cardinality guard
    std::function<void(const std::string&)> warn;  // load-time warnings; may be empty
    std::string file_name;                         // for error messages
    std::uint64_t random_seed = 1;                 // sampling
  };
  // `stages` is a sequence (or null: lines pass as they are). Errors name stage, key and line.
  static base::Result<std::unique_ptr<Pipeline>> build(const Node& stages, std::string job_name,
                                                       const Environment& environment);
  ~Pipeline();

  void process(const LineIn& in, EntrySink& sink);
  // Gives out what has been held longer than its stage allows. Call it when next_flush_ns() is due.
  void flush(std::int64_t now_ns, EntrySink& sink);
  // The file rotated away, was deleted or went idle: nothing more will come for what it holds.
  void flush_source(std::uint64_t source, std::int64_t now_ns, EntrySink& sink);
  void flush_all(std::int64_t now_ns, EntrySink& sink);  // stopping

  // Wall time at which flush() has work; int64 max: nothing is held.
  std::int64_t next_flush_ns() const noexcept;
  // The smallest offset of `source` still held back; none: nothing held.
  std::optional<std::uint64_t> held_from(std::uint64_t source) const noexcept;
  // `limit` with drop: false: do not feed lines before this wall time. 0: go on.
  std::int64_t blocked_until_ns() const noexcept;
  std::size_t held_bytes() const noexcept;  // memory the holding stages keep

  void set_inspector(StageInspector* inspector);
  // One line per stage in plain words, for explain().
  std::string describe() const;

 private:
  class Impl;
  explicit Pipeline(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skald::agent
