#pragma once
// The naive engine of the differential test: every entry through every stage, samples in a map,
// windows found by looking at every sample. Slow, and simple enough to be believed.

#include <optional>
#include <vector>

#include "query/exec/engine.h"
#include "tests/query/differential/random_logs.h"

namespace skald::tests {

// Entries must be distinct by stream, time and line. Details of errors are left out of labels.
// nullopt: the query needs something that the naive engine does not know.
std::optional<base::Result<query::QueryResult>> run_naively(const std::vector<RandomEntry>& entries,
                                                            const query::QueryRequest& request);

}  // namespace skald::tests
