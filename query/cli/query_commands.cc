// query, instant, labels, series, stats, volume: what is asked over Loki's API.

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "query/cli/answer.h"
#include "query/cli/commands.h"

namespace skald::query::cli {
namespace {

Parameters range_parameters(const Options& options) {
  return {{"start", std::to_string(options.start_ns)}, {"end", std::to_string(options.end_ns)}};
}

// Pages through a log query. The server's pages meet at a timestamp, so entries of that instant
// come again with the next page; they are told apart by stream and line, counted.
class Pager {
 public:
  Pager(const Options& options, Client& client, const Io& io)
      : options_(options),
        client_(client),
        io_(io),
        start_(options.start_ns),
        end_(options.end_ns) {}

  base::Status run() {
    while (true) {
      const std::uint64_t left = options_.limit == 0 ? options_.batch : options_.limit - printed_;
      const std::uint64_t asked = std::min<std::uint64_t>(
          std::min<std::uint64_t>(options_.batch, left) + at_edge_, kPageMax);
      SKALD_TRY_ASSIGN(Answer answer, ask(asked));
      for (const std::string& warning : answer.warnings) note("warning: " + warning + "\n");
      if (answer.type != "streams") {
        io_.out(answer.result + "\n");
        return {};
      }
      const std::size_t received = answer.entries.size();
      const std::uint64_t fresh = print(answer);
      if (received < asked || (options_.limit != 0 && printed_ >= options_.limit)) return {};
      if (fresh == 0) {
        return base::invalid_argument("more than " + std::to_string(received) +
                                      " entries share one timestamp; raise --batch");
      }
    }
  }

 private:
  static constexpr std::uint64_t kPageMax = 5000;   // the server's usual cap on entries
  using Key = std::pair<std::string, std::string>;  // labels, line

  void note(std::string_view text) const {
    if (!options_.quiet) io_.err(text);
  }

  base::Result<Answer> ask(std::uint64_t limit) {
    Parameters parameters = {{"query", options_.query},
                             {"start", std::to_string(start_)},
                             {"end", std::to_string(end_)},
                             {"limit", std::to_string(limit)},
                             {"direction", options_.forward ? "FORWARD" : "BACKWARD"}};
    if (!options_.step.empty()) parameters.emplace_back("step", options_.step);
    if (!options_.interval.empty()) parameters.emplace_back("interval", options_.interval);
    SKALD_TRY_ASSIGN(const std::string body, client_.get("/loki/api/v1/query_range", parameters));
    return parse_answer(body);
  }

  // Prints what was not printed yet, in time order; returns how many.
  std::uint64_t print(Answer& answer) {
    std::stable_sort(answer.entries.begin(), answer.entries.end(),
                     [this](const AnswerEntry& a, const AnswerEntry& b) {
                       return options_.forward ? a.timestamp_ns < b.timestamp_ns
                                               : a.timestamp_ns > b.timestamp_ns;
                     });
    model::Labels common;
    if (options_.output == OutputMode::kDefault) common = show_common(answer);
    std::map<Key, std::uint64_t> seen_now;  // of the instant under way
    model::TimestampNs instant = edge_ns_;
    std::uint64_t fresh = 0;
    std::string text;
    for (const AnswerEntry& entry : answer.entries) {
      if (entry.timestamp_ns != instant) {
        instant = entry.timestamp_ns;
        seen_now.clear();
      }
      const model::Labels& labels = answer.streams[entry.stream];
      const Key key{labels.to_string(), entry.line};
      if (++seen_now[key] <= seen_before(entry.timestamp_ns, key)) continue;
      if (options_.limit != 0 && printed_ == options_.limit) break;
      append_entry_text(text, options_, labels, common, entry.timestamp_ns, entry.line);
      ++printed_;
      ++fresh;
    }
    io_.out(text);
    if (!answer.entries.empty()) move_edge(answer.entries.back().timestamp_ns, std::move(seen_now));
    return fresh;
  }

  std::uint64_t seen_before(model::TimestampNs timestamp_ns, const Key& key) const {
    if (timestamp_ns != edge_ns_) return 0;
    const auto found = edge_.find(key);
    return found == edge_.end() ? 0 : found->second;
  }

  void move_edge(model::TimestampNs timestamp_ns, std::map<Key, std::uint64_t> seen) {
    edge_ns_ = timestamp_ns;
    edge_ = std::move(seen);
    at_edge_ = 0;
    for (const auto& [key, count] : edge_) at_edge_ += count;
    if (options_.forward) {
      start_ = timestamp_ns;
    } else {
      end_ = timestamp_ns + 1;
    }
  }

  // Labels every stream of the first page has are said once, as a note, and left out of the lines
  // of that page; later pages print in full what differs.
  model::Labels show_common(const Answer& answer) {
    if (!common_known_) {
      common_known_ = true;
      common_ = answer.streams.size() > 1 ? common_labels(answer.streams) : model::Labels();
      if (!common_.empty()) note("common labels: " + common_.to_string() + "\n");
    }
    return common_;
  }

  const Options& options_;
  Client& client_;
  const Io& io_;
  model::TimestampNs start_, end_;
  std::uint64_t printed_ = 0;
  model::TimestampNs edge_ns_ = 0;     // the last page ended here
  std::map<Key, std::uint64_t> edge_;  // what of that instant was received
  std::uint64_t at_edge_ = 0;
  bool common_known_ = false;
  model::Labels common_;
};

}  // namespace

base::Status run_query(const Options& options, Client& client, const Io& io) {
  return Pager(options, client, io).run();
}

base::Status run_instant(const Options& options, Client& client, const Io& io) {
  SKALD_TRY_ASSIGN(const std::string body,
                   client.get("/loki/api/v1/query", {{"query", options.query},
                                                     {"time", std::to_string(options.end_ns)}}));
  SKALD_TRY_ASSIGN(const Answer answer, parse_answer(body));
  for (const std::string& warning : answer.warnings) io.err("warning: " + warning + "\n");
  if (answer.type == "streams") {
    std::string text;
    for (const AnswerEntry& entry : answer.entries) {
      append_entry_text(text, options, answer.streams[entry.stream], {}, entry.timestamp_ns,
                        entry.line);
    }
    io.out(text);
  } else {
    io.out(answer.result + "\n");
  }
  return {};
}

base::Status run_labels(const Options& options, Client& client, const Io& io) {
  Parameters parameters = range_parameters(options);
  if (!options.query.empty()) parameters.emplace_back("query", options.query);
  const std::string path =
      options.name.empty() ? "/loki/api/v1/labels"
                           : "/loki/api/v1/label/" + net::percent_encode(options.name) + "/values";
  SKALD_TRY_ASSIGN(const std::string body, client.get(path, parameters));
  SKALD_TRY_ASSIGN(const std::vector<std::string> values, parse_strings(body));
  for (const std::string& value : values) io.out(value + "\n");
  return {};
}

base::Status run_series(const Options& options, Client& client, const Io& io) {
  Parameters parameters = range_parameters(options);
  parameters.emplace_back("match", options.query);
  SKALD_TRY_ASSIGN(const std::string body, client.get("/loki/api/v1/series", parameters));
  SKALD_TRY_ASSIGN(const std::vector<model::Labels> series, parse_series(body));
  for (const model::Labels& labels : series) io.out(labels.to_string() + "\n");
  return {};
}

base::Status run_stats(const Options& options, Client& client, const Io& io) {
  Parameters parameters = range_parameters(options);
  parameters.emplace_back("query", options.query);
  SKALD_TRY_ASSIGN(const std::string body, client.get("/loki/api/v1/index/stats", parameters));
  for (const char* key : {"streams", "chunks", "entries", "bytes"}) {
    SKALD_TRY_ASSIGN(const std::string value, parse_member(body, key));
    io.out(std::string(key) + " " + value + "\n");
  }
  return {};
}

base::Status run_volume(const Options& options, Client& client, const Io& io) {
  Parameters parameters = range_parameters(options);
  parameters.emplace_back("query", options.query);
  parameters.emplace_back("limit", std::to_string(options.limit));
  SKALD_TRY_ASSIGN(const std::string body, client.get("/loki/api/v1/index/volume", parameters));
  SKALD_TRY_ASSIGN(const Answer answer, parse_answer(body));
  io.out(answer.result + "\n");
  return {};
}

}  // namespace skald::query::cli
