#pragma once
// The journal target: entries of systemd's journal through the job's pipeline, followed as they
// come, from the cursor of the last delivered one. At least once: after a crash the entries since
// the last saved cursor come again.

#include <functional>
#include <memory>

#include "agent/journal_api.h"
#include "agent/receivers.h"

namespace skald::agent {

using OpenJournal =
    std::function<base::Result<std::unique_ptr<Journal>>(const std::string& directory)>;

// One reader per client, so that a dead server holds up no other. kUnsupported: no libsystemd.
base::Result<std::unique_ptr<Receiver>> start_journal_reader(
    const ScrapeConfig& config, std::size_t job, const std::vector<std::unique_ptr<Lane>>& lanes,
    Cursors& cursors, OpenJournal open = open_system_journal);

// The labels of an entry before relabelling and its line; for tests, too. `fields` are
// "NAME=value". False: it has no MESSAGE (and `json` is off).
bool journal_entry(const JournalConfig& config, const std::vector<std::string>& fields,
                   model::Labels& labels, std::string& line);

}  // namespace skald::agent
