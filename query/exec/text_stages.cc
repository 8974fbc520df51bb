#include <re2/re2.h>

#include "query/exec/label_names.h"
#include "query/exec/stage.h"
#include "query/logql/pattern.h"
#include "query/logql/regex.h"
#include "query/plan/regex_literals.h"

namespace skald::query {
namespace {

// ---- | regexp ----

class RegexpStage final : public Stage {
 public:
  explicit RegexpStage(std::shared_ptr<const re2::RE2> regex) : regex_(std::move(regex)) {
    plan::RegexLiterals literals = plan::required_literals(regex_->pattern());
    matching_.clauses = std::move(literals.clauses);
    matching_.fold_case = literals.fold_case;
    Arena arena;
    for (const auto& [group, name] : regex_->CapturingGroupNames())
      groups_.push_back({group, std::string(clean_label_name(name, arena))});
    groups_count_ = regex_->NumberOfCapturingGroups() + 1;
  }

  bool process(Row& row) const override {
    row.views.assign(static_cast<std::size_t>(groups_count_), {});
    if (!logql::finds(*regex_, row.line, row.views)) return true;
    for (const auto& [group, clean] : groups_) {
      if (clean.empty()) continue;
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

 private:
  struct Group {
    int group;
    std::string name;
  };
  std::shared_ptr<const re2::RE2> regex_;
  std::vector<Group> groups_;
  int groups_count_;
  store::LineFilter matching_;
};

// ---- | pattern ----

class PatternStage final : public Stage {
 public:
  explicit PatternStage(logql::Pattern pattern) : pattern_(std::move(pattern)) {}

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

 private:
  logql::Pattern pattern_;
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
