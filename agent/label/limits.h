#pragma once
// Bounds of this room, each with its reason.

#include <cstddef>
#include <cstdint>

namespace skald::agent {

// `{a,b}{c,d}...` multiplies; real patterns have a handful.
constexpr std::size_t kGlobAlternativesMax = 1000;
constexpr std::size_t kGlobPatternMax = 4096;  // PATH_MAX
// Directory levels below a pattern's base: symlink loops end here.
constexpr int kGlobDepthMax = 40;
// Files and directories one walk looks at: a `**` on / must end.
constexpr std::size_t kGlobVisitsMax = 2'000'000;
constexpr std::int64_t kRelabelRegexMemoryMax = std::int64_t{8} << 20;
constexpr std::size_t kSdFileBytesMax = std::size_t{16} << 20;
// Shown on /service-discovery; Promtail keeps 100 per job.
constexpr std::size_t kDroppedTargetsMax = 100;
// Names the cardinality guard remembers: names come from the configuration, so this is never near.
constexpr std::size_t kPolicyLabelsMax = 10'000;

}  // namespace skald::agent
