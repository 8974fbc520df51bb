#include <algorithm>

#include "query/logql/regex.h"
#include "query/plan/ip_match.h"
#include "query/plan/line_windows.h"
#include "query/plan/pushdown.h"
#include "query/plan/regex_literals.h"

namespace skald::query::plan {
namespace {

// With fewer rows their lines are read at once.
constexpr std::uint32_t kRowsForColumns = 64;

// Literals of one pattern that are looked for before the pattern itself is tried.
constexpr std::size_t kPatternLiteralsMax = 16;

bool is_regex(logql::LineMatch match) {
  return match == logql::LineMatch::kRegex || match == logql::LineMatch::kNotRegex;
}

// Bytes between the captures of `<_> took <_>`: each must be in a matching line.
std::vector<std::vector<std::string>> pattern_literals(std::string_view pattern) {
  std::vector<std::vector<std::string>> clauses;
  std::string literal;
  for (std::size_t at = 0; at < pattern.size();) {
    if (pattern.compare(at, 3, "<_>") == 0) {
      if (!literal.empty()) clauses.push_back({std::move(literal)});
      literal.clear();
      at += 3;
    } else {
      literal += pattern[at++];
    }
  }
  if (!literal.empty()) clauses.push_back({std::move(literal)});
  if (clauses.size() > kPatternLiteralsMax) {
    const auto longer = [](const auto& left, const auto& right) {
      return left.front().size() > right.front().size();
    };
    std::stable_sort(clauses.begin(), clauses.end(), longer);
    clauses.resize(kPatternLiteralsMax);
  }
  return clauses;
}

// What the alternatives need together: one needle of any of them. Only single clauses combine.
void combine(std::vector<std::vector<std::string>>& all, bool& first,
             std::vector<std::vector<std::string>> next) {
  if (first) {
    all = std::move(next);
    first = false;
    return;
  }
  if (all.size() != 1 || next.size() != 1) return all.clear();
  all.front().insert(all.front().end(), next.front().begin(), next.front().end());
}

// Beside others an alternative that every line has gives way (as in Loki).
void drop_empty(std::vector<std::string>& needles) {
  if (std::any_of(needles.begin(), needles.end(), [](const auto& text) { return !text.empty(); }))
    std::erase(needles, std::string());
}

// Regular expressions that Loki itself runs as plain searches are whole as clauses.
bool is_text_search(const logql::LineFilter& filter, store::LineFilter& out) {
  std::vector<std::string> needles;
  for (const logql::LineText& text : filter.alternatives) {
    const auto tests = logql::simplify_regex(text.text, false);
    if (!tests) return false;
    for (const logql::TextTest& test : *tests) {
      if (test.kind != logql::TextTest::Kind::kContains || test.fold_case) return false;
      needles.push_back(test.text);
    }
  }
  drop_empty(needles);
  out.clauses.push_back(std::move(needles));
  return true;
}

base::Result<store::LineFilter> plan_one(const logql::LineFilter& filter, LineFilterPlan& plan,
                                         const LineMatcherFactory& factory) {
  store::LineFilter out;
  out.negated = logql::is_negated(filter.match);
  const bool contains =
      filter.match == logql::LineMatch::kContains || filter.match == logql::LineMatch::kNotContains;
  const bool regex = is_regex(filter.match);
  const bool has_ip = std::any_of(filter.alternatives.begin(), filter.alternatives.end(),
                                  [](const logql::LineText& text) { return text.ip; });
  if (contains && !has_ip) {
    std::vector<std::string> needles;
    for (const logql::LineText& text : filter.alternatives) needles.push_back(text.text);
    drop_empty(needles);
    out.clauses.push_back(std::move(needles));
    return out;
  }
  if (regex && is_text_search(filter, out)) return out;
  SKALD_TRY_ASSIGN(auto matcher, factory(filter));
  plan.matchers.push_back(matcher);
  out.matcher = matcher.get();
  if (has_ip) {
    // Beside others ip() is a text like them.
    const auto ip = IpPattern::parse(filter.alternatives.front().text);
    if (filter.alternatives.size() == 1 && contains && ip.ok())
      if (auto needles = ip->needles(); !needles.empty()) out.clauses.push_back(std::move(needles));
    return out;
  }
  bool first = true;
  for (const logql::LineText& text : filter.alternatives) {
    if (regex) {
      RegexLiterals literals = required_literals(text.text);
      // One filter compares folded or not, so alternatives must agree.
      if (!first && literals.fold_case != out.fold_case) literals.clauses.clear();
      out.fold_case = out.fold_case || literals.fold_case;
      combine(out.clauses, first, std::move(literals.clauses));
    } else {
      combine(out.clauses, first, pattern_literals(text.text));
    }
  }
  return out;
}

// Of a filter that has a matcher.
LineFilterPlan::OnColumns on_columns(const logql::LineFilter& filter) {
  LineFilterPlan::OnColumns out;
  if (!is_regex(filter.match) || filter.alternatives.size() != 1) return out;
  const std::string& regex = filter.alternatives.front().text;
  if (logql::simplify_regex(regex, false)) {
    // It is run as searches that fold case in their own way; in ASCII there is but one.
    if (!regex.starts_with("(?i)") || regex.find_first_of(".*+?{[\\^$", 4) != std::string::npos)
      return out;
    out.ascii_only = true;
  }
  out.automaton = LineAutomaton::of_regex(regex, LineAutomaton::Purpose::kMatch);
  return out;
}

// Bytes beyond ASCII.
bool may_have_others(const store::Block& block) {
  for (const std::string_view literal : block.line_literals())
    if (std::any_of(literal.begin(), literal.end(), [](char c) { return (c & 0x80) != 0; }))
      return true;
  for (std::size_t i = 0; i < block.shape().fields.size(); ++i)
    if (const ByteBits bytes = block.field_bytes(i); (bytes[2] | bytes[3]) != 0) return true;
  return false;
}

}  // namespace

base::Result<LineFilterPlan> plan_line_filters(const logql::Pipeline& execution_order,
                                               const LineMatcherFactory& factory) {
  LineFilterPlan plan;
  for (const logql::Stage& stage : execution_order) {
    // Stages that may change the line end the part of the pipeline that sees it as stored.
    if (std::holds_alternative<logql::LineFormat>(stage) ||
        std::holds_alternative<logql::UnpackParser>(stage) ||
        std::holds_alternative<logql::Decolorize>(stage))
      break;
    const auto* filters = std::get_if<logql::LineFilters>(&stage);
    if (filters == nullptr) continue;
    for (const logql::LineFilter& filter : filters->filters) {
      SKALD_TRY_ASSIGN(store::LineFilter planned, plan_one(filter, plan, factory));
      plan.on_columns.push_back(planned.matcher != nullptr ? on_columns(filter)
                                                           : LineFilterPlan::OnColumns());
      plan.filters.push_back(std::move(planned));
    }
  }
  return plan;
}

base::Status filter_lines(const LineFilterPlan& plan, store::Block& block,
                          store::Selection& selection) {
  for (std::size_t i = 0; i < plan.filters.size() && !selection.none(); ++i) {
    const store::LineFilter& filter = plan.filters[i];
    const LineFilterPlan::OnColumns& columns = plan.on_columns[i];
    bool done = false;
    if (columns.automaton != nullptr && !block.line_literals().empty() &&
        !(columns.ascii_only && may_have_others(block))) {
      store::LineFilter needles{filter.clauses, filter.fold_case, nullptr, false};
      store::Selection matched = selection;
      SKALD_TRY(block.filter_lines(needles, matched));
      if (matched.count() >= kRowsForColumns) {
        SKALD_TRY_ASSIGN(done, keep_matching(block, *columns.automaton, matched));
      }
      if (done && filter.negated) selection.subtract(matched);
      if (done && !filter.negated) selection = std::move(matched);
    }
    if (!done) SKALD_TRY(block.filter_lines(filter, selection));
  }
  return {};
}

}  // namespace skald::query::plan
