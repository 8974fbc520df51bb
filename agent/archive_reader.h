#pragma once
// `decompression`: a job's files are compressed archives, each read once from its first line to its
// last. An archive is known by inode and first bytes, not by its name; how many of its lines were
// delivered is kept under Promtail's key (the path, a count of lines) and under our own. To Skald
// its lines go exactly once, a kill -9 included: the store counts them per archive.

#include <memory>

#include "agent/receivers.h"

namespace skald::agent {

// One reader per client. kInvalidArgument: a rule or a path does not build; kUnsupported: the
// format's library is not here.
base::Result<std::unique_ptr<Receiver>> start_archive_reader(
    const ScrapeConfig& config, std::size_t job, const std::vector<std::unique_ptr<Lane>>& lanes,
    Cursors& cursors, std::int64_t sync_period_ns);

}  // namespace skald::agent
