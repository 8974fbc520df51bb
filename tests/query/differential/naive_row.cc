#include "tests/query/differential/naive_row.h"

#include <re2/re2.h>

#include <algorithm>

#include "proto/base/utf8.h"
#include "proto/gotext/duration.h"
#include "proto/gotext/number.h"
#include "tests/query/differential/naive_text.h"

namespace skald::tests {
namespace {

using query::logql::Compare;
using query::logql::LabelFilter;

template <typename T>
bool holds(Compare compare, T left, T right) {
  if (compare == Compare::kEqual) return left == right;
  if (compare == Compare::kNotEqual) return left != right;
  if (compare == Compare::kGreater) return left > right;
  if (compare == Compare::kGreaterEqual) return left >= right;
  if (compare == Compare::kLess) return left < right;
  return left <= right;
}

bool text_holds(const model::Matcher& matcher, const std::string& value) {
  using Op = model::Matcher::Op;
  if (matcher.op() == Op::kEqual) return value == matcher.value();
  if (matcher.op() == Op::kNotEqual) return value != matcher.value();
  const bool match = re2::RE2::FullMatch(value, "(?s:" + matcher.value() + ")");
  return match == (matcher.op() == Op::kRegex);
}

// A condition of a label filter. Loki turns `e.*` and the like into "contains e", whatever comes
// before, and the empty expression into one that is always true.
bool condition_holds(const model::Matcher& matcher, const std::string& value) {
  using Op = model::Matcher::Op;
  std::string literal;
  const bool regex = matcher.op() == Op::kRegex || matcher.op() == Op::kNotRegex;
  if (regex && matcher.value().empty()) return matcher.op() == Op::kRegex;
  if (regex && (re2::RE2::FullMatch(matcher.value(), R"(([\w ]+)\.\*)", &literal) ||
                re2::RE2::FullMatch(matcher.value(), R"(\.\*([\w ]+)(?:\.\*)?)", &literal)))
    return (value.find(literal) != std::string::npos) == (matcher.op() == Op::kRegex);
  // A dot is no line feed here.
  if (regex) return re2::RE2::FullMatch(value, matcher.value()) == (matcher.op() == Op::kRegex);
  return text_holds(matcher, value);
}

// Every capture takes at least a byte; literals are looked for from left to right.
bool pattern_holds(const std::string& pattern, const std::string& line) {
  std::vector<std::string> literals(1);
  for (std::size_t i = 0; i < pattern.size();) {
    if (pattern.compare(i, 3, "<_>") == 0) {
      literals.emplace_back();
      i += 3;
    } else {
      literals.back() += pattern[i++];
    }
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < literals.size(); ++i) {
    if (literals[i].empty()) continue;
    const std::size_t found = line.find(literals[i], at);
    if (found == std::string::npos || (i == 0) != (found == at)) return false;
    at = found + literals[i].size();
  }
  return (at != line.size()) == literals.back().empty();
}

bool line_holds(const query::logql::LineFilter& filter, const std::string& line) {
  using query::logql::LineMatch;
  const bool contains =
      filter.match == LineMatch::kContains || filter.match == LineMatch::kNotContains;
  const bool only_empty = std::all_of(filter.alternatives.begin(), filter.alternatives.end(),
                                      [](const auto& text) { return text.text.empty(); });
  bool any = false;
  for (const auto& text : filter.alternatives) {
    if (contains)
      // Beside others an empty text does not count.
      any |= (only_empty || !text.text.empty()) && line.find(text.text) != std::string::npos;
    else if (filter.match == LineMatch::kRegex || filter.match == LineMatch::kNotRegex)
      any |= re2::RE2::PartialMatch(line, text.text);
    else
      any |= pattern_holds(text.text, line);
  }
  return any != query::logql::is_negated(filter.match);
}

}  // namespace

bool NaiveHints::wants(std::string_view name) const {
  return required.empty() || std::find(required.begin(), required.end(), name) != required.end();
}

bool NaiveHints::wants_below(std::string_view prefix) const {
  return required.empty() || std::any_of(required.begin(), required.end(), [&](const auto& name) {
           return name.compare(0, prefix.size(), prefix) == 0;
         });
}

NaiveRow::NaiveRow(const NaiveHints& hints, const model::Labels& stream, const model::Entry& entry)
    : line(entry.line), hints_(hints), stream_(stream) {
  for (const auto& [name, value] : entry.metadata)
    metadata_[stream_.has(name) ? name + "_extracted" : name] = value;
}

std::optional<std::string> NaiveRow::get(const std::string& name) const {
  if (const auto found = metadata_.find(name); found != metadata_.end()) return found->second;
  if (const auto found = parsed_.find(name); found != parsed_.end()) return found->second;
  if (deleted_.contains(name) || !stream_.has(name)) return std::nullopt;
  return std::string(stream_.get(name));
}

void NaiveRow::set(const std::string& name, const std::string& value) {
  metadata_.erase(name);
  parsed_[name] = value;
  extracted_.insert(name);
}

void NaiveRow::erase(const std::string& name) {
  metadata_.erase(name);
  parsed_.erase(name);
  deleted_.insert(name);
}

void NaiveRow::parser_error(const char* which) {
  error = which;
  if (hints_.preserve_error) set("__preserve_error__", "true");
}

std::string NaiveRow::parsed_name(const std::string& name) const {
  return stream_.has(name) || metadata_.contains(name) ? name + "_extracted" : name;
}

bool NaiveRow::has_all() const {
  return !hints_.required.empty() &&
         std::all_of(hints_.required.begin(), hints_.required.end(),
                     [&](const std::string& name) { return extracted_.contains(name); });
}

bool NaiveRow::goes_on(const std::string& name) {
  for (const LabelFilter* filter : hints_.early)
    if (filter->label == name) return passes(*filter);
  return true;
}

std::map<std::string, std::string> NaiveRow::stream_labels() const {
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : stream_)
    if (!deleted_.contains(name) && !metadata_.contains(name) && !parsed_.contains(name))
      out[name] = value;
  return out;
}

std::map<std::string, std::string> NaiveRow::metadata_labels() const {
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : metadata_)
    if (!parsed_.contains(name)) out[name] = value;
  return out;
}

std::map<std::string, std::string> NaiveRow::parsed_labels() const {
  std::map<std::string, std::string> out = parsed_;
  if (!error.empty()) out["__error__"] = error;
  return out;
}

std::map<std::string, std::string> NaiveRow::all_labels() const {
  std::map<std::string, std::string> out = stream_labels();
  for (const auto& part : {metadata_labels(), parsed_labels()})
    out.insert(part.begin(), part.end());
  return out;
}

bool NaiveRow::passes(const LabelFilter& f) {
  switch (f.kind) {
    case LabelFilter::Kind::kAnd: {
      const bool left = passes(*f.left);
      return passes(*f.right) && left;
    }
    case LabelFilter::Kind::kOr: return passes(*f.left) || passes(*f.right);
    case LabelFilter::Kind::kIp: undecided_ = true; return true;
    case LabelFilter::Kind::kString:
      return condition_holds(*f.matcher,
                             f.label == "__error__" ? error : get(f.label).value_or(""));
    default: break;
  }
  const auto value = get(f.label);
  if (!value) return false;
  if (f.kind == LabelFilter::Kind::kNumber) {
    const auto number = gotext::parse_float(*value);
    if (number.ok()) return holds(f.compare, *number, f.number);
  } else if (f.kind == LabelFilter::Kind::kDuration) {
    const auto duration = gotext::parse_duration(*value);
    if (duration.ok()) return holds(f.compare, *duration, f.duration_ns);
  } else {
    const auto bytes = gotext::parse_bytes(*value);
    if (bytes.ok()) return holds(f.compare, *bytes, f.bytes);
  }
  if (error.empty()) error = "LabelFilterErr";
  return true;
}

bool NaiveRow::run(const query::logql::Stage& stage) {
  namespace ql = query::logql;
  if (const auto* s = std::get_if<ql::LineFilters>(&stage)) return run_line_filters(*s);
  if (const auto* s = std::get_if<ql::LabelFilterStage>(&stage)) return passes(*s->filter);
  if (std::holds_alternative<ql::JsonParser>(stage)) return run_json();
  if (const auto* s = std::get_if<ql::JsonExpressions>(&stage)) return run_json_paths(*s);
  if (const auto* s = std::get_if<ql::LogfmtParser>(&stage)) return run_logfmt(*s);
  if (const auto* s = std::get_if<ql::RegexpParser>(&stage)) return run_regexp(*s);
  if (const auto* s = std::get_if<ql::PatternParser>(&stage)) return run_pattern(*s);
  if (const auto* drop = std::get_if<ql::DropLabels>(&stage)) return run_drop(*drop), true;
  if (const auto* keep = std::get_if<ql::KeepLabels>(&stage)) return run_keep(*keep), true;
  if (const auto* format = std::get_if<ql::LabelFormat>(&stage))
    return run_label_format(*format), true;
  if (const auto* format = std::get_if<ql::LineFormat>(&stage))
    return run_line_format(*format), true;
  undecided_ = true;
  return true;
}

bool NaiveRow::run_line_filters(const query::logql::LineFilters& stage) const {
  return std::all_of(stage.filters.begin(), stage.filters.end(),
                     [&](const auto& filter) { return line_holds(filter, line); });
}

// ---- | json ----

NaiveRow::Walk NaiveRow::json_scalar(const std::string& prefix, const std::string& key,
                                     std::string value) {
  std::string name = prefix.empty() ? naive_label_name(key) : naive_joined(prefix, key);
  if (name.empty()) return Walk::kGoOn;
  name = parsed_name(name);
  if (!hints_.wants(name) || extracted_.contains(name)) return Walk::kGoOn;
  set(name, value);
  return goes_on(name) ? Walk::kGoOn : Walk::kRefused;
}

// Loki reads members until something is wrong; those before it count.
NaiveRow::Walk NaiveRow::json_object(std::string_view text, const std::string& prefix) {
  NaiveJsonReader reader(text);
  if (!reader.open_object()) return Walk::kMalformed;
  while (reader.next_member()) {
    const NaiveJsonValue& value = reader.value();
    Walk walk = Walk::kGoOn;
    switch (value.type) {
      case NaiveJsonValue::Type::kObject: {
        const std::string name = naive_joined(prefix, reader.key());
        if (hints_.wants_below(name)) walk = json_object(value.raw, name);
        break;
      }
      case NaiveJsonValue::Type::kString:
      case NaiveJsonValue::Type::kToken:
        walk = json_scalar(prefix, reader.key(), value.text());
        if (has_all()) walk = Walk::kSatisfied;
        break;
      default:
        if (has_all()) walk = Walk::kSatisfied;
        break;
    }
    if (walk != Walk::kGoOn) return walk;
  }
  return reader.malformed() ? Walk::kMalformed : Walk::kGoOn;
}

bool NaiveRow::run_json() {
  if (hints_.no_labels || has_all()) return true;
  const Walk walk = json_object(line, "");
  if (walk == Walk::kMalformed) parser_error("JSONParserErr");
  return walk != Walk::kRefused;
}

// ---- | json a="b.c" ----

bool NaiveRow::run_json_paths(const query::logql::JsonExpressions& stage) {
  if (line.empty() || hints_.no_labels || has_all()) return true;
  if (line[0] != '{' && line[0] != '[' && line[0] != '"') {
    parser_error("JSONParserErr");
    return true;
  }
  if (!naive_is_json_object(line)) {
    undecided_ = true;
    return true;
  }
  std::size_t found = 0;
  for (const auto& item : stage.extractions) {
    const auto path = naive_path(item.expression);
    if (!path) {
      undecided_ = true;
      return true;
    }
    const auto value = naive_find(line, *path);
    if (!value) continue;
    ++found;
    const bool empty = value->type == NaiveJsonValue::Type::kNull;
    set(parsed_name(item.identifier), empty ? ""
                                      : value->type == NaiveJsonValue::Type::kObject
                                          ? std::string(value->raw)
                                          : value->text());
  }
  if (found < stage.extractions.size())
    for (const auto& item : stage.extractions)
      if (!get(item.identifier)) set(item.identifier, "");
  return true;
}

// ---- | regexp, | pattern ----

bool NaiveRow::capture(const std::string& group, std::string_view value) {
  const std::string name = parsed_name(naive_label_name(group));
  if (!hints_.wants(name) || extracted_.contains(name)) return true;
  set(name, std::string(value));
  return goes_on(name);
}

bool NaiveRow::run_regexp(const query::logql::RegexpParser& stage) {
  const re2::RE2 regex(stage.regex);
  if (!regex.ok() || !base::is_valid_utf8(line)) {
    undecided_ = true;
    return true;
  }
  const std::string whole = line;
  std::vector<re2::StringPiece> groups(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) +
                                       1);
  if (!regex.Match(whole, 0, whole.size(), re2::RE2::UNANCHORED, groups.data(),
                   static_cast<int>(groups.size())))
    return true;
  for (const auto& [number, name] : regex.CapturingGroupNames()) {
    const re2::StringPiece& value = groups[static_cast<std::size_t>(number)];
    if (!capture(name, std::string_view(value.data(), value.size()))) return false;
  }
  return true;
}

// `<_>a<x>b`: a capture takes what stands before the next literal, or the rest of the line.
bool NaiveRow::run_pattern(const query::logql::PatternParser& stage) {
  if (hints_.no_labels || has_all() || line.empty()) return true;
  const std::string whole = line;
  std::string_view text = whole, pattern = stage.pattern;
  for (bool first = true; !pattern.empty(); first = false) {
    const re2::RE2 next("(?s)([^<]*)(?:<([a-zA-Z_][a-zA-Z0-9_]*)>(.*))?");
    re2::StringPiece literal, group, rest;
    if (!re2::RE2::FullMatch(re2::StringPiece(pattern.data(), pattern.size()), next, &literal,
                             &group, &rest)) {
      undecided_ = true;
      return true;
    }
    if (first && !text.starts_with(std::string_view(literal.data(), literal.size()))) return true;
    if (first) text.remove_prefix(literal.size());
    pattern = std::string_view(rest.data(), rest.size());
    if (group.empty()) return true;
    const std::string behind(pattern.substr(0, pattern.find('<')));
    const std::size_t end = behind.empty() ? text.npos : text.find(behind);
    if (group != "_" && !capture(std::string(group), text.substr(0, end))) return false;
    if (end == text.npos) return true;
    text.remove_prefix(end + behind.size());
    pattern.remove_prefix(behind.size());
  }
  return true;
}

// ---- | logfmt ----

bool NaiveRow::run_logfmt(const query::logql::LogfmtParser& stage) {
  if (hints_.no_labels || has_all()) return true;
  NaiveLogfmtReader reader(line);
  for (;;) {
    const auto pair = reader.next();
    if (reader.at_end() && !pair) break;
    if (!pair) {
      if (stage.strict) break;
      continue;
    }
    std::string name = naive_label_name(pair->key);
    if (name.empty()) continue;
    name = parsed_name(name);
    if (!hints_.wants(name) || extracted_.contains(name)) continue;
    if (!stage.keep_empty && pair->value.empty()) continue;
    set(name, naive_without_bad_runes(pair->value));
    if (!goes_on(name)) return false;
    if (has_all()) break;
  }
  if (!stage.strict || !reader.failed()) return true;
  parser_error("LogfmtParserErr");
  return goes_on("__error__");
}

// ---- labels ----

void NaiveRow::run_drop(const query::logql::DropLabels& stage) {
  for (const auto& item : stage.labels) {
    const std::string name = item.matcher ? item.matcher->name() : item.name;
    if (name == "__error__") {
      if (!item.matcher || text_holds(*item.matcher, error)) error.clear();
    } else if (name == "__error_details__") {
      continue;
    } else if (item.matcher ? text_holds(*item.matcher, get(name).value_or(""))
                            : get(name).has_value()) {
      erase(name);
    }
  }
}

void NaiveRow::run_keep(const query::logql::KeepLabels& stage) {
  for (const auto& [name, value] : all_labels()) {
    if (name.compare(0, 2, "__") == 0) continue;
    bool keep = false;
    for (const auto& item : stage.labels)
      keep |= item.matcher ? item.matcher->name() == name && text_holds(*item.matcher, value)
                           : item.name == name;
    if (!keep) erase(name);
  }
}

void NaiveRow::run_label_format(const query::logql::LabelFormat& stage) {
  for (const auto& item : stage.items) {
    if (!item.rename) {
      undecided_ = true;
      return;
    }
    const auto value = get(item.value);
    if (!value) continue;
    set(item.name, *value);
    erase(item.value);
  }
}

std::optional<std::vector<std::string>> plain_fields(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t i = text.find("{{"); i != std::string::npos; i = text.find("{{", i + 1)) {
    const std::size_t end = text.find("}}", i);
    if (text[i + 2] != '.' || end == std::string::npos) return std::nullopt;
    out.push_back(text.substr(i + 3, end - i - 3));
    if (out.back().find(' ') != std::string::npos) return std::nullopt;
  }
  return out;
}

void NaiveRow::run_line_format(const query::logql::LineFormat& stage) {
  if (!plain_fields(stage.text)) {
    undecided_ = true;
    return;
  }
  std::string out;
  for (std::size_t i = 0; i < stage.text.size();) {
    if (stage.text.compare(i, 3, "{{.") != 0) {
      out += stage.text[i++];
      continue;
    }
    const std::size_t end = stage.text.find("}}", i);
    out += get(stage.text.substr(i + 3, end - i - 3)).value_or("");
    i = end + 2;
  }
  line = out;
}

}  // namespace skald::tests
