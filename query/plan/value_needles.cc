#include <algorithm>

#include "query/plan/pushdown_impl.h"
#include "query/plan/regex_literals.h"

namespace skald::query::plan {
namespace {

// How values of labels come from the line, up to some stage.
enum class Origin {
  kPieces,   // each is a piece of it, byte for byte
  kDecoded,  // or what such a piece says: escapes undone, bytes that are no UTF-8 made spaces
  kMade,     // anything may have been made
};

struct AfterStage {
  Origin origin;
  Origin operator()(const logql::JsonParser&) const { return decoded(); }
  Origin operator()(const logql::JsonExpressions&) const { return decoded(); }
  Origin operator()(const logql::LogfmtParser&) const { return decoded(); }
  Origin operator()(const logql::LogfmtExpressions&) const { return decoded(); }
  Origin operator()(const logql::UnpackParser&) const { return decoded(); }
  Origin operator()(const logql::LineFormat&) const { return Origin::kMade; }
  Origin operator()(const logql::LabelFormat&) const { return Origin::kMade; }
  Origin operator()(const logql::Decolorize&) const { return Origin::kMade; }
  template <typename Other>
  Origin operator()(const Other&) const {
    return origin;
  }
  Origin decoded() const { return std::max(origin, Origin::kDecoded); }
};

// What a value that passes must contain. No clauses: nothing is known.
store::LineFilter needles_of(const model::Matcher& matcher) {
  store::LineFilter out;
  if (matcher.op() == model::Matcher::Op::kEqual && !matcher.value().empty()) {
    out.clauses.push_back({matcher.value()});
  } else if (matcher.op() == model::Matcher::Op::kRegex) {
    RegexLiterals literals = required_literals(matcher.value());
    out.clauses = std::move(literals.clauses);
    out.fold_case = literals.fold_case;
  }
  return out;
}

// The same of a line in which values are written with escapes: then it has a backslash instead.
void allow_decoding(store::LineFilter& filter) {
  std::erase_if(filter.clauses, [](const std::vector<std::string>& clause) {
    return std::any_of(clause.begin(), clause.end(), [](const std::string& needle) {
      return needle.find(' ') != std::string::npos;
    });
  });
  for (auto& clause : filter.clauses) clause.emplace_back("\\");
}

}  // namespace

void Pushdown::Impl::add_needles(const logql::Pipeline& pipeline) {
  Origin origin = Origin::kPieces;
  for (const logql::Stage& stage : pipeline) {
    origin = std::visit(AfterStage{origin}, stage);
    if (origin == Origin::kMade) return;
    if (const auto* filter = std::get_if<logql::LabelFilterStage>(&stage))
      add_needles(*filter->filter, origin == Origin::kDecoded);
  }
}

void Pushdown::Impl::add_needles(const logql::LabelFilter& filter, bool decoded) {
  if (filter.kind == logql::LabelFilter::Kind::kAnd) {
    add_needles(*filter.left, decoded);
    add_needles(*filter.right, decoded);
    return;
  }
  const std::string& name = filter.label;
  // Labels of streams, of duplicates and of errors are not read from the line, or not only.
  if (filter.kind != logql::LabelFilter::Kind::kString || name.starts_with("__") ||
      name.ends_with(kExtracted) || in_streams(name) != InStreams::kNone)
    return;
  store::LineFilter needle = needles_of(*filter.matcher);
  if (decoded) allow_decoding(needle);
  if (!needle.clauses.empty()) needles.push_back({name, std::move(needle)});
}

}  // namespace skald::query::plan
