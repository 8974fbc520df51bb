#pragma once
// From pipeline_stages to the flat list of stages a pipeline runs. Internal to agent/parse.

#include <string>
#include <vector>

#include "agent/parse/stage.h"

namespace skald::agent {

struct Program {
  Names names;
  std::vector<StagePtr> stages;
  std::string describe() const;  // numbered, in plain words
};

// Errors and warnings go to `state`; `path` is where the stages stand
// ("scrape_configs[0].pipeline_stages").
Program build_program(const Node& stages, const std::string& path, ReadState& state,
                      StageMetrics& metrics, std::uint64_t random_seed);

}  // namespace skald::agent
