#pragma once
// Bounds of the ruler. Rule files come from people and from an API.

#include <cstddef>
#include <cstdint>

#include "proto/base/clock.h"

namespace skald::query::alert {

// One rule file or API body. The largest published rule sets are under 1 MiB.
constexpr std::size_t kRuleFileMax = 4U << 20;
// One group that comes by the API, and the YAML values of a file and of a group, some 350 bytes
// each while they are read. 5,000 usual alerts have 70,000. Aliases count with what they stand for,
// in bytes: they are copied.
constexpr std::size_t kRuleGroupMax = 1U << 20;
constexpr std::size_t kRuleNodesMax = 250'000;
constexpr std::size_t kRuleNodesOfGroupMax = 100'000;
constexpr std::size_t kRuleTextsMax = 2 * kRuleFileMax;
constexpr std::size_t kRuleBracketsMax = 20'000;  // that are open at once
constexpr std::size_t kRuleErrorsMax = 20;        // findings that are told
// Nodes of the templates of a group, some 400 bytes each: as many as of 3,000 usual alerts.
constexpr std::size_t kTemplateNodesOfGroupMax = 100'000;
// Processor time of the templates of one rule, of all its alerts of one evaluation.
constexpr std::int64_t kExpandCpuMaxNs = base::kNsPerSecond;
// Regular expressions of all rules of a group, in bytes of program: half a second of compiling.
constexpr std::int64_t kRegexProgramsOfGroupMax = 16LL << 20;
constexpr std::size_t kRuleFilesMax = 10'000;  // per tenant directory
constexpr std::size_t kRuleTenantsMax = 10'000;
// Names become file names once percent-encoded; file systems end at 255 bytes.
constexpr std::size_t kNamespaceBytesMax = 240;
// Alerts and series that one rule may produce when its group sets no limit: memory, and what an
// Alertmanager bears.
constexpr std::size_t kRuleSeriesMax = 100'000;
// As Prometheus: a resolved alert is told again for this long.
constexpr std::int64_t kResolvedRetentionNs = 15 * 60 * base::kNsPerSecond;
constexpr std::size_t kNotifyBatchMax = 256;     // alerts per request, as Prometheus
constexpr std::size_t kWriteBatchMax = 2000;     // samples per request, as Prometheus
constexpr std::size_t kWriteQueueMax = 100'000;  // samples per target; ~20 MiB
constexpr std::size_t kQueryMemoMax = 4096;      // shared results kept for one instant
// Instants whose results are kept: one per thread that evaluates, as a rule.
constexpr std::size_t kMemoInstantsMax = 4;
// Expressions asked together ahead of a group; what is more is asked rule by rule.
constexpr std::size_t kPreparedMax = 256;
constexpr std::size_t kExpandedTextMax = 64U << 10;  // one label or annotation after its template
constexpr std::size_t kStateFileMax = 256U << 20;
constexpr std::size_t kQueriesPerTemplateMax = 10;  // `query` calls of one evaluation of a template

}  // namespace skald::query::alert
