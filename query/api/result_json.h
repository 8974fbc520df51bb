#pragma once
// The `data` of query and query_range: an engine's result in Loki's envelope.

#include <atomic>

#include "proto/net/http_server.h"
#include "query/exec/engine.h"

namespace skald::query::api {

// Writes {"status":"success",...}. `categorize`: structured metadata and parsed labels stay apart
// and every entry is a triple; else they join the stream's labels and regroup the streams.
// An answer in pieces (LogPieces) is made as it is written, for as long as `cancelled` (may be
// null) is false, and must be of the same form; it may fail after its first bytes.
base::Status write_result(const QueryResult& result, bool categorize, model::Direction direction,
                          net::BodySink& sink, const std::atomic<bool>* cancelled = nullptr);

// Entries whose labels, with metadata and parsed ones folded in, are equal. Borrows them: an answer
// is sent as it is, and its labels are put together as they are written.
struct FoldedStream {
  const LogStream* source = nullptr;  // of `first`, the first that appeared
  const LogEntry* first = nullptr;
  std::vector<const LogEntry*> entries;
  model::Labels labels() const;
};
// In order of appearance; the entries ordered by `direction`.
std::vector<FoldedStream> fold_labels(const std::vector<LogStream>& streams,
                                      model::Direction direction);

std::string stats_json(const QueryStats& stats);
// ["<ns>","line"] or ["<ns>","line",{...}]
void append_entry_json(std::string& out, const LogEntry& entry, bool categorize);

}  // namespace skald::query::api
