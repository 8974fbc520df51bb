#include "query/cli/answer.h"

#include <simdjson.h>

#include <charconv>

#include "proto/base/text_code.h"
#include "proto/gotext/time_layout.h"
#include "proto/model/labels_json.h"

namespace skald::query::cli {
namespace {

using simdjson::dom::element;

base::Status unexpected(std::string_view what) {
  return base::corrupt("the server's answer is not as expected: " + std::string(what));
}

base::Status parse(simdjson::dom::parser& parser, std::string_view body, element& root) {
  if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS) {
    return unexpected("no JSON");
  }
  return {};
}

base::Result<model::Labels> labels_of(const element& value) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return unexpected("labels are no object");
  std::vector<model::Labels::Pair> pairs;
  for (const auto field : object) {
    std::string_view text;
    if (field.value.get(text) != simdjson::SUCCESS) return unexpected("a label is no string");
    pairs.emplace_back(field.key, text);
  }
  return model::Labels::from_pairs(std::move(pairs));
}

base::Status add_values(const element& stream, std::size_t index, Answer& answer) {
  simdjson::dom::array values;
  if (stream["values"].get(values) != simdjson::SUCCESS) return unexpected("no values");
  for (const element value : values) {
    std::string_view time, line;
    if (value.at(0).get(time) != simdjson::SUCCESS || value.at(1).get(line) != simdjson::SUCCESS) {
      return unexpected("an entry is no pair of strings");
    }
    AnswerEntry entry;
    entry.stream = index;
    entry.line = line;
    const auto [end, error] =
        std::from_chars(time.data(), time.data() + time.size(), entry.timestamp_ns);
    if (error != std::errc() || end != time.data() + time.size()) {
      return unexpected("a time is no number");
    }
    answer.entries.push_back(std::move(entry));
  }
  return {};
}

base::Status add_streams(const element& list, Answer& answer) {
  simdjson::dom::array streams;
  if (list.get(streams) != simdjson::SUCCESS) return unexpected("streams are no array");
  answer.type = "streams";
  for (const element stream : streams) {
    element labels;
    if (stream["stream"].get(labels) != simdjson::SUCCESS) return unexpected("no stream labels");
    SKALD_TRY_ASSIGN(model::Labels parsed, labels_of(labels));
    answer.streams.push_back(std::move(parsed));
    SKALD_TRY(add_values(stream, answer.streams.size() - 1, answer));
  }
  return {};
}

}  // namespace

base::Result<Answer> parse_answer(std::string_view body) {
  simdjson::dom::parser parser;
  element root, data, result;
  SKALD_TRY(parse(parser, body, root));
  Answer answer;
  std::string_view type;
  if (root["data"].get(data) != simdjson::SUCCESS ||
      data["resultType"].get(type) != simdjson::SUCCESS ||
      data["result"].get(result) != simdjson::SUCCESS) {
    return unexpected("no data.resultType and data.result");
  }
  simdjson::dom::array warnings;
  if (root["warnings"].get(warnings) == simdjson::SUCCESS) {
    for (const element warning : warnings) {
      std::string_view text;
      if (warning.get(text) == simdjson::SUCCESS) answer.warnings.emplace_back(text);
    }
  }
  if (type == "streams") {
    SKALD_TRY(add_streams(result, answer));
  } else {
    answer.type = type;
    answer.result = simdjson::minify(result);
  }
  return answer;
}

base::Result<Answer> parse_tail_frame(std::string_view frame) {
  simdjson::dom::parser parser;
  element root, streams;
  SKALD_TRY(parse(parser, frame, root));
  if (root["streams"].get(streams) != simdjson::SUCCESS) return unexpected("no streams");
  Answer answer;
  SKALD_TRY(add_streams(streams, answer));
  return answer;
}

base::Result<std::vector<std::string>> parse_strings(std::string_view body) {
  simdjson::dom::parser parser;
  element root;
  SKALD_TRY(parse(parser, body, root));
  std::vector<std::string> out;
  simdjson::dom::array data;
  if (root["data"].get(data) != simdjson::SUCCESS) return out;  // Loki leaves out empty data
  for (const element value : data) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return unexpected("data holds no strings");
    out.emplace_back(text);
  }
  return out;
}

base::Result<std::vector<model::Labels>> parse_series(std::string_view body) {
  simdjson::dom::parser parser;
  element root;
  SKALD_TRY(parse(parser, body, root));
  std::vector<model::Labels> out;
  simdjson::dom::array data;
  if (root["data"].get(data) != simdjson::SUCCESS) return out;
  for (const element value : data) {
    SKALD_TRY_ASSIGN(model::Labels labels, labels_of(value));
    out.push_back(std::move(labels));
  }
  return out;
}

base::Result<std::string> parse_member(std::string_view body, std::string_view key) {
  simdjson::dom::parser parser;
  element root;
  SKALD_TRY(parse(parser, body, root));
  if (key.empty()) return std::string(simdjson::minify(root));
  element member;
  if (root[key].get(member) != simdjson::SUCCESS) return unexpected("no " + std::string(key));
  return std::string(simdjson::minify(member));
}

model::Labels common_labels(const std::vector<model::Labels>& streams) {
  model::Labels common;
  if (streams.empty()) return common;
  for (const auto& [name, value] : streams.front()) {
    bool everywhere = true;
    for (const model::Labels& labels : streams)
      everywhere = everywhere && labels.get(name) == value;
    if (everywhere) common.set(name, value);
  }
  return common;
}

void append_entry_text(std::string& out, const Options& options, const model::Labels& labels,
                       const model::Labels& common, model::TimestampNs timestamp_ns,
                       std::string_view line) {
  if (options.output == OutputMode::kRaw) {
    out += line;
    out += '\n';
    return;
  }
  const std::string time = gotext::format_rfc3339_nano(timestamp_ns);
  if (options.output == OutputMode::kJsonLines) {
    out += '{';
    if (!options.no_labels) {
      out += "\"labels\":";
      model::append_json_labels(out, labels);
      out += ',';
    }
    out += "\"line\":";
    base::append_json_string(out, line);
    out += ",\"timestamp\":\"" + time + "\"}\n";
    return;
  }
  out += time + " ";
  if (!options.no_labels) {
    std::vector<model::Labels::Pair> shown;
    for (const auto& pair : labels) {
      if (common.get(pair.first) != pair.second) shown.push_back(pair);
    }
    out += model::Labels::from_pairs(std::move(shown)).to_string() + " ";
  }
  out += line;
  out += '\n';
}

}  // namespace skald::query::cli
