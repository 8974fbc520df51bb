#pragma once
// The server's JSON answers as plain data, and how they are printed.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/status.h"
#include "proto/model/entry.h"
#include "proto/model/labels.h"
#include "query/cli/options.h"

namespace skald::query::cli {

struct AnswerEntry {
  model::TimestampNs timestamp_ns = 0;
  std::size_t stream = 0;  // index into Answer::streams
  std::string line;
};

struct Answer {
  std::string type;  // streams, matrix, vector, scalar
  std::vector<model::Labels> streams;
  std::vector<AnswerEntry> entries;  // of type streams: as they came
  std::string result;                // of the others: the result's JSON
  std::vector<std::string> warnings;
};

base::Result<Answer> parse_answer(std::string_view body);       // query, query_range
base::Result<Answer> parse_tail_frame(std::string_view frame);  // {"streams": [...]}
// {"status":"success","data":["a","b"]}
base::Result<std::vector<std::string>> parse_strings(std::string_view body);
// {"status":"success","data":[{"a":"b"}, ...]}
base::Result<std::vector<model::Labels>> parse_series(std::string_view body);
// The value at a key of a JSON object as JSON text; the whole object if `key` is empty.
base::Result<std::string> parse_member(std::string_view body, std::string_view key);

// One entry as the output mode shows it, with its line end. `common` are left out of the labels.
void append_entry_text(std::string& out, const Options& options, const model::Labels& labels,
                       const model::Labels& common, model::TimestampNs timestamp_ns,
                       std::string_view line);
model::Labels common_labels(const std::vector<model::Labels>& streams);

}  // namespace skald::query::cli
