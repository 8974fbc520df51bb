#include <re2/re2.h>

#include <algorithm>
#include <mutex>

#include "query/exec/label_names.h"
#include "query/exec/stage.h"
#include "query/logql/pattern.h"
#include "query/logql/regex.h"
#include "query/plan/line_automaton.h"
#include "query/plan/regex_literals.h"

namespace skald::query {
namespace {

// ---- | regexp ----

// Behind the class that begins at `at`.
std::size_t class_end(std::string_view pattern, std::size_t at) {
  ++at;
  if (at < pattern.size() && pattern[at] == '^') ++at;
  if (at < pattern.size() && pattern[at] == ']') ++at;
  while (at < pattern.size() && pattern[at] != ']') {
    if (pattern[at] == '\\')
      at += 2;
    else if (pattern.substr(at).starts_with("[:"))
      at = std::min(pattern.find(":]", at), pattern.size() - 2) + 2;
    else
      ++at;
  }
  return std::min(at + 1, pattern.size());
}

// Behind what stands escaped at `at`.
std::size_t escape_end(std::string_view pattern, std::size_t at) {
  if (!pattern.substr(at).starts_with("\\Q")) return std::min(at + 2, pattern.size());
  const std::size_t end = pattern.find("\\E", at);
  return end == std::string_view::npos ? pattern.size() : end + 2;
}

// The expression (RE2's syntax) with its groups but those of `names` as mere parentheses.
std::string with_groups_of(std::string_view pattern, const std::vector<std::string>& names) {
  constexpr std::string_view kNamed = "(?P<";
  std::string out;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::string_view rest = pattern.substr(at);
    std::size_t end = at + 1;
    if (pattern[at] == '\\') {
      end = escape_end(pattern, at);
    } else if (pattern[at] == '[') {
      end = class_end(pattern, at);
    } else if (rest.starts_with(kNamed)) {
      end = std::min(pattern.find('>', at), pattern.size() - 1) + 1;
      const std::string_view name = pattern.substr(at, end - at - 1).substr(kNamed.size());
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        out += "(?:";
        at = end;
        continue;
      }
    } else if (pattern[at] == '(' && !rest.starts_with("(?")) {
      out += "(?:";
      at = end;
      continue;
    }
    out += pattern.substr(at, end - at);
    at = end;
  }
  return out;
}

class RegexpStage final : public Stage {
 public:
  explicit RegexpStage(std::shared_ptr<const re2::RE2> regex) : regex_(std::move(regex)) {
    plan::RegexLiterals literals = plan::required_literals(regex_->pattern());
    matching_.clauses = std::move(literals.clauses);
    matching_.fold_case = literals.fold_case;
    window_ =
        plan::LineAutomaton::of_regex(regex_->pattern(), plan::LineAutomaton::Purpose::kWindow);
  }

  bool process(Row& row) const override {
    std::call_once(prepared_, [&] { prepare(row.hints()); });
    if (groups_.empty()) return true;
    row.views.assign(static_cast<std::size_t>(groups_count_), {});
    if (!logql::finds(*reduced_, row.line, row.views)) return true;
    for (const auto& [group, clean] : groups_) {
      const std::string_view name = row.parsed_name(clean);
      if (!row.hints().should_extract(name) || row.extracted(name)) continue;
      row.set(Category::kParsed, name, row.views[static_cast<std::size_t>(group)]);
      if (!row.should_continue(name)) return false;
    }
    return true;
  }
  const store::LineFilter* reads_only() const override {
    return matching_.clauses.empty() ? nullptr : &matching_;
  }
  const plan::LineAutomaton* window() const override { return window_.get(); }

 private:
  struct Group {
    int group;
    std::string name;
  };

  // Finding groups is most of the work, and few groups are found by faster means than many: only
  // those stay that the query reads. A stage serves one query, so its rows have the same hints.
  void prepare(const Hints& hints) const {
    std::vector<std::string> names;
    Arena arena;
    const auto clean_name = [&](const std::string& name) {
      return std::string(clean_label_name(name, arena));
    };
    for (const auto& [group, name] : regex_->CapturingGroupNames()) {
      const std::string clean = clean_name(name);
      if (!clean.empty() && (hints.should_extract(clean) ||
                             hints.should_extract(clean + std::string(kDuplicateSuffix))))
        names.push_back(name);
    }
    reduced_ = std::make_shared<const re2::RE2>(with_groups_of(regex_->pattern(), names),
                                                regex_->options());
    const bool equal =
        reduced_->ok() && reduced_->CapturingGroupNames().size() == names.size() &&
        static_cast<std::size_t>(reduced_->NumberOfCapturingGroups()) == names.size();
    if (!equal) reduced_ = regex_;
    for (const auto& [group, name] : reduced_->CapturingGroupNames())
      if (std::find(names.begin(), names.end(), name) != names.end())
        groups_.push_back({group, clean_name(name)});
    groups_count_ = reduced_->NumberOfCapturingGroups() + 1;
  }

  const std::shared_ptr<const re2::RE2> regex_;
  store::LineFilter matching_;
  std::shared_ptr<const plan::LineAutomaton> window_;
  mutable std::once_flag prepared_;
  mutable std::shared_ptr<const re2::RE2> reduced_;
  mutable std::vector<Group> groups_;
  mutable int groups_count_ = 0;
};

// ---- | pattern ----

class PatternStage final : public Stage {
 public:
  explicit PatternStage(logql::Pattern pattern)
      : pattern_(std::move(pattern)), window_(plan::LineAutomaton::of_pattern(pattern_)) {}

  bool process(Row& row) const override {
    if (row.no_labels()) return true;
    pattern_.captures(row.line, row.views);
    for (std::size_t i = 0; i < row.views.size(); ++i) {
      const std::string_view name = row.parsed_name(pattern_.names()[i]);
      if (row.extracted(name) || !row.hints().should_extract(name)) continue;
      row.set(Category::kParsed, name, row.views[i]);
      if (!row.should_continue(name)) return false;
    }
    return true;
  }
  const plan::LineAutomaton* window() const override { return window_.get(); }

 private:
  const logql::Pattern pattern_;
  const std::shared_ptr<const plan::LineAutomaton> window_;
};

// ---- | decolorize ----

// CSI sequences and the like (the expression is that of the stripansi package, as in Loki).
constexpr char kAnsi[] =
    "[\\x{1B}\\x{9B}][[\\]()#;?]*(?:(?:(?:[a-zA-Z\\d]*(?:;[a-zA-Z\\d]*)*)?\\x{07})|"
    "(?:(?:\\d{1,4}(?:;\\d{0,4})*)?[\\dA-PRZcf-ntqry=><~]))";

class DecolorizeStage final : public Stage {
 public:
  bool process(Row& row) const override {
    static const re2::RE2 regex(kAnsi);
    if (row.line.find('\x1b') == std::string_view::npos &&
        row.line.find("\xC2\x9B") == std::string_view::npos)
      return true;
    std::string text(row.line);
    if (re2::RE2::GlobalReplace(&text, regex, "") > 0) row.line = row.arena.copy(text);
    return true;
  }
};

}  // namespace

base::Result<std::unique_ptr<Stage>> make_regexp_stage(const logql::RegexpParser& e) {
  SKALD_TRY_ASSIGN(auto regex, logql::compile_regex(e.regex));
  return std::unique_ptr<Stage>(std::make_unique<RegexpStage>(std::move(regex)));
}

base::Result<std::unique_ptr<Stage>> make_pattern_stage(const logql::PatternParser& e) {
  SKALD_TRY_ASSIGN(auto pattern, logql::Pattern::for_parser(e.pattern));
  return std::unique_ptr<Stage>(std::make_unique<PatternStage>(std::move(pattern)));
}

std::unique_ptr<Stage> make_decolorize_stage() { return std::make_unique<DecolorizeStage>(); }

}  // namespace skald::query
