#include "query/alert/rule_file.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <initializer_list>
#include <set>
#include <sstream>

#include "proto/base/text_code.h"
#include "proto/base/utf8.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/functions.h"
#include "proto/gotext/number.h"
#include "proto/model/labels.h"
#include "query/alert/expand.h"
#include "query/alert/limits.h"
#include "query/logql/parser.h"

namespace skald::query::alert {
namespace {

class Reader {
 public:
  explicit Reader(std::vector<RuleError>& errors) : errors_(errors) {}

  void fail(const YAML::Mark& mark, std::string message) {
    if (errors_.size() >= kRuleErrorsMax) return;
    errors_.push_back({mark.is_null() ? 0 : mark.line + 1, mark.is_null() ? 0 : mark.column + 1,
                       std::move(message)});
  }

  // Calls field(key, value) for each entry; unknown and repeated keys and other shapes are errors.
  template <typename F>
  void map(const YAML::Node& node, const char* what, std::initializer_list<std::string_view> known,
           F&& field) {
    if (!node.IsMap()) return fail(node.Mark(), std::string(what) + " must be a map of fields");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (errors_.size() >= kRuleErrorsMax) return;
      if (!entry.first.IsScalar()) {
        fail(entry.first.Mark(), std::string(what) + ": a key must be plain text");
        continue;
      }
      const std::string& key = entry.first.Scalar();
      if (!seen.insert(key).second) {
        fail(entry.first.Mark(), "mapping key \"" + key + "\" already defined");
      } else if (std::find(known.begin(), known.end(), key) == known.end()) {
        fail(entry.first.Mark(), "field " + key + " not found in " + what);
      } else {
        field(key, entry.second);
      }
    }
  }

  std::string text(const YAML::Node& node, const std::string& key) {
    if (node.IsNull()) return {};
    if (!node.IsScalar()) {
      fail(node.Mark(), key + " must be text");
      return {};
    }
    if (!copies(node, node.Scalar().size())) return {};
    return node.Scalar();
  }

  // Counts what is copied; an alias may stand for a long text, and many for one.
  bool copies(const YAML::Node& node, std::size_t bytes) {
    copied_ += bytes + sizeof(std::string);
    if (copied_ <= kRuleTextsMax) return true;
    too_large_ = true;
    fail(node.Mark(), "the texts of the rules are longer than " + std::to_string(kRuleTextsMax) +
                          " bytes together");
    return false;
  }
  bool too_large() const { return too_large_; }

  std::int64_t duration(const YAML::Node& node, const std::string& key) {
    if (node.IsNull()) return 0;
    const std::string value = text(node, key);
    auto ns = gotext::parse_prometheus_duration(value);
    if (!ns.ok()) {
      fail(node.Mark(), std::string(ns.status().message()));
      return 0;
    }
    return *ns;
  }

  std::int64_t integer(const YAML::Node& node, const std::string& key) {
    std::int64_t value = 0;
    if (node.IsNull()) return 0;
    if (!node.IsScalar() ||
        gotext::read_int(node.Scalar(), 0, 64, value) != gotext::NumberError::kNone) {
      fail(node.Mark(), key + " must be a whole number");
      return 0;
    }
    return value;
  }

  TextMap texts(const YAML::Node& node, const std::string& key) {
    TextMap out;
    if (node.IsNull()) return out;
    if (!node.IsMap()) {
      fail(node.Mark(), key + " must be a map of names to texts");
      return out;
    }
    for (const auto& entry : node) {
      if (too_large_) return out;
      if (!entry.first.IsScalar()) {
        fail(entry.first.Mark(), key + ": a name must be plain text");
        continue;
      }
      if (!out.emplace(entry.first.Scalar(), text(entry.second, entry.first.Scalar())).second)
        fail(entry.first.Mark(), "mapping key \"" + entry.first.Scalar() + "\" already defined");
    }
    return out;
  }

  Rule rule(const YAML::Node& node) {
    Rule out;
    out.line = node.Mark().is_null() ? 0 : node.Mark().line + 1;
    map(node, "rule",
        {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"},
        [&](const std::string& key, const YAML::Node& value) {
          if (key == "record") out.record = text(value, key);
          if (key == "alert") out.alert = text(value, key);
          if (key == "expr") out.expr = text(value, key);
          if (key == "for") out.for_ns = duration(value, key);
          if (key == "keep_firing_for") out.keep_firing_for_ns = duration(value, key);
          if (key == "labels") out.labels = texts(value, key);
          if (key == "annotations") out.annotations = texts(value, key);
        });
    return out;
  }

  RuleGroup group(const YAML::Node& node) {
    RuleGroup out;
    out.line = node.Mark().is_null() ? 0 : node.Mark().line + 1;
    map(node, "rule group",
        {"name", "interval", "query_offset", "evaluation_delay", "limit", "rules", "labels",
         "source_tenants", "align_evaluation_time_on_interval"},
        [&](const std::string& key, const YAML::Node& value) {
          if (key == "name") out.name = text(value, key);
          if (key == "interval") out.interval_ns = duration(value, key);
          if (key == "query_offset" || key == "evaluation_delay")
            out.query_offset_ns = duration(value, key);
          if (key == "limit") out.limit = integer(value, key);
          if (key == "labels") out.labels = texts(value, key);
          if (key == "source_tenants" && value.size() > 0)
            fail(value.Mark(), "source_tenants is not supported: a group reads its own tenant");
          if (key != "rules" || value.IsNull()) return;
          if (!value.IsSequence()) return fail(value.Mark(), "rules must be a list");
          for (const auto& item : value) {
            if (!copies(item, sizeof(Rule))) return;
            out.rules.push_back(rule(item));
          }
        });
    return out;
  }

 private:
  std::vector<RuleError>& errors_;
  std::size_t copied_ = 0;  // bytes
  bool too_large_ = false;
};

// Counts the values of a document before a tree of some 300 bytes for each is made.
class ValueCounter final : public YAML::EventHandler {
 public:
  explicit ValueCounter(std::size_t values_max) : values_max_(values_max) {}
  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override { count(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override { count(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {
    count(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/,
                       YAML::anchor_t /*anchor*/, YAML::EmitterStyle::value /*style*/) override {
    count(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {
    count(mark);
  }
  void OnMapEnd() override {}

 private:
  void count(const YAML::Mark& mark) {
    if (++values_ > values_max_)
      throw YAML::ParserException(  // allow: the only way out of the parser
          mark, "more than " + std::to_string(values_max_) + " values");
  }
  const std::size_t values_max_;
  std::size_t values_ = 0;
};

// What the scanner would hold of a text long before the parser objects: some 200 bytes for each
// bracket that is open, and all that an outermost one has. Those in texts count as well, but come
// in pairs there, as a rule, and with few commas.
base::Status fits_scanner(std::string_view text, std::size_t values_max) {
  std::size_t open = 0, commas = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') ++open;
    if ((c == ']' || c == '}') && open > 0) --open;
    if (open > kRuleBracketsMax) return base::invalid_argument("brackets nest too deeply");
    if (c == ',' && open > 0 && ++commas > values_max)
      return base::invalid_argument("more than " + std::to_string(values_max) +
                                    " values in brackets");
  }
  return {};
}

bool load_yaml(std::string_view text, std::size_t values_max, YAML::Node& out,
               std::vector<RuleError>& errors) {
  if (text.size() > kRuleFileMax) {
    errors.push_back({0, 0, "file is longer than " + std::to_string(kRuleFileMax) + " bytes"});
    return false;
  }
  if (const base::Status fits = fits_scanner(text, values_max); !fits.ok()) {
    errors.push_back({0, 0, std::string(fits.message())});
    return false;
  }
  try {
    std::istringstream stream{std::string(text)};
    ValueCounter counter(values_max);
    YAML::Parser(stream).HandleNextDocument(counter);
    out = YAML::Load(std::string(text));
    return true;
  } catch (const YAML::Exception& e) {
    errors.push_back({e.mark.line + 1, e.mark.column + 1, e.msg});
  } catch (const std::exception& e) {
    errors.push_back({0, 0, e.what()});
  }
  return false;
}

std::string quoted(std::string_view text) { return model::go_quote(text); }

std::optional<std::string> label_problem(const TextMap& labels) {
  for (const auto& [name, value] : labels) {
    if (!model::is_label_name(name) || name == "__name__") return "invalid label name: " + name;
    if (!base::is_valid_utf8(value)) return "invalid label value: " + value;
  }
  return std::nullopt;
}

// What the rules of one group may take together.
struct GroupBudget {
  logql::RegexBudget regexes{.programs_max = kRegexProgramsOfGroupMax};
  std::size_t template_nodes = 0;
};

std::optional<std::string> template_problem(const Rule& rule, GroupBudget& budget) {
  for (const bool label : {true, false}) {
    for (const auto& [name, text] : label ? rule.labels : rule.annotations) {
      if (budget.template_nodes > kTemplateNodesOfGroupMax) return std::nullopt;  // told before
      const auto nodes = check_template(rule.alert, text);
      if (!nodes.ok())
        return (label ? "label " : "annotation ") + quoted(name) + ": " +
               std::string(nodes.status().message());
      budget.template_nodes += *nodes;
      if (budget.template_nodes > kTemplateNodesOfGroupMax)
        return "the templates of the group have more than " +
               std::to_string(kTemplateNodesOfGroupMax) + " parts together; use several groups";
    }
  }
  return std::nullopt;
}

std::optional<std::string> expression_problem(const Rule& rule, const std::string& group,
                                              logql::RegexBudget& regexes) {
  if (rule.expr.empty()) return "field 'expr' must be set in rule";
  auto parsed = logql::parse(rule.expr, &regexes);
  const std::string where = std::string(rule.is_alert() ? "alert" : "record") + " '" + rule.name() +
                            "' in group '" + group + "'";
  if (!parsed.ok())
    return "could not parse expression for " + where + ": " +
           std::string(parsed.status().message());
  if ((*parsed)->is_log())
    return "expression for " + where + " selects log lines; a rule needs a metric query";
  return std::nullopt;
}

std::optional<std::string> rule_problem(const Rule& rule, const std::string& group,
                                        GroupBudget& budget) {
  if (!rule.record.empty() && !rule.alert.empty())
    return "only one of 'record' and 'alert' must be set";
  if (rule.record.empty() && rule.alert.empty()) return "one of 'record' or 'alert' must be set";
  if (auto problem = expression_problem(rule, group, budget.regexes)) return problem;
  if (!rule.is_alert()) {
    if (!rule.annotations.empty()) return "invalid field 'annotations' in recording rule";
    if (rule.for_ns != 0) return "invalid field 'for' in recording rule";
    if (rule.keep_firing_for_ns != 0) return "invalid field 'keep_firing_for' in recording rule";
    if (!model::is_label_name(rule.record, true))
      return "invalid recording rule name: " + rule.record;
  }
  if (auto problem = label_problem(rule.labels)) return problem;
  for (const auto& [name, value] : rule.annotations)
    if (!model::is_label_name(name)) return "invalid annotation name: " + name;
  return rule.is_alert() ? template_problem(rule, budget) : std::nullopt;
}

void check_groups(RuleFile& file) {
  std::set<std::string> names;
  for (const RuleGroup& group : file.groups) {
    if (group.name.empty())
      file.errors.push_back({group.line, 0, "Groupname must not be empty"});
    else if (!names.insert(group.name).second)
      file.errors.push_back(
          {group.line, 0, "groupname: \"" + group.name + "\" is repeated in the same file"});
    if (group.limit < 0) file.errors.push_back({group.line, 0, "limit must not be negative"});
    if (auto problem = label_problem(group.labels))
      file.errors.push_back({group.line, 0, *problem});
    GroupBudget budget;
    for (std::size_t i = 0; i < group.rules.size() && file.errors.size() < kRuleErrorsMax; ++i) {
      const Rule& rule = group.rules[i];
      if (auto problem = rule_problem(rule, group.name, budget)) {
        file.errors.push_back({rule.line, 0,
                               "group " + quoted(group.name) + ", rule " + std::to_string(i + 1) +
                                   ", " + quoted(rule.name()) + ": " + *problem});
      }
    }
  }
}

// ---- writing ----

bool plain_scalar(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  static constexpr std::string_view kBadStart = "!&*-?|>@`\"'%{}[],#:=~<";
  if (kBadStart.find(text.front()) != std::string_view::npos) return false;
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos)
    return false;
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) return false;
  // What YAML would read as another type stays text only in quotes.
  static constexpr std::string_view kWords[] = {"true", "false", "yes", "no",   "on",  "off",
                                                "null", "y",     "n",   ".nan", ".inf"};
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  for (const auto word : kWords)
    if (lower == word) return false;
  return !(text.front() >= '0' && text.front() <= '9') && text.front() != '.' &&
         text.front() != '+';
}

void append_scalar(std::string& out, std::string_view text) {
  if (plain_scalar(text)) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : base::to_valid_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\x";
      base::append_hex(out, c);
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_texts(std::string& out, const std::string& indent, const char* key,
                  const TextMap& texts) {
  if (texts.empty()) return;
  out.append(indent).append(key).append(":\n");
  for (const auto& [name, value] : texts) {
    out.append(indent).append("    ");
    append_scalar(out, name);
    out += ": ";
    append_scalar(out, value);
    out += '\n';
  }
}

void append_rule(std::string& out, const std::string& indent, const Rule& rule,
                 const TextMap& group_labels) {
  bool first = true;
  const auto field = [&](const char* key, std::string_view value) {
    out.append(indent).append(first ? "- " : "  ").append(key).append(": ");
    append_scalar(out, value);
    out += '\n';
    first = false;
  };
  if (!rule.record.empty()) field("record", rule.record);
  if (!rule.alert.empty()) field("alert", rule.alert);
  field("expr", rule.expr);
  const auto duration = [&](const char* key, std::int64_t ns) {
    if (ns == 0) return;
    out.append(indent).append("  ").append(key).append(": ");
    out.append(gotext::format_prometheus_duration(ns)).append("\n");
  };
  duration("for", rule.for_ns);
  duration("keep_firing_for", rule.keep_firing_for_ns);
  TextMap labels = rule.labels;
  labels.insert(group_labels.begin(), group_labels.end());
  append_texts(out, indent + "  ", "labels", labels);
  append_texts(out, indent + "  ", "annotations", rule.annotations);
}

// Group labels are folded into the rules: older readers refuse the key.
void append_group(std::string& out, const std::string& indent, bool in_list,
                  const RuleGroup& group) {
  const std::string inner = in_list ? indent + "  " : indent;
  out.append(indent).append(in_list ? "- name: " : "name: ");
  append_scalar(out, group.name);
  out += '\n';
  const auto line = [&](const char* key, const std::string& value) {
    out.append(inner).append(key).append(": ").append(value).append("\n");
  };
  if (group.interval_ns != 0)
    line("interval", gotext::format_prometheus_duration(group.interval_ns));
  if (group.query_offset_ns)
    line("query_offset", gotext::format_prometheus_duration(*group.query_offset_ns));
  if (group.limit != 0) line("limit", std::to_string(group.limit));
  out.append(inner).append(group.rules.empty() ? "rules: []\n" : "rules:\n");
  for (const Rule& rule : group.rules) append_rule(out, inner + "    ", rule, group.labels);
}

}  // namespace

std::string RuleError::to_string() const {
  if (line == 0) return message;
  return std::to_string(line) + ":" + (column > 0 ? std::to_string(column) + ":" : "") + " " +
         message;
}

RuleFile parse_rule_file(std::string_view yaml) {
  RuleFile file;
  YAML::Node root;
  if (!load_yaml(yaml, kRuleNodesMax, root, file.errors) || root.IsNull()) return file;
  Reader reader(file.errors);
  try {
    reader.map(root, "rule file", {"groups"}, [&](const std::string&, const YAML::Node& groups) {
      if (groups.IsNull()) return;
      if (!groups.IsSequence()) return reader.fail(groups.Mark(), "groups must be a list");
      for (const auto& node : groups) file.groups.push_back(reader.group(node));
    });
  } catch (const YAML::Exception& e) {
    file.errors.push_back({e.mark.line + 1, e.mark.column + 1, e.msg});
  }
  if (file.errors.empty()) check_groups(file);
  return file;
}

base::Result<RuleGroup> parse_rule_group(std::string_view yaml) {
  std::vector<RuleError> errors;
  YAML::Node root;
  const auto undecodable = [] { return base::invalid_argument("unable to decoded rule group"); };
  if (yaml.size() > kRuleGroupMax)
    return base::invalid_argument("rule group is longer than " + std::to_string(kRuleGroupMax) +
                                  " bytes; use several");
  if (!load_yaml(yaml, kRuleNodesOfGroupMax, root, errors) || !root.IsMap()) return undecodable();
  RuleGroup group;
  Reader reader(errors);
  try {
    group = reader.group(root);
  } catch (const YAML::Exception&) {
    return undecodable();
  }
  if (reader.too_large()) return base::invalid_argument(errors.back().message);
  if (!errors.empty()) return undecodable();
  const std::vector<std::string> problems = validate_group(group);
  if (problems.empty()) return group;
  std::string message;
  for (const auto& problem : problems) message += (message.empty() ? "" : ", ") + problem;
  return base::invalid_argument(std::move(message));
}

std::vector<std::string> validate_group(const RuleGroup& group) {
  std::vector<std::string> out;
  if (group.name.empty()) out.emplace_back("group 0: Groupname must not be empty");
  if (auto problem = label_problem(group.labels)) out.push_back(*problem);
  GroupBudget budget;
  for (const Rule& rule : group.rules) {
    if (auto problem = rule_problem(rule, group.name, budget)) out.push_back(*problem);
    if (out.size() >= kRuleErrorsMax) break;
  }
  return out;
}

std::string group_to_yaml(const RuleGroup& group) {
  std::string out;
  append_group(out, "", false, group);
  return out;
}

std::string namespaces_to_yaml(const std::map<std::string, std::vector<RuleGroup>>& namespaces) {
  std::string out;
  for (const auto& [name, groups] : namespaces) {
    append_scalar(out, name);
    out += groups.empty() ? ": []\n" : ":\n";
    for (const RuleGroup& group : groups) append_group(out, "    ", true, group);
  }
  return out;
}

std::string rule_file_to_yaml(const std::vector<RuleGroup>& groups) {
  if (groups.empty()) return "groups: []\n";
  std::string out = "groups:\n";
  for (const RuleGroup& group : groups) append_group(out, "    ", true, group);
  return out;
}

}  // namespace skald::query::alert
