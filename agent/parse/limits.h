#pragma once
// Bounds of this room, each with its reason. Configuration and log lines are input.

#include <cstddef>
#include <cstdint>

namespace skald::agent {

// A large promtail.yaml has a few thousand nodes; aliases must not multiply without end.
constexpr std::size_t kYamlNodesMax = 200'000;
// The tree is read and freed recursively.
constexpr int kYamlDepthMax = 200;
constexpr std::size_t kConfigBytesMax = std::size_t{8} << 20;
// Names of structured metadata that comes with received lines, all names of a pipeline included.
constexpr std::size_t kMetadataNamesMax = 4096;
// Stages of one pipeline, nested ones included: each costs time on every line.
constexpr std::size_t kStagesMax = 1000;
constexpr int kMatchDepthMax = 50;  // match inside match: building recurses
// Memory of one compiled expression, as in the matcher of proto/model.
constexpr std::int64_t kStageRegexMemoryMax = std::int64_t{8} << 20;
// jsoniter, which Promtail uses, refuses deeper nesting.
constexpr int kJsonDepthMax = 10'000;
// The general JMESPath evaluator builds a tree recursively.
constexpr int kJsonTreeDepthMax = 500;
constexpr int kJmesPathDepthMax = 200;
constexpr std::size_t kJmesPathTextMax = 16U << 10;
// Values one evaluation may create: `[*]` over `[*]` must end.
constexpr std::size_t kJmesPathValuesMax = 1'000'000;
// Combinations of changed labels remembered per pipeline: beyond it the cache starts anew.
constexpr std::size_t kResolveCacheMax = 8192;
// Streams of the timestamp stage's memory of last good times: Promtail's number.
constexpr std::size_t kLastTimesMax = 10'000;
// Series of the `metrics` stage, all metrics together: they live in the agent's few megabytes.
constexpr std::size_t kCustomSeriesMax = 10'000;
// Values counted one by one when dropped by label; Promtail's floor for max_distinct_labels.
constexpr std::size_t kDroppedByLabelMax = 10'000;
// Memory of multiline, cri and docker together in one pipeline: beyond it the oldest is given out.
constexpr std::size_t kHeldBytesMax = std::size_t{8} << 20;
// A block that only grows (a cri container that writes no newline) is given out in pieces.
constexpr std::size_t kHeldLineMax = std::size_t{4} << 20;
// Lines without an end flag wait this long for their rest (Promtail: for ever).
constexpr std::int64_t kPartialIdleNs = 30'000'000'000;

}  // namespace skald::agent
