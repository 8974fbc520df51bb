#pragma once
// -dry-run and -inspect: entries to standard output instead of a server.

#include <string>

#include "agent/parse/pipeline.h"

namespace skald::agent {

// `time TAB {labels} TAB line`, as Promtail prints it.
std::string format_dry_run(const EntryOut& entry);

// Prints every stage's effect to standard error.
class StderrInspector final : public StageInspector {
 public:
  void on_stage(std::string_view stage_name, const Snapshot& before, const Snapshot& after,
                std::string_view outcome) override;
};

}  // namespace skald::agent
