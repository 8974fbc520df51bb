#pragma once
// The `data` of query and query_range: an engine's result in Loki's envelope.

#include "proto/net/http_server.h"
#include "query/exec/engine.h"

namespace skald::query::api {

// Writes {"status":"success",...}. `categorize`: structured metadata and parsed labels stay apart
// and every entry is a triple; else they join the stream's labels and regroup the streams.
base::Status write_result(QueryResult& result, bool categorize, model::Direction direction,
                          net::BodySink& sink);

// Entries with metadata and parsed labels folded into the streams' labels; ordered by `direction`.
std::vector<LogStream> fold_labels(std::vector<LogStream> streams, model::Direction direction);

std::string stats_json(const QueryStats& stats);
// ["<ns>","line"] or ["<ns>","line",{...}]
void append_entry_json(std::string& out, const LogEntry& entry, bool categorize);

}  // namespace skald::query::api
