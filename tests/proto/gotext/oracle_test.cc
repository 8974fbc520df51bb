// Replays cases/*.jsonl: inputs with what Go 1.26's standard library, sprig 3, go-humanize and
// prometheus/common answered ("=text" or "!error"). TZ was UTC when they were recorded.
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "proto/gotext/duration.h"
#include "proto/gotext/format.h"
#include "proto/gotext/functions.h"
#include "proto/gotext/json.h"
#include "proto/gotext/number.h"
#include "proto/gotext/template.h"

namespace skald::gotext {
namespace {

// map[string]string, as LogQL shows labels.
class TextMap final : public Object {
 public:
  explicit TextMap(const Value& data) {
    for (const auto& [key, value] : data.as_object().entries()) {
      std::string text;
      append_value(text, value);
      entries_.emplace_back(key, Value(std::move(text)));
    }
  }
  std::optional<Value> get(std::string_view key) const override {
    for (const auto& [name, value] : entries_)
      if (name == key) return value;
    return std::nullopt;
  }
  std::vector<std::pair<std::string, Value>> entries() const override { return entries_; }

 private:
  std::vector<std::pair<std::string, Value>> entries_;
};

struct Case {
  std::string kind, text, want;
  Value data;
  std::vector<std::string> args;
};

std::string string_of(const Value& object, std::string_view key) {
  const auto value = object.as_object().get(key);
  return value && value->is(Value::Kind::kString) ? std::string(value->as_string()) : "";
}

Case read_case(const Value& line) {
  Case out{string_of(line, "Kind"), string_of(line, "Tmpl"), string_of(line, "want"), {}, {}};
  if (auto data = line.as_object().get("Data")) out.data = *data;
  if (auto args = line.as_object().get("Args"))
    for (const Value& arg : args->as_list()) out.args.emplace_back(arg.as_string());
  return out;
}

template <typename T>
std::string failed(const base::Result<T>& result) {
  return "!" + std::string(result.status().message());
}

std::string run_template(const Case& c) {
  static const FunctionTable none;
  static const LineContext line{"the line", 1700000000123456789};
  const bool logql = c.kind == "loki" || c.kind == "label";
  const FunctionTable& functions = logql               ? logql_functions()
                                   : c.kind == "agent" ? agent_functions()
                                   : c.kind == "alert" ? alert_functions()
                                                       : none;
  const MissingKey missing = logql || c.kind == "zero" || c.kind == "alert" ? MissingKey::kZero
                             : c.kind == "err"                              ? MissingKey::kError
                                                                            : MissingKey::kDefault;
  const char* name = c.kind == "loki"    ? "line"
                     : c.kind == "label" ? "label"
                     : c.kind == "agent" ? "pipeline_template"
                     : c.kind == "alert" ? "alert"
                                         : "t";
  auto parsed = Template::parse(name, c.text, functions, missing);
  if (!parsed.ok()) return failed(parsed);
  const TextMap texts(c.data);
  std::string out = "=";
  const base::Status status =
      parsed->execute(logql ? Value::object(&texts) : c.data, out, {.context = &line});
  return status.ok() ? out : "!" + std::string(status.message());
}

Value typed(const std::string& text) {
  if (text == "n") return Value::nil();
  const std::string rest = text.substr(2);
  std::int64_t i = 0;
  double f = 0;
  switch (text[0]) {
    case 's': return Value(rest);
    case 'i': read_int(rest, 10, 64, i); return Value::integer(i);
    case 'l': read_int(rest, 10, 64, i); return Value::int64(i);
    case 'f': read_float(rest, f); return Value(f);
    case 'b': return Value(rest == "true");
    case 'd': return Value::duration(parse_duration(rest).value());
    default: return parse_json(rest).value();
  }
}

std::vector<Value> typed(const std::vector<std::string>& args) {
  std::vector<Value> out;
  for (const auto& arg : args) out.push_back(typed(arg));
  return out;
}

std::string run_number(const Case& c) {
  if (c.kind == "float") {
    auto value = parse_float(c.args[0]);
    return value.ok() ? "=" + format_float(*value, 'g') : failed(value);
  }
  if (c.kind == "int") {
    auto value = parse_int(c.args[0], std::stoi(c.args[1]), std::stoi(c.args[2]));
    return value.ok() ? "=" + std::to_string(*value) : failed(value);
  }
  double value = 0;
  read_float(c.args[0], value);
  return "=" + format_float(value, c.args[1][0], std::stoi(c.args[2]));
}

std::string run_duration(const Case& c) {
  if (c.kind == "bytes") {
    auto bytes = parse_bytes(c.args[0]);
    if (!bytes.ok()) return failed(bytes);
    return "=" + std::to_string(*bytes) + " " + format_bytes(*bytes) + " " + format_ibytes(*bytes);
  }
  const bool go = c.kind == "duration";
  auto ns = go ? parse_duration(c.args[0]) : parse_prometheus_duration_signed(c.args[0]);
  if (!ns.ok()) return failed(ns);
  const std::string out = "=" + std::to_string(*ns) + " ";
  if (!go) return out + format_prometheus_duration(*ns);
  return out + format_duration(*ns) + " " + format_float(duration_seconds(*ns), 'g');
}

std::string run_time(const Case& c) {
  const bool format = c.kind == "timefmt";
  auto zone = load_zone(c.args[format ? 1 : 2]);
  if (!zone.ok()) return failed(zone);
  if (format) {
    std::int64_t ns = 0;
    read_int(c.args[0], 10, 64, ns);
    return "=" + TimeLayout(c.args[2]).format(Time::from_unix_ns(ns, *zone));
  }
  auto time = TimeLayout(c.args[0]).parse(c.args[1], *zone);
  if (!time.ok()) return failed(time);
  return "=" + std::to_string(time->unix_seconds) + " " + std::to_string(time->nanosecond) + " " +
         time->to_string();
}

std::string run(const Case& c) {
  if (c.kind == "float" || c.kind == "int" || c.kind == "fmtfloat") return run_number(c);
  if (c.kind == "duration" || c.kind == "promduration" || c.kind == "bytes") return run_duration(c);
  if (c.kind == "timefmt" || c.kind == "timeparse") return run_time(c);
  if (c.kind == "sprintf") return "=" + sprintf(c.text, typed(c.args));
  if (c.kind == "sprint") return "=" + sprint(typed(c.args));
  return run_template(c);
}

class OracleTest : public testing::TestWithParam<const char*> {};

TEST_P(OracleTest, AnswersAsGo) {
  std::ifstream file(std::string(SKALD_SOURCE_DIR) + "/tests/proto/gotext/cases/" + GetParam() +
                     ".jsonl");
  ASSERT_TRUE(file.is_open());
  std::string line;
  int count = 0;
  while (std::getline(file, line)) {
    auto json = parse_json(line);
    ASSERT_TRUE(json.ok()) << line;
    const Case c = read_case(*json);
    EXPECT_EQ(run(c), c.want) << line;
    ++count;
  }
  EXPECT_GT(count, 0);
}

INSTANTIATE_TEST_SUITE_P(Tables, OracleTest,
                         testing::Values("language", "nested", "logql", "label", "agent", "alert",
                                         "numbers", "durations", "timefmt", "timeparse", "sprintf"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace skald::gotext
