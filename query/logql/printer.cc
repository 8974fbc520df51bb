#include "query/logql/printer.h"

#include <algorithm>

#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"
#include "proto/model/labels.h"
#include "query/logql/parser.h"
#include "query/logql/regex.h"

namespace skald::query::logql {
namespace {

constexpr std::size_t kLineMax = 100;  // longer expressions are broken

std::string quote(std::string_view text) { return model::go_quote(text); }
std::string indent(int level) { return std::string(static_cast<std::size_t>(level) * 2, ' '); }

std::string join(const std::vector<std::string>& items, std::string_view separator) {
  std::string out;
  for (const std::string& item : items) {
    if (&item != &items.front()) out += separator;
    out += item;
  }
  return out;
}

std::string print(const LineText& text) {
  return text.ip ? "ip(" + quote(text.text) + ")" : quote(text.text);
}

std::string print(const LineFilter& filter) {
  std::string out = std::string(to_string(filter.match)) + " ";
  for (const LineText& text : filter.alternatives) {
    if (&text != &filter.alternatives.front()) out += " or ";
    out += print(text);
  }
  return out;
}

std::string print(const LineFilters& stage) {
  std::string out;
  for (const LineFilter& filter : stage.filters) {
    if (!out.empty()) out += " ";
    out += print(filter);
  }
  return out;
}

std::string print(const std::vector<Extraction>& items) {
  std::string out;
  for (const Extraction& item : items) {
    if (!out.empty()) out += ",";
    out += item.identifier + "=" + quote(item.expression);
  }
  return out;
}

std::string print(const std::vector<NamedMatcher>& items) {
  std::string out;
  for (const NamedMatcher& item : items) {
    if (!out.empty()) out += ",";
    out += item.matcher ? item.matcher->to_string() : item.name;
  }
  return out;
}

struct StagePrinter {
  std::string operator()(const LineFilters& s) const { return print(s); }
  std::string operator()(const JsonParser&) const { return "| json"; }
  std::string operator()(const UnpackParser&) const { return "| unpack"; }
  std::string operator()(const Decolorize&) const { return "| decolorize"; }
  std::string operator()(const RegexpParser& s) const { return "| regexp " + quote(s.regex); }
  std::string operator()(const PatternParser& s) const { return "| pattern " + quote(s.pattern); }
  std::string operator()(const LogfmtParser& s) const {
    return std::string("| logfmt") + (s.strict ? " --strict" : "") +
           (s.keep_empty ? " --keep-empty" : "");
  }
  std::string operator()(const JsonExpressions& s) const {
    return "| json " + print(s.extractions);
  }
  std::string operator()(const LogfmtExpressions& s) const {
    return std::string("| logfmt ") + (s.strict ? "--strict " : "") +
           (s.keep_empty ? "--keep-empty " : "") + print(s.extractions);
  }
  std::string operator()(const LabelFilterStage& s) const { return "| " + to_string(*s.filter); }
  std::string operator()(const LineFormat& s) const { return "| line_format " + quote(s.text); }
  std::string operator()(const LabelFormat& s) const {
    std::string out = "| label_format ";
    for (const LabelFormat::Item& item : s.items) {
      if (&item != &s.items.front()) out += ",";
      out += item.name + "=" + (item.rename ? item.value : quote(item.value));
    }
    return out;
  }
  std::string operator()(const DropLabels& s) const { return "| drop " + print(s.labels); }
  std::string operator()(const KeepLabels& s) const { return "| keep " + print(s.labels); }
};

std::string print_matchers(const LogSelector& selector) {
  std::string out = "{";
  for (const auto& matcher : selector.matchers) {
    if (out.size() > 1) out += ", ";
    out += matcher->to_string();
  }
  return out + "}";
}

std::string unwrap_call(const Unwrap& unwrap) {
  switch (unwrap.convert) {
    case Unwrap::Convert::kNone: return "| unwrap " + unwrap.label;
    case Unwrap::Convert::kBytes: return "| unwrap bytes(" + unwrap.label + ")";
    case Unwrap::Convert::kDuration: return "| unwrap duration(" + unwrap.label + ")";
    case Unwrap::Convert::kDurationSeconds:
      return "| unwrap duration_seconds(" + unwrap.label + ")";
  }
  return {};
}

std::string print(const LogRange& range) {
  std::string out = to_string(range.selector);
  if (range.unwrap) {
    out += " " + unwrap_call(*range.unwrap);
    for (const auto& filter : range.unwrap->post_filters) out += " | " + to_string(*filter);
  }
  out += "[" + gotext::format_prometheus_duration(range.interval_ns) + "]";
  if (range.offset_ns != 0) out += " offset " + gotext::format_duration(range.offset_ns);
  return out;
}

std::string print(const Grouping& grouping) {
  return std::string(grouping.without ? " without " : " by ") + "(" + join(grouping.labels, ",") +
         ")";
}

// The operator with its modifiers; `list` separates labels ("," on one line, ", " when broken).
std::string print_operator(const Binary& binary, bool broken) {
  std::string out(to_string(binary.op));
  if (binary.return_bool) out += " bool";
  const VectorMatching& matching = binary.matching;
  std::string group;
  if (matching.card == VectorMatching::Card::kManyToOne) group = "group_left";
  if (matching.card == VectorMatching::Card::kOneToMany) group = "group_right";
  const char* separator = broken ? ", " : ",";
  if (!matching.include.empty()) group += " (" + join(matching.include, separator) + ")";
  const bool shown = broken ? !matching.labels.empty() : matching.on || !matching.labels.empty();
  if (shown)
    out += std::string(matching.on ? " on" : " ignoring") + " (" +
           join(matching.labels, separator) + ") " + group;
  return out;
}

// Appends, so that a chain of operators, which leans left, is not copied once per operand.
struct ExprPrinter {
  std::string& out;

  void operator()(const LogSelector& e) const { out += to_string(e); }
  void operator()(const RangeAggregation& e) const {
    out += std::string(to_string(e.op)) + "(";
    if (e.parameter) out += gotext::format_float(*e.parameter, 'f') + ",";
    out += print(e.range) + ")";
    if (e.grouping) out += print(*e.grouping);
  }
  void operator()(const VectorAggregation& e) const {
    out += to_string(e.op);
    if (e.grouping.without || !e.grouping.labels.empty()) out += print(e.grouping);
    out += "(";
    if (e.parameter != 0) out += std::to_string(e.parameter) + ",";
    append(*e.inner);
    out += ")";
  }
  void operator()(const Binary& e) const {
    out += "(";
    append(*e.left);
    out += " " + print_operator(e, false) + " ";
    append(*e.right);
    out += ")";
  }
  void operator()(const Literal& e) const { out += gotext::format_float(e.value, 'g'); }
  void operator()(const VectorLiteral& e) const {
    out += "vector(" + gotext::format_float(e.value, 'f', 6) + ")";
  }
  void operator()(const LabelReplace& e) const {
    out += "label_replace(";
    append(*e.inner);
    out += "," + quote(e.destination) + "," + quote(e.replacement) + "," + quote(e.source) + "," +
           quote(e.regex) + ")";
  }
  void append(const Expr& expr) const { std::visit(*this, expr.node); }
};

// ---- broken and indented ----

bool is_leaf(const Expr& expr) {
  return expr.as<Literal>() != nullptr || expr.as<VectorLiteral>() != nullptr;
}

std::string pretty(const Expr& expr, int level);

std::string pretty(const LineFilters& stage, int level) {
  // As many filters as fit stand on the first line; each of the others has its own.
  std::string out = indent(level);
  std::size_t count = 0;
  for (std::string line; count < stage.filters.size(); ++count) {
    const std::string next = (count > 0 ? " " : "") + print(stage.filters[count]);
    if (line.size() + next.size() > kLineMax) break;
    line += next;
    out += next;
  }
  for (std::size_t i = count; i < stage.filters.size(); ++i) {
    if (i > 0) out += "\n" + indent(level);
    const LineFilter& filter = stage.filters[i];  // Loki drops the alternatives of a broken one
    out += std::string(to_string(filter.match)) + " " + print(filter.alternatives.front());
  }
  return out;
}

std::string pretty(const LogSelector& selector, int level) {
  const std::string line = to_string(selector);
  if (selector.pipeline.empty() || line.size() <= kLineMax) return indent(level) + line;
  std::string out = indent(level) + print_matchers(selector);
  for (const Stage& stage : selector.pipeline) {
    out += "\n";
    if (const auto* lines = std::get_if<LineFilters>(&stage))
      out += pretty(*lines, level + 1);
    else if (std::holds_alternative<Decolorize>(stage))
      out += to_string(stage);
    else
      out += indent(level + 1) + to_string(stage);
  }
  return out;
}

std::string pretty(const LogRange& range, int level) {
  std::string out = pretty(range.selector, level);
  if (range.unwrap) {
    const std::string inner = indent(level + 1);
    out += "\n" + inner + unwrap_call(*range.unwrap);
    for (const auto& filter : range.unwrap->post_filters)
      out += "\n" + inner + "| " + to_string(*filter);
  }
  out += " [" + gotext::format_prometheus_duration(range.interval_ns) + "]";
  if (range.offset_ns != 0) out += " offset " + gotext::format_prometheus_duration(range.offset_ns);
  return out;
}

std::string pretty(const Grouping& grouping) {
  std::string out;
  if (grouping.without)
    out += " without";
  else if (!grouping.labels.empty())
    out += " by";
  if (!grouping.labels.empty()) out += " (" + join(grouping.labels, ", ") + ")";
  return out;
}

std::string pretty(const RangeAggregation& e, int level) {
  std::string out = indent(level) + std::string(to_string(e.op)) + "(\n";
  if (e.parameter) out += indent(level + 1) + gotext::format_float(*e.parameter, 'g') + ",\n";
  out += pretty(e.range, level + 1) + "\n" + indent(level) + ")";
  return e.grouping ? out + pretty(*e.grouping) : out;
}

std::string pretty(const VectorAggregation& e, int level) {
  std::string out = indent(level) + std::string(to_string(e.op)) + pretty(e.grouping) + "(\n";
  if (e.parameter != 0) out += indent(level + 1) + std::to_string(e.parameter) + ",\n";
  return out + pretty(*e.inner, level + 1) + "\n" + indent(level) + ")";
}

std::string pretty(const LabelReplace& e, int level) {
  std::string out = indent(level) + "label_replace(\n" + pretty(*e.inner, level + 1) + ",\n";
  const std::string inner = indent(level + 1);
  out += inner + quote(e.destination) + ",\n" + inner + quote(e.replacement) + ",\n" + inner +
         quote(e.source) + ",\n" + inner + quote(e.regex) + "\n";
  return out + indent(level) + ")";
}

std::string pretty(const Expr& expr, int level) {
  if (const auto* selector = expr.as<LogSelector>()) return pretty(*selector, level);
  if (std::string line = to_string(expr); line.size() <= kLineMax || is_leaf(expr))
    return indent(level) + line;
  if (const auto* range = expr.as<RangeAggregation>()) return pretty(*range, level);
  if (const auto* vector = expr.as<VectorAggregation>()) return pretty(*vector, level);
  if (const auto* replace = expr.as<LabelReplace>()) return pretty(*replace, level);
  const auto& binary = *expr.as<Binary>();
  return pretty(*binary.left, level + 1) + "\n" + indent(level) + print_operator(binary, true) +
         "\n" + pretty(*binary.right, level + 1);
}

bool prints_as_raw_regex(const model::Matcher& matcher) {
  // Loki shows a label filter that it runs as a regular expression in back quotes.
  return matcher.op() == model::Matcher::Op::kRegex &&
         !simplify_regex(matcher.value(), true).has_value();
}

}  // namespace

std::string to_string(const LabelFilter& filter) {
  switch (filter.kind) {
    case LabelFilter::Kind::kAnd:
      return "( " + to_string(*filter.left) + " , " + to_string(*filter.right) + " )";
    case LabelFilter::Kind::kOr:
      return "( " + to_string(*filter.left) + " or " + to_string(*filter.right) + " )";
    case LabelFilter::Kind::kString:
      if (prints_as_raw_regex(*filter.matcher)) {
        const std::string& regex = filter.matcher->value();
        const bool quoted = regex.find('`') != std::string::npos;
        return filter.label + "=~" + (quoted ? quote(regex) : "`" + regex + "`");
      }
      return filter.matcher->to_string();
    case LabelFilter::Kind::kNumber:
      return filter.label + std::string(to_string(filter.compare)) +
             gotext::format_float(filter.number, 'f');
    case LabelFilter::Kind::kDuration:
      return filter.label + std::string(to_string(filter.compare)) +
             gotext::format_duration(filter.duration_ns);
    case LabelFilter::Kind::kBytes: {
      std::string bytes = gotext::format_bytes(filter.bytes);
      std::erase(bytes, ' ');
      return filter.label + std::string(to_string(filter.compare)) + bytes;
    }
    case LabelFilter::Kind::kIp:
      return filter.label + (filter.compare == Compare::kNotEqual ? "!=" : "=") + "ip(" +
             quote(filter.ip) + ")";
  }
  return {};
}

std::string to_string(const Stage& stage) { return std::visit(StagePrinter{}, stage); }

std::string to_string(const LogSelector& selector) {
  std::string out = print_matchers(selector);
  for (const Stage& stage : selector.pipeline) out += " " + to_string(stage);
  return out;
}

std::string to_string(const Expr& expr) {
  std::string out;
  ExprPrinter{out}.append(expr);
  return out;
}

std::string pretty(const Expr& expr) { return pretty(expr, 0); }

base::Result<std::string> format_query(std::string_view text) {
  SKALD_TRY_ASSIGN(const ExprPtr expr, parse(text));
  return pretty(*expr);
}

}  // namespace skald::query::logql
