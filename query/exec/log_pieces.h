#pragma once
// The second half of a large log query: its entries are made again, a batch at a time, as they are
// read. A batch is some megabytes of entries that follow each other in the answer; its blocks are
// visited again for just their rows, which go through the pipeline once more.
//
// Both passes must come to the same: a template's `now` is the query's, and whoever adds what
// depends on more than the row and the query has to see to it. It is checked: a row that does not
// come through again ends the reading.
//
// Entries were put into streams by a 64-bit hash of their folded labels, seeded anew for each
// query. Another hash of each entry's labels is compared as it is made, so that none is sent under
// labels that are not its own: the answer ends there. With four million streams that happens to one
// answer in two million, and asking again helps.
//
// The scan stays open: files of parts that are merged or deleted meanwhile and rows of heads that
// are sealed go when the answer is sent. The HTTP server ends one whose reader takes nothing for 30
// s.

#include <memory>

#include "query/exec/log_hits.h"
#include "query/exec/scan_support.h"

namespace skald::query {

// What a log query's rows go through; hints and stages belong together.
struct LogPipeline {
  ReadyPipeline ready;
  Hints hints;
};

// `context`: the query's, which found the places; not needed afterwards.
LogPiecesPtr make_log_pieces(std::unique_ptr<store::Scan> scan,
                             std::shared_ptr<const LogPipeline> pipeline, EntryPlaces places,
                             const QueryContext& context);

}  // namespace skald::query
