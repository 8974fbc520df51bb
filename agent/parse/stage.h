#pragma once
// A stage as the pipeline runs it. Internal to agent/parse.
//
// The program is flat: a match stage is followed by its own stages, and `skip_to` says where to go
// on when it does not apply. So a held entry can go on at any point, and order is kept.

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/parse/config_reader.h"
#include "agent/parse/entry.h"
#include "agent/parse/stage_metrics.h"

namespace skald::agent {

enum class Flow : std::uint8_t { kNext, kSkip, kDrop, kHeld };

// What a run needs beside its entry. One per pipeline.
struct Context {
  Names names;
  Arena arena;
  StageMetrics* metrics = nullptr;
  std::int64_t blocked_until_ns = 0;

  // The labels of `base`, by name; null data: absent. Filled by set_base().
  const LabelSet* base = nullptr;
  std::vector<std::string_view> base_values;
  std::vector<Value> base_slots;
  std::vector<std::uint32_t> base_names;

  void set_base(const LabelSet* set);
  // The label as it is now; false if absent.
  bool label(const Entry& entry, std::uint32_t name, std::string_view& out) const {
    for (const LabelChange& change : entry.changes) {
      if (change.name == name) {
        out = change.value;
        return !change.removed();
      }
    }
    out = base_values[name];
    return out.data() != nullptr;
  }
  template <typename Visit>  // visit(name, value) for every label as it is now
  void each_label(const Entry& entry, Visit visit) const {
    for (std::uint32_t name : base_names) {
      bool changed = false;
      for (const LabelChange& change : entry.changes) changed = changed || change.name == name;
      if (!changed) visit(name, base_values[name]);
    }
    for (const LabelChange& change : entry.changes) {
      if (!change.removed()) visit(change.name, change.value);
    }
  }
  // Promtail starts every (sub-)pipeline by copying the labels into the extracted map.
  void labels_to_slots(Entry& entry) const {
    each_label(entry, [&](std::uint32_t name, std::string_view value) {
      entry.slots[name] = Value::string(value);
    });
  }
  model::Labels labels(const Entry& entry) const;
  std::uint64_t labels_hash(const Entry& entry) const;  // of the labels as they are now
};

// Where a holding stage gives its entries back.
class Resume {
 public:
  virtual ~Resume() = default;
  virtual void resume(const HeldEntry& held, std::size_t from_stage) = 0;
};

class Stage {
 public:
  virtual ~Stage() = default;
  virtual Flow run(Entry& entry, Context& context) = 0;
  virtual std::string describe() const = 0;  // in plain words, one line

  // Holding stages only.
  virtual void flush(std::int64_t /*now_ns*/, Resume& /*out*/) {}
  virtual void flush_source(std::uint64_t /*source*/, Resume& /*out*/) {}
  virtual void flush_all(Resume& /*out*/) {}
  virtual std::int64_t next_flush_ns() const { return std::numeric_limits<std::int64_t>::max(); }
  virtual std::optional<std::uint64_t> held_from(std::uint64_t /*source*/) const { return {}; }
  virtual std::size_t held_bytes() const { return 0; }
  virtual bool holds() const { return false; }

  std::string type;
  std::size_t index = 0;     // its place in the program
  std::size_t skip_to = 0;   // match: after its last own stage
  int depth = 0;             // of match stages around it
  Resume* resume = nullptr;  // holding stages: set by the pipeline
};
using StagePtr = std::unique_ptr<Stage>;

// What building needs.
struct BuildContext {
  ReadState* state = nullptr;
  Names* names = nullptr;
  StageMetrics* metrics = nullptr;
  std::uint64_t random_seed = 1;
  std::vector<std::string>* warnings = nullptr;
};

// Each reads its stage's body; on error the state holds it and the result is null.
StagePtr build_json(MapReader& body, BuildContext& build);
StagePtr build_logfmt(MapReader& body, BuildContext& build);
StagePtr build_regex(MapReader& body, BuildContext& build);
StagePtr build_replace(MapReader& body, BuildContext& build);
StagePtr build_template(MapReader& body, BuildContext& build);
StagePtr build_output(MapReader& body, BuildContext& build);
StagePtr build_pack(MapReader& body, BuildContext& build);
StagePtr build_decolorize(MapReader& body, BuildContext& build);
StagePtr build_timestamp(MapReader& body, BuildContext& build);
StagePtr build_tenant(MapReader& body, BuildContext& build);
StagePtr build_drop(MapReader& body, BuildContext& build);
StagePtr build_limit(MapReader& body, BuildContext& build);
StagePtr build_sampling(MapReader& body, BuildContext& build);
StagePtr build_match(MapReader& body, BuildContext& build);  // without its stages
StagePtr build_multiline(MapReader& body, BuildContext& build);
StagePtr build_cri(MapReader& body, BuildContext& build);
StagePtr build_docker(MapReader& body, BuildContext& build);
// Bodies that are lists or maps of free keys.
StagePtr build_labels(const Node& body, const std::string& path, BuildContext& build);
StagePtr build_structured_metadata(const Node& body, const std::string& path, BuildContext& build);
StagePtr build_static_labels(const Node& body, const std::string& path, BuildContext& build);
StagePtr build_label_filter(const Node& body, const std::string& path, bool keep,
                            BuildContext& build);
StagePtr build_metrics(const Node& body, const std::string& path, BuildContext& build);

// The `source` option of many stages: the line, or an extracted value. False: nothing to do.
struct Source {
  std::optional<std::uint32_t> name;
  bool get(const Entry& entry, Arena& arena, std::string_view& out) const {
    if (!name) {
      out = entry.line;
      return true;
    }
    return to_text(entry.slots[*name], arena, out);
  }
  std::string describe(const Names& names) const {
    return name ? "`" + names.name(*name) + "`" : "the line";
  }
};
Source read_source(MapReader& body, BuildContext& build);

// ISO 8601 in its canonical form only, quickly; false: let the general parser try. `zone`: Z or an
// offset must follow, else nothing may (UTC). In stage_timestamp.cc.
bool parse_iso_time(std::string_view text, char separator, bool zone,
                    std::int64_t& out_ns) noexcept;

}  // namespace skald::agent
