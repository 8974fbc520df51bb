#include "query/alert/rule_test_file.h"

#include <yaml-cpp/yaml.h>

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"
#include "proto/gotext/strings.h"
#include "query/alert/limits.h"

namespace skald::query::alert {
namespace {

constexpr std::size_t kTestLinesMax = 1'000'000;  // of one file

class TestReader {
 public:
  base::Status status;
  std::size_t lines = 0;

  void fail(const YAML::Node& node, const std::string& message) {
    if (!status.ok()) return;
    const YAML::Mark mark = node.Mark();
    status = base::invalid_argument(
        (mark.is_null() ? "" : "line " + std::to_string(mark.line + 1) + ": ") + message);
  }

  template <typename F>
  void map(const YAML::Node& node, const char* what, F&& field) {
    if (!node.IsMap()) return fail(node, std::string(what) + " must be a map");
    for (const auto& entry : node) {
      if (!status.ok()) return;
      if (!entry.first.IsScalar() || !field(entry.first.Scalar(), entry.second))
        return fail(entry.first, "field " + entry.first.Scalar() + " not found in " + what);
    }
  }
  template <typename F>
  void list(const YAML::Node& node, const char* what, F&& item) {
    if (node.IsNull()) return;
    if (!node.IsSequence()) return fail(node, std::string(what) + " must be a list");
    for (const auto& entry : node)
      if (status.ok()) item(entry);
  }
  std::string text(const YAML::Node& node) {
    if (!node.IsScalar()) fail(node, "text is expected");
    return node.IsScalar() ? node.Scalar() : std::string();
  }
  std::int64_t duration(const YAML::Node& node) {
    auto ns = gotext::parse_logql_duration(text(node));
    if (!ns.ok()) fail(node, std::string(ns.status().message()));
    return ns.ok() ? *ns : 0;
  }
  model::Labels label_map(const YAML::Node& node) {
    model::Labels out;
    if (node.IsNull()) return out;
    if (!node.IsMap()) return fail(node, "a map of labels is expected"), out;
    for (const auto& entry : node) out.set(text(entry.first), text(entry.second));
    return out;
  }
  model::Labels label_text(const YAML::Node& node) {
    auto labels = model::parse_labels(text(node));
    if (!labels.ok()) fail(node, std::string(labels.status().message()));
    return labels.ok() ? std::move(labels).value() : model::Labels();
  }

  // {at, line} or {from, to, every, line}; "{i}" in the line is the repetition's number.
  void entry(const YAML::Node& node, TestStream& out) {
    std::int64_t from = 0, to = -1, every = 0;
    std::string line;
    map(node, "entry", [&](const std::string& key, const YAML::Node& value) {
      if (key == "at" || key == "from") return from = duration(value), true;
      if (key == "to") return to = duration(value), true;
      if (key == "every") return every = duration(value), true;
      if (key == "line") return line = text(value), true;
      return false;
    });
    if (to >= 0 && every <= 0) return fail(node, "every must be a positive duration");
    std::int64_t number = 0;
    for (std::int64_t at = from; status.ok() && (at == from || at <= to); at += every) {
      if (++lines > kTestLinesMax) return fail(node, "too many lines in one file of tests");
      auto shown = gotext::replace(line, "{i}", std::to_string(number++), -1);
      out.lines.push_back({at, shown.ok() ? std::move(shown).value() : line});
      if (to < 0) break;
    }
  }

  TestStream stream(const YAML::Node& node) {
    TestStream out;
    map(node, "input_streams", [&](const std::string& key, const YAML::Node& value) {
      if (key == "labels") return out.labels = label_text(value), true;
      if (key != "entries") return false;
      list(value, "entries", [&](const YAML::Node& item) { entry(item, out); });
      return true;
    });
    if (out.labels.empty()) fail(node, "a stream needs labels");
    return out;
  }

  AlertTest alert(const YAML::Node& node) {
    AlertTest out;
    out.line = node.Mark().line + 1;
    map(node, "alert_rule_test", [&](const std::string& key, const YAML::Node& value) {
      if (key == "eval_time") return out.eval_ns = duration(value), true;
      if (key == "alertname") return out.alertname = text(value), true;
      if (key != "exp_alerts") return false;
      list(value, "exp_alerts", [&](const YAML::Node& item) {
        ExpectedAlert expected;
        map(item, "exp_alerts", [&](const std::string& name, const YAML::Node& labels) {
          if (name == "exp_labels") return expected.labels = label_map(labels), true;
          if (name == "exp_annotations") return expected.annotations = label_map(labels), true;
          return false;
        });
        out.alerts.push_back(std::move(expected));
      });
      return true;
    });
    return out;
  }

  ExprTest expr(const YAML::Node& node) {
    ExprTest out;
    out.line = node.Mark().line + 1;
    map(node, "logql_expr_test", [&](const std::string& key, const YAML::Node& value) {
      if (key == "eval_time") return out.eval_ns = duration(value), true;
      if (key == "expr") return out.expr = text(value), true;
      if (key != "exp_samples") return false;
      list(value, "exp_samples", [&](const YAML::Node& item) {
        ExpectedSample expected;
        map(item, "exp_samples", [&](const std::string& name, const YAML::Node& field) {
          if (name == "labels") return expected.labels = label_text(field), true;
          if (name != "value") return false;
          if (gotext::read_float(text(field), expected.value) != gotext::NumberError::kNone)
            fail(field, "value must be a number");
          return true;
        });
        out.samples.push_back(std::move(expected));
      });
      return true;
    });
    return out;
  }

  RuleTest test(const YAML::Node& node) {
    RuleTest out;
    map(node, "tests", [&](const std::string& key, const YAML::Node& value) {
      if (key == "name") return out.name = text(value), true;
      if (key == "interval") return static_cast<void>(duration(value)), true;
      if (key == "input_streams")
        list(value, "input_streams", [&](const auto& n) { out.streams.push_back(stream(n)); });
      else if (key == "alert_rule_test")
        list(value, "alert_rule_test", [&](const auto& n) { out.alerts.push_back(alert(n)); });
      else if (key == "logql_expr_test")
        list(value, "logql_expr_test", [&](const auto& n) { out.exprs.push_back(expr(n)); });
      else
        return false;
      return true;
    });
    return out;
  }
};

}  // namespace

base::Result<RuleTestFile> parse_rule_tests(std::string_view yaml) {
  RuleTestFile out;
  TestReader reader;
  if (yaml.size() > kRuleFileMax) return base::invalid_argument("file is too long");
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    reader.map(root, "test file", [&](const std::string& key, const YAML::Node& value) {
      if (key == "evaluation_interval")
        return out.evaluation_interval_ns = reader.duration(value), true;
      if (key == "group_eval_order" || key == "fuzzy_compare") return true;
      if (key == "rule_files")
        reader.list(value, "rule_files",
                    [&](const auto& n) { out.rule_files.push_back(reader.text(n)); });
      else if (key == "tests")
        reader.list(value, "tests", [&](const auto& n) { out.tests.push_back(reader.test(n)); });
      else
        return false;
      return true;
    });
  } catch (const YAML::Exception& e) {
    return base::invalid_argument("line " + std::to_string(e.mark.line + 1) + ": " + e.msg);
  }
  if (reader.status.ok() && out.evaluation_interval_ns < 1'000'000)
    return base::invalid_argument("evaluation_interval must be at least 1ms");
  if (!reader.status.ok()) return std::move(reader.status);
  return out;
}

}  // namespace skald::query::alert
