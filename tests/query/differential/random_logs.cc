#include "tests/query/differential/random_logs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace skald::tests {
namespace {

using Strings = std::vector<std::string>;

const Strings& words() {
  static const Strings kWords{
      "alpha", "beta",     "error",   "ERROR",   "timeout", "caf\u00e9",
      "x y",   "10.0.0.7", "/api/v1", "42",      "7.50",    "1e3",
      "250ms", "1.5s",     "3KB",     "",        "true",    "null",
      "a=b",   "q\\\"q",   "tab\\tx", "\\u00e9", "\\ufffd", "9f1c3a52-7a10-4d1e-a0b2-3c4d5e6f7a8b"};
  return kWords;
}

std::string json_scalar(Random& random) {
  switch (random.below(9)) {
    case 0: return "null";
    case 1: return random.chance(50) ? "true" : "false";
    case 2: return std::to_string(random.below(500));
    case 3: return std::to_string(random.below(400)) + "." + std::to_string(random.below(100));
    case 4: return "-" + std::to_string(random.below(50)) + ".0";
    case 5: return std::to_string(random.below(9)) + "e" + std::to_string(random.below(3));
    default: return '"' + random.pick(words()) + '"';
  }
}

std::string json_line(Random& random, std::uint32_t broken_percent) {
  static const Strings kKeys{"level", "status", "duration",        "user",     "path",  "a.b",
                             "1st",   "event",  "level_extracted", "trace_id", "_entry"};
  const std::string colon = random.chance(70) ? ": " : ":";
  const std::string comma = random.chance(70) ? ", " : ",";
  std::string line = "{";
  const auto add = [&](const std::string& key, const std::string& value) {
    if (line.size() > 1) line += comma;
    line += '"' + key + '"' + colon + value;
  };
  // A few typical shapes first, so that blocks of one shape form.
  if (random.chance(75)) {
    add("event", random.chance(50) ? "\"request\"" : "\"query\"");
    add("status", std::to_string(200 + 100 * random.below(4)));
    add("duration", std::to_string(random.below(300)) + "." + std::to_string(random.below(10)));
    if (random.chance(50)) add("user", '"' + random.pick(words()) + '"');
    if (random.chance(30))
      add("pool", "{\"size\"" + colon + std::to_string(random.below(30)) + comma + "\"tag\"" +
                      colon + json_scalar(random) + "}");
  } else {
    for (std::uint32_t n = random.below(6); n > 0; --n) {
      const std::string& key = random.pick(kKeys);
      if (random.chance(10))
        add(key, "[" + json_scalar(random) + comma + json_scalar(random) + "]");
      else if (random.chance(10))
        add(key, "{\"size\"" + colon + json_scalar(random) + "}");
      else
        add(key, json_scalar(random));
    }
  }
  line += "}";
  if (random.chance(broken_percent)) line.resize(line.size() / 2);
  return line;
}

// A line of the one shape.
std::string plain_line(Random& random) {
  std::string line = random.chance(50) ? R"({"event": "request")" : R"({"event": "query")";
  line += ", \"status\": " + std::to_string(200 + 100 * random.below(4));
  line += ", \"duration\": " + std::to_string(random.below(300)) + "." +
          std::to_string(random.below(10));
  line += ", \"user\": \"" + random.pick(words()) + "\"";
  return line + ", \"pool\": {\"size\": " + std::to_string(random.below(30)) + "}}";
}

std::string random_line(Random& random, std::uint32_t broken_percent) {
  switch (random.below(10)) {
    case 0: {
      std::string line = "level=" + random.pick(words()) +
                         " duration=" + std::to_string(random.below(300)) + "ms user=\"" +
                         random.pick(words());
      return line + "\"";
    }
    case 1: return "plain " + random.pick(words()) + " text " + random.pick(words());
    case 2: return random.chance(50) ? std::string("\xff\x00 raw", 6) : std::string();
    default: return json_line(random, broken_percent);
  }
}

std::string quoted(const std::string& text) { return model::go_quote(text); }

std::string selector(Random& random) {
  static const Strings kSelectors{R"({job="api"})", R"({job=~".+"})", R"({job="api",level="info"})",
                                  R"({job=~"api|web",pod!="p1"})", R"({job="none"})"};
  return random.pick(kSelectors);
}

std::string line_filter(Random& random) {
  static const Strings kNeedles{"error",
                                "request",
                                "\"status\": 500",
                                "200",
                                ": \"",
                                "caf\u00e9",
                                "9f1c3a52-7a10-4d1e-a0b2-3c4d5e6f7a8b",
                                "zzz",
                                "duration",
                                ", ",
                                "1.5",
                                "{",
                                "}",
                                "e\": \"q",
                                ""};
  static const Strings kRegexes{"err.*t",
                                "(?i)error",
                                "status\\W+(500|300)",
                                "^\\{",
                                "query|beta",
                                "[0-9]+ms",
                                "a+",
                                "x y.*",
                                "\\d\\.\\d",
                                "[a-z]+\", \"st",
                                "^.\"event\": ?\"[a-q]",
                                "user\": ?\"[^\"]*a\"",
                                "(status|duration)\": ?3\\d+",
                                "[^ -~]",
                                "7[^0]+[0-9]{2}\\b",
                                "(?i)[q-u]+\", \"STATUS",
                                ".\\..*\\\\"};
  static const Strings kPatterns{"<_>error<_>", "<_>status<_>500<_>", "<_>duration<_>"};
  switch (random.below(8)) {
    case 0: return " != " + quoted(random.pick(kNeedles));
    case 1: return " |~ " + quoted(random.pick(kRegexes));
    case 2: return " !~ " + quoted(random.pick(kRegexes));
    case 3: return " |= " + quoted(random.pick(kNeedles)) + " or " + quoted(random.pick(kNeedles));
    case 4: return (random.chance(50) ? " |> " : " !> ") + quoted(random.pick(kPatterns));
    default: return " |= " + quoted(random.pick(kNeedles));
  }
}

const Strings& labels() {
  static const Strings kLabels{
      "level",  "status", "duration", "user", "event", "pool_size", "pool_tag", "level_extracted",
      "pod",    "a_b",    "tag",      "u",    "d",     "_1st",      "trace_id", "detected_level",
      "absent", "job"};
  return kLabels;
}

std::string label_condition(Random& random, int depth = 0) {
  if (depth < 2 && random.chance(25)) {
    const std::string op = random.chance(50) ? " and " : " or ";
    return "( " + label_condition(random, depth + 1) + op + label_condition(random, depth + 1) +
           " )";
  }
  const std::string& label = random.pick(labels());
  static const Strings kNumberOps{">", ">=", "<", "<=", "==", "!="};
  static const Strings kTextOps{"=", "!=", "=~", "!~"};
  static const Strings kTexts{"info", "error", "500",  "200", "request",    "p1",
                              "",     "api",   ".+",   "e.*", "alpha|beta", "true",
                              "null", "x y",   "7.50", "x"};
  switch (random.below(12)) {
    case 11: return label + (random.chance(70) ? "=" : "!=") + "ip(\"10.0.0.0/8\")";
    case 0: return label + random.pick(kNumberOps) + std::to_string(random.below(400));
    case 1:
    case 2: return label + random.pick(kNumberOps) + (random.chance(50) ? "1s" : "2KB");
    case 3:
    case 4: return random.chance(70) ? "__error__=\"\"" : "__error__!=\"\"";
    default: return label + random.pick(kTextOps) + quoted(random.pick(kTexts));
  }
}

// Of which the columns of a block often tell what they find.
std::string text_parser(Random& random) {
  static const Strings kParsers{" | regexp `\"event\": ?\"(?P<event>[a-z]+)\"`",
                                " | regexp `\"(?P<event>\\w+)\", \"status\": (?P<status>\\d+)`",
                                " | regexp `(?P<d>[0-9]+)\\.(?P<duration>[0-9])`",
                                " | regexp `user\": ?\"(?P<user>[^\"]*)\"`",
                                " | regexp `(?i)^\\{\"(?P<tag>E.*?)\"`",
                                " | regexp `(?P<tag>[a-t]{3,5}?)(?P<u>.)(?P<level>\\s|,)`",
                                " | regexp `(?:size|user)\": ?(?P<pool_size>\\d+|\"x)`",
                                " | regexp `(?P<u>\\w+)(?P<status>.*)\"user`",
                                " | regexp `st(?P<status>[^0-9]*)\\b`",
                                " | pattern `<_>\"user\": \"<user>\"<_>`",
                                " | pattern `{\"event\": \"<event>\", <_>`",
                                " | pattern `<_>status\": <status>,<_>\"user\": \"<user>\"<_>`",
                                " | pattern `<tag>: <_>`",
                                " | pattern `<_>user\": \"<user>`",
                                " | pattern `<_>3<d>.<_>`",
                                " | pattern `{<_>5<level>, <tag>:<_>`"};
  return random.pick(kParsers);
}

std::string pipeline(Random& random) {
  std::string out;
  for (std::uint32_t n = random.below(3); n > 0; --n) out += line_filter(random);
  if (random.chance(75)) {
    static const Strings kParsers{" | json",
                                  " | json",
                                  " | json",
                                  " | json",
                                  " | logfmt",
                                  " | json status, u=\"user\"",
                                  " | json | logfmt",
                                  " | json tag=\"pool.tag\", level, d=\"duration\"",
                                  " | json | json status, pool",
                                  " | logfmt --strict",
                                  " | unpack",
                                  " | unpack | json"};
    out += random.chance(20) ? text_parser(random) : random.pick(kParsers);
  }
  for (std::uint32_t n = random.below(3); n > 0; --n) out += " | " + label_condition(random);
  if (random.chance(20)) out += line_filter(random);
  if (random.chance(20)) {
    static const Strings kRest{
        " | drop __error__, __error_details__",
        " | drop level",
        " | keep status, level",
        " | label_format x=status",
        " | line_format \"{{.status}} {{.user}}\"",
        " | line_format `{{.event}}` |~ \"req|^$\"",
        " | line_format `{{.user}} {{.absent}}` | regexp `(?P<first>\\w+) `",
        " | line_format `{{.pool_tag | trunc 3}}{{__line__}}` |= \"q\"",
        " | line_format `{{if eq .status \"500\"}}{{slice .user 9}}{{end}}5` |= \"5\"",
        " | label_format x=`{{.event}}-{{.status}}`, y=user | x!=`query-200`",
        " | label_format level=`{{.level | ToUpper}}{{.level_extracted}}`",
        " | label_format user=event, t=`{{__timestamp__ | unixEpoch}}`",
        " | keep event, level_extracted, user, pool_tag | drop pod",
        " | drop user=\"alpha\""};
    out += random.pick(kRest);
    if (random.chance(30)) out += " | " + label_condition(random);
  }
  return out;
}

std::string grouping(Random& random) {
  std::string out = random.chance(85) ? "by (" : "without (";
  for (std::uint32_t n = random.below(3), i = 0; i < n; ++i)
    out += (i > 0 ? "," : "") + random.pick(labels());
  return out + ")";
}

// Of a long block few rows are left, by what only templates can tell.
std::string rare_lines(Random& random) {
  static const Strings kNeedles{"query-500-alpha", "-300-42", "-\\d00-(beta|10[.])", "st-400-e"};
  std::string out = " | json";
  if (random.chance(50)) out += " | " + label_condition(random);
  if (random.chance(50))
    return out + " | line_format `{{.event}}-{{.status}}-{{.user}}` |~ " +
           quoted(random.pick(kNeedles));
  return out + " | label_format x=`{{.event}}-{{.status | trunc 3}}-{{.user}}` | x=~" +
         quoted(".*" + random.pick(kNeedles) + ".*");
}

}  // namespace

std::vector<RandomEntry> random_entries(Random& random, const RandomLogs& logs) {
  std::vector<RandomEntry> entries;
  std::set<std::tuple<model::Labels, model::TimestampNs, std::string>> known;
  const model::TimestampNs span_ns = model::TimestampNs{logs.minutes} * 60 * 1'000'000'000;
  for (std::size_t i = 0; i < logs.count; ++i) {
    RandomEntry e;
    e.stream.set("job", random.chance(70) ? "api" : "web");
    if (random.chance(60)) e.stream.set("level", random.chance(50) ? "info" : "error");
    e.stream.set("pod", "p" + std::to_string(random.below(3)));
    // Whole seconds now and then, so that times tie.
    const auto step =
        static_cast<model::TimestampNs>(i) * span_ns / static_cast<model::TimestampNs>(logs.count);
    e.entry.timestamp_ns =
        logs.start_ns + (random.chance(20) ? step / 1'000'000'000 * 1'000'000'000 : step);
    e.entry.line = logs.one_shape ? plain_line(random) : random_line(random, logs.broken_percent);
    if (random.chance(30)) e.entry.metadata.set("detected_level", random.pick(words()));
    if (random.chance(10)) e.entry.metadata.set("trace_id", std::to_string(random.below(1000)));
    if (random.chance(3)) e.entry.metadata.set("user", "metadata");
    if (known.emplace(e.stream, e.entry.timestamp_ns, e.entry.line).second)
      entries.push_back(std::move(e));
  }
  return entries;
}

std::string random_log_query(Random& random) {
  return selector(random) + (random.chance(15) ? rare_lines(random) : pipeline(random));
}

std::string random_metric_query(Random& random) {
  static const Strings kRanges{"[1m]", "[5m]", "[30m]", "[2h]"};
  static const Strings kCounts{"count_over_time", "rate", "bytes_over_time", "bytes_rate"};
  static const Strings kUnwrapped{"sum_over_time",   "avg_over_time",      "max_over_time",
                                  "min_over_time",   "quantile_over_time", "stddev_over_time",
                                  "first_over_time", "last_over_time"};
  static const Strings kVector{"sum", "sum", "sum", "avg", "max", "min", "count"};
  std::string inner;
  if (random.chance(60)) {
    inner = random.pick(kCounts) + "(" + selector(random) + pipeline(random) +
            random.pick(kRanges) + ")";
  } else {
    const std::string& op = random.pick(kUnwrapped);
    static const Strings kUnwraps{"status", "duration",           "pool_size",
                                  "user",   "duration(duration)", "bytes(user)"};
    inner = op + "(" + (op == "quantile_over_time" ? "0.9, " : "") + selector(random) +
            pipeline(random) + " | unwrap " + random.pick(kUnwraps) +
            (random.chance(60) ? " | __error__=\"\"" : "") + random.pick(kRanges) + ")";
    if (random.chance(60)) inner += " " + grouping(random);
  }
  if (random.chance(30)) return inner;
  const std::string& op = random.pick(kVector);
  if (random.chance(25)) return op + "(" + inner + ")";
  return op + " " + grouping(random) + " (" + inner + ")";
}

std::unique_ptr<store::Store> open_empty_store(const std::filesystem::path& directory) {
  std::filesystem::remove_all(directory);
  store::StoreOptions options;
  options.data_dir = directory.string();
  options.retention = [](std::string_view) {
    store::RetentionPolicy policy;
    policy.period_ns = 0;
    return policy;
  };
  options.background_threads = 0;
  return store::Store::open(std::move(options)).value();
}

void append_entries(store::Store& store, const std::vector<RandomEntry>& entries, std::size_t from,
                    std::size_t to, std::string_view tenant) {
  for (std::size_t i = from; i < to; i += 100) {
    std::map<model::Labels, model::PushStream> streams;
    for (std::size_t j = i; j < std::min(i + 100, to); ++j) {
      const RandomEntry& e = entries[j];
      model::PushStream& stream = streams[e.stream];
      stream.labels = e.stream;
      stream.entries.push_back({e.entry.timestamp_ns, e.entry.line, &e.entry.metadata});
    }
    model::PushBatch batch;
    for (auto& [labels, stream] : streams) batch.streams.push_back(std::move(stream));
    ASSERT_TRUE(store.append(tenant, batch).ok());
  }
}

}  // namespace skald::tests
